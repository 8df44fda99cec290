"""What a neuron carries on from one timestep to the next, in builtin int8 operators.

reset="zero", where `quiet_steps` + 1 steps of decay * membrane are worth a spike (`spike_unit`)
    leaked = MUL(membrane, decay) + RELU_N1_TO_1   @ decay * step  integers unchanged, clipped at a spike's worth
    state  = SUB(leaked, spike)                    @ decay * step  integers unchanged, 0 after a spike
    no MUL where the membrane is clipped and on that grid already (`leaked_grid`): for decay 1 it is, and the first
    current may be
reset="zero" of other neurons
    fired = MUL(spike, spike)                  @ 1.0           left out for binary spikes, their own squares
        of graded spikes the square of their sign, MUL(spike, 1) + RELU_N1_TO_1 with a scale that makes a level 1
    keep  = SUB(decay, fired) + RELU           @ decay         0 after a spike, else 1
    state = MUL(membrane, keep)                @ decay * step  integers unchanged: the leak is a scale label
reset="none"
    state = MUL(membrane, 1)                   @ decay * step  the same; for decay 1 the membrane itself
reset="subtract"
    leaked = MUL(membrane, 1)                  @ decay * step  for decay 1 the membrane itself, as may be the first
    state  = SUB(leaked, spike)                @ step          decay * (membrane - drop), rounded once
    where decay * drop steps are not worth a spike, in the place of the spike
    drop   = MUL(spike, quiet_steps)                  @ decay * step * drop / quiet_steps

With one decay per channel, a constant of even integers of scale 1 / (2 q), the leak is a product, rounded to a step:

reset="zero"        state = MUL(membrane, SUB(decays, fired) + RELU)   @ step
reset="none"        state = MUL(membrane, decays)                      @ step
reset="subtract"    state = MUL(SUB(membrane, spike or drop), decays)  @ step
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from ....program.builder import Builder
from ....program.grid import BINARY_SPIKE, INT8_MAX, INT8_MIN, SPIKE, Grid, float32
from ....program.names import Name
from ...integer_neuron import Decay, Neuron, channel_constant


def state_grid(neuron: Neuron) -> Grid:
    """The grid of a state: the membrane's own, or its integers, each worth decay times as much."""
    if neuron.subtracts_spikes and neuron.reset == "zero":
        return Grid(float32(1 / (neuron.quiet_steps + 1)), low=-neuron.quiet_steps, high=neuron.quiet_steps)
    label = Fraction(1) if rounds_leak(neuron) else neuron.decay
    scale = float32(float32(float(label)) * neuron.step)
    if neuron.reset != "zero":
        return Grid(scale)
    return Grid(scale, low=-neuron.quiet_steps if neuron.signed else INT8_MIN, high=min(neuron.quiet_steps, INT8_MAX))


def leaked_grid(neuron: Neuron) -> Grid | None:
    """The grid of `leaked`, on which reset="zero" clips to [-1, 1]; None where there is no `leaked`."""
    if not neuron.subtracts_spikes or isinstance(neuron.decay, tuple):
        return None
    if neuron.reset == "zero":
        return replace(state_grid(neuron), low=-neuron.quiet_steps - 1, high=neuron.quiet_steps + 1)
    return Grid(float32(float32(float(neuron.decay)) * neuron.step))


def rounds_leak(neuron: Neuron) -> bool:
    """Whether the state is rounded to a step when it is decayed, not only when the current is added."""
    return isinstance(neuron.decay, tuple) or neuron.reset == "subtract"


def emit_state(builder: Builder, neuron: Neuron, membrane: int, spike: int, t: int) -> int:
    """The state behind timestep t, from its membrane and spikes."""
    return EMITTERS[neuron.reset](builder, neuron, membrane, spike, t)


def _to_zero(builder: Builder, neuron: Neuron, membrane: int, spike: int, t: int) -> int:
    emit = _less_spike if neuron.subtracts_spikes else _times_keep
    return emit(builder, neuron, membrane, spike, t)


def _less_spike(builder: Builder, neuron: Neuron, membrane: int, spike: int, t: int) -> int:
    shape, grid, leaked = builder.shape(membrane), state_grid(neuron), membrane
    if not builder.is_clipped(membrane, grid.scale):
        operands = (membrane, decay_constant(builder, neuron.name, neuron.decay, len(shape)))
        leaked = builder.emit("MUL", operands, Name(neuron.name, "leaked", t), shape, grid, activation="RELU_N1_TO_1")
    return builder.emit("SUB", (leaked, spike), Name(neuron.name, "state", t), shape, grid)


