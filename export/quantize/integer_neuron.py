"""Decays of integer neurons: one fraction, or one per channel over a common denominator.

A decay per channel is a constant of MUL, the even integer 2 k of scale 1 / (2 q): membrane * decay is a multiple of
1 / q, and two roundings equal one (`weights`: the family 1 / (2 q)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from keras_ternary_spike.decay import snap_decay

from ..program.grid import INT8_MAX, Grid, float32, spike_grid
from .weights import HALF_STEPS


@dataclass(frozen=True)
class Neuron:
    """A spiking layer in integers; its currents and membranes lie on one grid.

    decay: n/d with d odd, so that decay * state + current is a multiple of 1/d and never a tie; or one per channel.
    quiet_steps: the threshold lies at quiet_steps + 1/2 steps, midway between two integers.
    signed: spikes in {-1, 0, 1}, otherwise {0, 1}.
    reset: "zero", "subtract" or "none", as of the Keras layer.
    drop: steps that reset="subtract" takes off after a spike (see `drop_steps`).
    unit: what 2 * threshold is worth in the file's real numbers: 1, or such that the reset is SUB of the spike; of
        graded spikes what a level is worth.
    levels: the largest spike; level l fires at (2 * l - 1) * (quiet_steps + 1/2) steps.
    """

    name: str
    decay: Fraction | tuple[Fraction, ...]
    quiet_steps: int
    signed: bool = True
    reset: str = "zero"
    drop: Fraction = Fraction(0)
    unit: float = 1.0
    levels: int = 1

    @property
    def spike(self) -> Grid:
        """The grid of its spikes."""
        return spike_grid(self.levels, signed=self.signed)

    @property
    def step(self) -> float:
        return step(self.quiet_steps, self.unit)

    @property
    def subtracts_spikes(self) -> bool:
        """Whether the steps that a spike takes off are worth a spike."""
        return self.levels == 1 and self.unit != 1


def drop_steps(decay: Fraction | tuple[Fraction, ...], quiet_steps: int, amount: float = 1.0) -> Fraction:
    """What a spike takes off, near `amount` thresholds of quiet_steps + 1/2 steps: the decayed rest is never a tie.

    For drop = k / 2 the rest is n * (2 * membrane - k) / (2 * d), no tie for even n and odd d. For odd n, and for one
    decay per channel, drop is a whole number: half for amount 1.
    """
    halves = isinstance(decay, Fraction) and decay.numerator % 2 == 0
    unit = Fraction(1, 2) if halves else Fraction(1)
    steps = math.ceil(Fraction(amount) * (2 * quiet_steps + 1) / (2 * unit) - Fraction(1, 2))
    return max(steps, 1) * unit


def step(quiet_steps: int, unit: float = 1.0) -> float:
    """One step of the grid whose threshold lies at quiet_steps + 1/2 steps. unit: what 2 * threshold is worth."""
    return float32(unit / (2 * quiet_steps + 1))


def spike_unit(quiet_steps: int, steps: Fraction) -> float:
    """What 2 * threshold is worth where `steps` steps of the membrane are to be worth a spike, which is 1.

    It is the quotient of two scales, so that integers are rounded as for a worth of 1.
    """
    return float32(1 / steps) * (2 * quiet_steps + 1)


def most_quiet_steps(
    decay: Fraction, reserve: Callable[[int], int] = lambda quiet_steps: 0, levels: int = 1
) -> int | None:
    """The finest grid on which saturation changes no spike of a signed neuron; None if there is none.

    The strongest current, 127 steps, reaches the highest level against the most contrary state and shortcuts:
    127 - reserve - decay * quiet_steps >= (2 * levels - 1) * (quiet_steps + 1/2).

    Args:
        decay: 0 where a single timestep carries no state.
        reserve: quiet_steps -> steps that shortcuts beside the current may bring.
        levels: the largest spike.
    """
    highest = 2 * levels - 1
    fitting = (
        quiet_steps
        for quiet_steps in range(INT8_MAX - 1, 0, -1)
        if quiet_steps * (highest + decay) + reserve(quiet_steps) <= INT8_MAX - Fraction(highest, 2)
    )
    return next(fitting, None)


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
