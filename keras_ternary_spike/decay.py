"""The decays that an integer file can hold: fractions with an odd denominator of at most 63."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import keras
import numpy as np
from keras import ops

MAX_DENOMINATOR = 63  # the largest for which all operand pairs were compared on every runtime
DENOMINATORS = range(1, MAX_DENOMINATOR + 1, 2)


def snap_decay(decay: float) -> Fraction:
    """The fraction nearest to `decay` with an odd denominator of at most 63."""
    candidates = (Fraction(round(decay * d), d) for d in DENOMINATORS)
    return min(candidates, key=lambda fraction: (abs(float(fraction) - decay), fraction.denominator))


def snap_straight_through(decay: Any) -> Any:
    """A tensor of decays in [0, 1] as `snap_decay` has them; the gradient passes as if they were not moved.

    After the straight-through estimator of [Bengio et al., 2013](https://arxiv.org/abs/1308.3432).
    """
    dtype = keras.backend.standardize_dtype(decay.dtype)
    fractions = ops.convert_to_tensor(_fractions(), dtype=dtype)
    fixed = ops.stop_gradient(decay)
    nearest = ops.take(fractions, ops.argmin(ops.abs(ops.expand_dims(fixed, -1) - fractions), axis=-1))
    # decay - fixed is exactly 0, so that the sum is the fraction to the last bit.
    return ops.stop_gradient(nearest) + (decay - fixed)


@functools.cache
def _fractions() -> np.ndarray:
    """All of them in [0, 1], ascending."""
    return np.array(sorted({Fraction(n, d) for d in DENOMINATORS for n in range(d + 1)}), dtype=float)
