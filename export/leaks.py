"""Decays of integer neurons: one fraction, or one per channel over a common denominator.

A decay per channel is a constant of MUL, the even integer 2 k of scale 1 / (2 q): membrane * decay is a multiple of
1 / q, and two roundings equal one (`weights`: the family 1 / (2 q)).
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np

from keras_ternary_spike.decay import snap_decay

from .weights import HALF_STEPS

LARGEST_Q = 127  # XNNPACK's SUB wants its inputs' steps below 2^8 of its output's: fired, of step 1, from 1 / (2 q)
LARGEST_K = 63  # 2 k is an int8
QS = [int(q) for q in HALF_STEPS if q <= LARGEST_Q]

Decay = Fraction | tuple[Fraction, ...]


def snap(decay: float | np.ndarray, *, even: bool = False) -> Decay:
    """The decay in integers; a tuple where channels differ. even: as for `snap_decay`, of a single decay."""
    decays = np.atleast_1d(np.asarray(decay, np.float64))
    if np.all(decays == decays[0]):
        return snap_decay(float(decays[0]), even=even)
    q = max(q for q in QS if round(decays.max() * q) <= LARGEST_K)
    fractions = tuple(Fraction(round(value * q), q) for value in decays.tolist())
    return fractions if any(fractions) else Fraction(0)


def channel_constant(decays: tuple[Fraction, ...]) -> tuple[np.ndarray, float]:
    """int8 `(channels,)` and the scale that make the decays of `snap`."""
    common = lcm(*(decay.denominator for decay in decays))
    q = next(q for q in QS if q % common == 0)
    return np.array([int(2 * q * decay) for decay in decays], np.int8), 1 / (2 * q)


def distinct(decay: Decay) -> tuple[Fraction, ...]:
    """Every decay once, ascending."""
    return (decay,) if isinstance(decay, Fraction) else tuple(sorted(set(decay)))


def described(decay: Decay) -> str:
    """As text: "16/63", or "1/7 to 6/7 (4 different)"."""
    values = distinct(decay)
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]} ({len(values)} different)"
