"""Ternary kernels: one integer for all channels of a convolution, so that its weights are signs.

A channel of magnitude m, in output steps per input step, is k * (m / k): the kernel's integers are -k, 0 and k, and the
multiplier m / k is rounded to n / 63, n >= 32 (see weights.py), which changes the channel as a whole by at most 1.6 %.
Its bias is a multiple of m / k steps: the larger k, the finer.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

LARGEST, SMALLEST = 16, 4  # of k, where all channels share it; at 16 the rounding of n leaves k what it is
RELATIVE = 1e-6  # float32 kernels


def is_ternary(kernel: np.ndarray) -> bool:
    """Whether every output channel, last axis, holds -m, 0 and m only, and some channel more than zeros."""
    magnitude = np.abs(kernel).reshape(-1, kernel.shape[-1])
    largest = magnitude.max(axis=0)
    return bool(largest.any() and ((magnitude == 0) | (magnitude >= (1 - RELATIVE) * largest)).all())


def shared_multipliers(magnitudes: np.ndarray, denominator: int, largest: int) -> list[Fraction | None]:
    """The multiplier n / denominator of each channel; None where m is too small for n > denominator / 2, or too large.

    largest: a multiplier must not exceed it.
    """
    smallest_numerator = denominator // 2 + 1
    fitting = np.floor(magnitudes * denominator / smallest_numerator)
    used = fitting[fitting > 0]
    shared = int(np.clip(used.min(), SMALLEST, LARGEST)) if used.size else SMALLEST
    pairs = zip(magnitudes, np.minimum(fitting, shared), strict=True)
    return [_fraction(m, int(k), denominator, largest) if k > 0 else None for m, k in pairs]


def _fraction(magnitude: float, integer: int, denominator: int, largest: int) -> Fraction | None:
    numerator = round(magnitude * denominator / integer)
    return Fraction(numerator, denominator) if numerator <= largest * denominator else None
