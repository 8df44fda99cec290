"""Integer kernels and biases that make a linear operator exact on every runtime.

The reference kernels round the accumulator twice where the multiplier is below 1/2: to a grid of 2**-p output
steps, 2**p * multiplier in [1/2, 1), then to whole steps, halves away from zero; the optimized ones round halves up
there. XNNPACK rounds once. Two kinds of multiplier leave no accumulator for which that makes a difference:

    n / 63, n >= 32     any integers. One rounding only, and an integer times n / 63 is never a tie.
    1 / (2 q), q odd    even kernels and biases. The output is a multiple of 1 / q, so at least 1 / (2 q) away from
                        a tie: more than 2**-(p + 1), by which the first rounding may move it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..program.grid import INT8_MAX, Grid

LARGEST, SMALLEST = 16, 4  # of k, where all channels share it; at 16 the rounding of n leaves k what it is
RELATIVE = 1e-6  # float32 kernels
# Largest kernel over the smallest that one scale for all channels still serves, 3 of its bits lost: a scale for each
# channel costs 20 bytes of file and 8 of RAM a channel.
SPREAD = 8


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


DENOMINATOR = 63
LARGEST_MULTIPLIER = 128  # XNNPACK wants multipliers below 256
LARGEST_Q = 2047
# What the distance to a tie must exceed the first rounding by: float32 scales move a value of 128 by 3e-5.
SAFE_MARGIN = 2.0**-13
ACCUMULATOR_MAX = 2**31 - 1


@dataclass(frozen=True)
class Weights:
    """kernel: int8, as given to `quantize_weights`; bias: int32 (channels,); scale: float32 (channels,).

    multipliers: output steps per accumulator step of every channel.
    """

    kernel: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    multipliers: tuple[Fraction, ...]

    def between(self, source: Grid, target: Grid) -> Weights:
        """The same integers for grids with other scales, as labels."""
        return replace(self, scale=_scales(np.array(self.multipliers, float), source, target))


def is_safe(q: int) -> bool:
    """Whether two roundings of accumulator / (2 q) equal one, with a margin for the precision of scales."""
    first_rounding = 2.0 ** -math.ceil(math.log2(q)) / 2
    return 1 / (2 * q) - first_rounding >= SAFE_MARGIN


HALF_STEPS = np.array([q for q in range(3, LARGEST_Q + 1, 2) if is_safe(q)])


def granularity(multiplier: Fraction) -> int:
    """Kernel integers and biases are multiples of this."""
    return 1 if 2 * multiplier >= 1 else 2


def choose_multiplier(magnitude: float) -> Fraction | None:
    """The multiplier with the finest kernel step that holds `magnitude`.

    magnitude: the largest |kernel| of a channel, in output steps per input step.
    Returns: None if no kernel integer within int8 is that large.
    """
    even = INT8_MAX // 2
    fitting = HALF_STEPS[np.rint(magnitude * HALF_STEPS) <= even]
    if fitting.size:
        return Fraction(1, 2 * int(fitting[-1]))
    numerator = max(DENOMINATOR // 2 + 1, math.floor(magnitude * DENOMINATOR / (INT8_MAX + 0.5)) + 1)
    return Fraction(numerator, DENOMINATOR) if numerator <= LARGEST_MULTIPLIER * DENOMINATOR else None


def quantize_weights(
    layer: str,
    kernel: np.ndarray,
    bias: np.ndarray,
    *,
    source: Grid,
    target: Grid,
    per_channel: bool,
    multipliers: tuple[Fraction, ...] | None = None,
) -> Weights:
    """Rounds a kernel and a bias to integers.

    Args:
        layer: Name for the error messages.
        kernel: Float, `(..., channels)`, real output per real input.
        bias: Float `(channels,)`, in real units of the output.
        source, target: Grids of the operator's input and output.
        per_channel: Whether every output channel has a multiplier of its own; if not, it has one only where the
            channels' largest weights lie further apart than SPREAD.
        multipliers: Of every channel, where they are fixed already; None to choose the finest.

    Raises:
        ValueError: if a kernel integer leaves int8, or the accumulator may leave int32.
    """
    ratio = kernel * (source.scale / target.scale)
    chosen = multipliers or tuple(choose_multipliers(layer, ratio, per_channel=per_channel))
    step = np.array([granularity(multiplier) for multiplier in chosen])
    multiplier = np.array([float(multiplier) for multiplier in chosen])
    integers = np.rint(ratio / multiplier / step) * step
    biases = quantize_bias(bias / target.scale / multiplier, step, saturating_bias(integers, source, multiplier))
    check_accumulator(layer, integers, biases, source)
    return Weights(integers.astype(np.int8), biases.astype(np.int32), _scales(multiplier, source, target), chosen)


def _scales(multiplier: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    return (multiplier * target.scale / source.scale).astype(np.float32)


def choose_multipliers(layer: str, ratio: np.ndarray, *, per_channel: bool) -> list[Fraction]:
    """One multiplier per output channel. ratio: the kernel in output steps per input step, `(..., channels)`."""
    magnitudes = np.abs(ratio).reshape(-1, ratio.shape[-1]).max(axis=0)
    if not per_channel and not lie_apart(magnitudes):
        magnitudes = np.full_like(magnitudes, magnitudes.max())
    shared = [None] * len(magnitudes)
    if per_channel and is_ternary(ratio):
        shared = shared_multipliers(magnitudes, DENOMINATOR, LARGEST_MULTIPLIER)
    return [known or checked_multiplier(layer, magnitude) for known, magnitude in zip(shared, magnitudes, strict=True)]


def lie_apart(magnitudes: np.ndarray) -> bool:
    """Whether one scale for all channels would leave one that is not 0 less than 1 / SPREAD of its integers."""
    used = magnitudes[magnitudes > 0]
    return used.size > 0 and used.max() > SPREAD * used.min()


def checked_multiplier(layer: str, magnitude: float) -> Fraction:
    multiplier = choose_multiplier(magnitude)
    if multiplier is None:
        needed = magnitude / LARGEST_MULTIPLIER
        raise ValueError(
            f"Cannot export layer '{layer}': its largest kernel integer would be {needed:.0f}, beyond int8's "
            f"{INT8_MAX} by a factor of {needed / INT8_MAX:.3g}. Train with weight decay, or clip the folded kernel "
            "(a batch-norm variance near 0, or a tiny threshold of the neuron behind, is the usual cause)."
        )
    return multiplier


def quantize_bias(bias: np.ndarray, step: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Biases in accumulator steps, multiples of `step`."""
    bias = np.clip(bias, -limit, limit)  # whatever lies beyond saturates the output all the same
    return np.rint(bias / step) * step


def saturating_bias(kernel: np.ndarray, source: Grid, multiplier: np.ndarray) -> np.ndarray:
    """Per channel: a bias of this size saturates the output whatever the input."""
    return np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0) * source.bound + 256 / multiplier


def check_accumulator(layer: str, kernel: np.ndarray, bias: np.ndarray, source: Grid) -> None:
    worst = np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0) * source.bound + np.abs(bias)
    if worst.max() > ACCUMULATOR_MAX:
        raise ValueError(
            f"Cannot export layer '{layer}': its accumulator may reach {worst.max():.3g}, beyond int32. "
            "Reduce the number of inputs per output (a pooling before it)."
        )
