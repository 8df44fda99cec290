"""Firing as one product: requantization rounds whatever lies beyond the threshold to a spike."""

from __future__ import annotations

from ....program.builder import Builder
from ....program.grid import BINARY_SPIKE, INT8_MAX, SPIKE, firing_activation, float32
from ....program.names import ZERO, Name
from ...integer_neuron import Neuron
from .resets import state_grid

FACTOR = 4  # of the integers, so that their products lie far enough apart


def emit_beyond(builder: Builder, name: Name, value: int, quiet: int, neuron: Neuron) -> int:
    """The sign of values beyond `quiet` steps of their grid, else 0. `value` of a binary neuron is never negative.

    MUL by a constant whose scale puts the threshold midway between `quiet` and `quiet` + 1. The products nearest to the
    threshold lie FACTOR / 2 from it; the first of two roundings moves them by less than 1.
    """
    shape, spike = builder.shape(value), SPIKE if neuron.signed else BINARY_SPIKE
    step = float(builder.tensors[value].scale)
    scale = float32(1 / (FACTOR * (2 * quiet + 1) * step))
    constant = builder.scalar(Name("", "beyond", index=f"{quiet}@{step:.9g}"), FACTOR, scale, len(shape))
    return builder.emit("MUL", (value, constant), name, shape, spike, activation="RELU_N1_TO_1")


def emit_spike(builder: Builder, neuron: Neuron, membrane: int, t: int, current: int | None = None) -> int:
    """Rounds membrane (+ current) to a spike."""
    if neuron.subtracts_spikes:
        return emit_beyond(builder, Name(neuron.name, "spike", t), membrane, neuron.quiet_steps, neuron)
    shape, zero = builder.shape(membrane), builder.scalar(ZERO, 0, 1.0, len(builder.shape(membrane)))
    clipped, spike, operands = (
        Name(neuron.name, "clipped", t),
        Name(neuron.name, "spike", t),
        (membrane, zero if current is None else current),
    )
    if neuron.signed or neuron.levels > 1:
        clip = firing_activation(neuron.spike)
        return builder.emit("ADD", operands, spike, shape, neuron.spike, activation=clip)
    if rounds_beyond_one(neuron, summed=current is not None):
        operands = (builder.emit("ADD", operands, clipped, shape, SPIKE, activation="RELU_N1_TO_1"), zero)
    return builder.emit("ADD", operands, spike, shape, BINARY_SPIKE, activation="RELU")


def rounds_beyond_one(neuron: Neuron, *, summed: bool) -> bool:
    """Whether RELU alone would leave a 2: a membrane, or state and current, of more than 3/2 units."""
    state = state_grid(neuron)
    strongest = INT8_MAX + (state.high * state.scale / neuron.step if summed else 0)
    return strongest * 2 >= 3 * (2 * neuron.quiet_steps + 1)