def _times_keep(builder: Builder, neuron: Neuron, membrane: int, spike: int, t: int) -> int:
    shape, after = builder.shape(membrane), fired(builder, neuron, spike, t)
    kept = decay_constant(builder, neuron.name, neuron.decay, len(shape))
    grid = Grid(float(builder.tensors[kept].scale), low=0, high=int(builder.tensors[kept].data.max()))
    keep = builder.emit("SUB", (kept, after), Name(neuron.name, "keep", t), shape, grid, activation="RELU")
    return builder.emit("MUL", (membrane, keep), Name(neuron.name, "state", t), shape, state_grid(neuron))


def fired(builder: Builder, neuron: Neuron, spike: int, t: int) -> int:
    """1 after any spike, else 0."""
    shape, name = builder.shape(spike), Name(neuron.name, "fired", t)
    if neuron.levels > 1:
        constant = builder.scalar(Name(neuron.name, "label"), 1, float32(1 / neuron.spike.scale), len(shape))
        sign = Name(neuron.name, "clipped", t) if neuron.signed else name
        spike = builder.emit("MUL", (spike, constant), sign, shape, SPIKE, activation="RELU_N1_TO_1")
    return builder.emit("MUL", (spike, spike), name, shape, BINARY_SPIKE) if neuron.signed else spike


def _unchanged(builder: Builder, neuron: Neuron, membrane: int, spike: int, t: int) -> int:
    return _leaked(builder, neuron, membrane, Name(neuron.name, "state", t), state_grid(neuron))


def _less_threshold(builder: Builder, neuron: Neuron, membrane: int, spike: int, t: int) -> int:
    shape, grid = builder.shape(membrane), Grid(neuron.step)
    if isinstance(neuron.decay, tuple):
        drop = spike if neuron.subtracts_spikes else _drop(builder, neuron, spike, t, Fraction(1))
        residue = builder.emit("SUB", (membrane, drop), Name(neuron.name, "residue", t), shape, grid)
        return _leaked(builder, neuron, residue, Name(neuron.name, "state", t), grid)
    drop = spike if neuron.subtracts_spikes else _drop(builder, neuron, spike, t, neuron.decay)
    label, leaked = Grid(float32(float32(float(neuron.decay)) * neuron.step)), membrane
    if float(builder.tensors[membrane].scale) != label.scale:
        leaked = _leaked(builder, neuron, membrane, Name(neuron.name, "leaked", t), label)
    return builder.emit("SUB", (leaked, drop), Name(neuron.name, "state", t), shape, grid)


def _drop(builder: Builder, neuron: Neuron, spike: int, t: int, decay: Fraction) -> int:
    """`quiet_steps` for every spike, on a grid that makes it decay * drop steps of the membrane's."""
    shape, high = builder.shape(spike), neuron.quiet_steps * neuron.levels
    scale = float32(float(decay * neuron.drop / neuron.quiet_steps) * neuron.step)
    label = float32(scale / neuron.spike.scale)
    constant = builder.scalar(Name(neuron.name, "threshold"), neuron.quiet_steps, label, len(shape))
    grid = Grid(scale, low=-high if neuron.signed else 0, high=high)
    return builder.emit("MUL", (spike, constant), Name(neuron.name, "drop", t), shape, grid)


def _leaked(builder: Builder, neuron: Neuron, membrane: int, name: Name, grid: Grid) -> int:
    """decay * membrane on `grid`."""
    if neuron.decay == 1:
        return membrane
    shape = builder.shape(membrane)
    return builder.emit(
        "MUL", (membrane, decay_constant(builder, neuron.name, neuron.decay, len(shape))), name, shape, grid
    )


def decay_constant(builder: Builder, layer: str, decay: Decay, rank: int) -> int:
    """The integer 1 of scale decay, or one integer per channel (last axis)."""
    if isinstance(decay, Fraction):
        return builder.scalar(Name(layer, "decay"), 1, float32(float(decay)), rank)
    integers, scale = channel_constant(decay)
    return builder.constant(Name(layer, "decay").ranked(rank), integers.reshape([1] * rank + [-1]), float32(scale))


EMITTERS = {"zero": _to_zero, "subtract": _less_threshold, "none": _unchanged}
