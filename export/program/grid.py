"""The int8 grids of a program and the rules that keep every value on them away from ties."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

INT8_MIN, INT8_MAX = -128, 127


@dataclass(frozen=True)
class Grid:
    """real = scale * (integer - zero_point), with low <= integer - zero_point <= high.

    scale: a float that float32 represents.
    unit: of spikes and their sums, what 1 is worth: the scale of graded spikes is a label (`spike_grid`).
    """

    scale: float
    zero_point: int = 0
    low: int = INT8_MIN
    high: int = INT8_MAX
    unit: float = 1.0

    @property
    def counts(self) -> bool:
        """Whether the values are spikes or sums of spikes: plain integers."""
        return self.scale == self.unit and self.zero_point == 0

    @property
    def bound(self) -> int:
        return max(-self.low, self.high)


SPIKE = Grid(1.0, low=-1, high=1)
BINARY_SPIKE = Grid(1.0, low=0, high=1)
# XNNPACK's ADD and SUB want each input's step between 2^-10 and 2^8 times the output's.
SMALLEST_ADD_RATIO, LARGEST_ADD_RATIO = 2.0**-10, 255


def with_zero(grid: Grid) -> Grid:
    """The same grid for values that may also be 0."""
    return replace(grid, low=min(grid.low, 0), high=max(grid.high, 0))


def spike_grid(levels: int, *, signed: bool) -> Grid:
    """Spikes in [-levels, levels] or [0, levels].

    Of several levels the scale is a label with which a fused activation, RELU_N1_TO_1 or RELU6, clips at the highest.
    """
    if levels == 1:
        return SPIKE if signed else BINARY_SPIKE
    label = float32((1 if signed else 6) / levels)
    return Grid(label, low=-levels if signed else 0, high=levels, unit=label)


def firing_activation(spike: Grid) -> str:
    """The fused activation that clips to the levels of `spike`."""
    return "RELU6" if spike.low == 0 and spike.high > 1 else "RELU_N1_TO_1"


def float32(value: float) -> float:
    """The nearest number that float32 represents: what the file stores as a scale."""
    return float(np.float32(value))


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
