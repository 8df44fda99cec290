"""The int8 grids of a program and the rules that keep every value on them away from ties."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

INT8_MIN, INT8_MAX = -128, 127
# XNNPACK's ADD and SUB want each input's step between 2^-10 and 2^8 times the output's.
SMALLEST_ADD_RATIO, LARGEST_ADD_RATIO = 2.0**-10, 255


@dataclass(frozen=True)
class Grid:
    """real = scale * (integer - zero_point), with low <= integer - zero_point <= high.

    scale: a float that float32 represents.
    """

    scale: float
    zero_point: int = 0
    low: int = INT8_MIN
    high: int = INT8_MAX

    @property
    def counts(self) -> bool:
        """Whether the values are spikes or sums of spikes: plain integers."""
        return self.scale == 1.0 and self.zero_point == 0

    @property
    def bound(self) -> int:
        return max(-self.low, self.high)


@dataclass(frozen=True)
class Neuron:
    """A spiking layer in integers; its currents and membranes lie on one grid.

    decay: n/d with d odd, so that decay * state + current is a multiple of 1/d and never a tie; or one per channel.
    half: the threshold lies at half + 1/2 steps, midway between two integers.
    signed: spikes in {-1, 0, 1}, otherwise {0, 1}.
    reset: "zero", "subtract" or "none", as of the Keras layer.
    drop: steps that reset="subtract" takes off after a spike (see `drop_steps`).
    unit: what 2 * threshold is worth in the file's real numbers: 1, or such that the reset is SUB of the spike.
    """

    name: str
    decay: Fraction | tuple[Fraction, ...]
    half: int
    signed: bool = True
    reset: str = "zero"
    drop: Fraction = Fraction(0)
    unit: float = 1.0

    @property
    def step(self) -> float:
        return step(self.half, self.unit)

    @property
    def subtracts_spikes(self) -> bool:
        """Whether the steps that a spike takes off are worth a spike."""
        return self.unit != 1


def drop_steps(decay: Fraction | tuple[Fraction, ...], half: int, amount: float = 1.0) -> Fraction:
    """What a spike takes off, near `amount` thresholds of half + 1/2 steps, such that the decayed rest is never a tie.

    For drop = k / 2 the rest is n * (2 * membrane - k) / (2 * d), no tie for even n and odd d. For odd n, and for one
    decay per channel, drop is a whole number: half for amount 1.
    """
    halves = isinstance(decay, Fraction) and decay.numerator % 2 == 0
    unit = Fraction(1, 2) if halves else Fraction(1)
    steps = math.ceil(Fraction(amount) * (2 * half + 1) / (2 * unit) - Fraction(1, 2))
    return max(steps, 1) * unit


def step(half: int, unit: float = 1.0) -> float:
    """One step of the grid whose threshold lies at half + 1/2 steps. unit: what 2 * threshold is worth."""
    return float32(unit / (2 * half + 1))


def spike_unit(half: int, steps: Fraction) -> float:
    """What 2 * threshold is worth where `steps` steps of the membrane are to be worth a spike, which is 1.

    It is the quotient of two scales, so that integers are rounded as for a worth of 1.
    """
    return float32(1 / steps) * (2 * half + 1)


def with_zero(grid: Grid) -> Grid:
    """The same grid for values that may also be 0."""
    return replace(grid, low=min(grid.low, 0), high=max(grid.high, 0))


def float32(value: float) -> float:
    """The nearest number that float32 represents: what the file stores as a scale."""
    return float(np.float32(value))


def largest_half(decay: Fraction, reserve: Callable[[int], int] = lambda half: 0) -> int | None:
    """The finest grid on which saturation changes no spike of a signed neuron; None if there is none.

    The strongest current, 127 steps, beats the most contrary state and shortcuts:
    127 - reserve - decay * half >= half + 1/2.

    Args:
        decay: 0 where a single timestep carries no state.
        reserve: half -> steps that shortcuts beside the current may bring.
    """
    fitting = (half for half in range(INT8_MAX - 1, 0, -1) if half * (1 + decay) + reserve(half) <= Fraction(253, 2))
    return next(fitting, None)


def input_grid(low: float, high: float) -> Grid:
    """The finest int8 grid over [low, high] that represents 0 exactly, as zero padding needs."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (INT8_MAX - INT8_MIN)
    zero_point = round(INT8_MIN - low / scale)
    # Nudging zero onto an integer may leave one end outside: widen the step until both are in.
    below = -low / (zero_point - INT8_MIN) if zero_point > INT8_MIN else 0.0
    above = high / (INT8_MAX - zero_point) if zero_point < INT8_MAX else 0.0
    return Grid(float32(max(below, above)), zero_point, INT8_MIN - zero_point, INT8_MAX - zero_point)


def shifted_input_grid(low: float, high: float, offset: float) -> tuple[Grid, Grid]:
    """Grids of x and of x + offset on which the same int8 integer stands for both.

    Both represent 0, so offset is a whole number of steps and zero padding is exact on either.
    """
    low, high = min(low, 0.0, -offset), max(high, 0.0, -offset)
    for steps in range(INT8_MAX - INT8_MIN, 0, -1):
        scale = float32(abs(offset) / steps)
        zero_point = math.ceil(INT8_MIN - low / scale)
        if zero_point + high / scale <= INT8_MAX:
            shifted = zero_point - int(math.copysign(steps, offset))
            return tuple(Grid(scale, z, INT8_MIN - z, INT8_MAX - z) for z in (zero_point, shifted))
    return input_grid(low, high), input_grid(low, high)  # the offset is far below one step
