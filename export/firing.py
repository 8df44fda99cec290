"""Firing as one product: requantization rounds whatever lies beyond the threshold to a spike."""

from __future__ import annotations

from .builder import Builder
from .grid import Grid, Neuron, float32

SPIKE = Grid(1.0, low=-1, high=1)
BINARY_SPIKE = Grid(1.0, low=0, high=1)
FACTOR = 4  # of the integers, so that their products lie far enough apart


def emit_beyond(builder: Builder, name: str, value: int, quiet: int, neuron: Neuron) -> int:
    """The sign of values beyond `quiet` steps of their grid, else 0. A binary neuron's are not negative.

    MUL by a constant whose scale puts the threshold midway between `quiet` and `quiet` + 1. The products nearest to the
    threshold lie FACTOR / 2 from it; the first of two roundings moves them by less than 1.
    """
    shape, spike = builder.shape(value), SPIKE if neuron.signed else BINARY_SPIKE
    step = float(builder.tensors[value].scale)
    scale = float32(1 / (FACTOR * (2 * quiet + 1) * step))
    constant = builder.scalar(f"beyond/{quiet}@{step:.9g}", FACTOR, scale, len(shape))
    return builder.emit("MUL", (value, constant), name, shape, spike, activation="RELU_N1_TO_1")
