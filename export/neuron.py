"""A leaky integrate-and-fire layer in builtin int8 operators, unrolled over time.

membrane = ADD(state, current)                 @ step
spike    = ADD(membrane, 0) + RELU_N1_TO_1     @ 1.0           requantization is the firing function
fired    = MUL(spike, spike)                   @ 1.0           (a binary spike is its own square)
keep     = SUB(decay, fired) + RELU            @ decay         0 after a spike, else 1
state    = MUL(membrane, keep)                 @ decay * step  integers unchanged: the leak is a scale label
at the last timestep: spike = ADD(state, current) + RELU_N1_TO_1 @ 1.0
"""

from __future__ import annotations

from functools import partial

from .builder import Builder
from .constant import emit_constant_neuron
from .grid import INT8_MAX, INT8_MIN, SMALLEST_ADD_RATIO, Grid, MembraneGrid, float32

SPIKE = Grid(1.0, low=-1, high=1)
BINARY_SPIKE = Grid(1.0, low=0, high=1)


def emit_neuron(
    builder: Builder, name: str, currents: tuple[int, ...], grid: MembraneGrid, *, signed: bool
) -> tuple[int, ...]:
    """Emits the layer; currents: one int8 tensor on `grid` per timestep. Returns one spike tensor per timestep."""
    fire = partial(_fire, builder, name, signed=signed)
    if grid.decay == 0:
        return tuple(fire(current, t) for t, current in enumerate(currents))
    if len(set(currents)) == 1:
        return emit_constant_neuron(builder, name, currents[0], len(currents), grid, signed=signed)
    spikes, state, last = [], None, len(currents) - 1
    fused = float(grid.decay) * grid.step >= SMALLEST_ADD_RATIO
    for t, current in enumerate(currents):
        if t == last and state is not None and fused:
            spikes.append(fire(state, t, current))
            break
        membrane = current if state is None else _integrate(builder, name, state, current, grid, t)
        spikes.append(fire(membrane, t))
        if t != last:
            state = _reset(builder, name, membrane, spikes[-1], grid, t, signed)
    return tuple(spikes)


def emit_step(
    builder: Builder, name: str, current: int, state: int, grid: MembraneGrid, *, signed: bool
) -> tuple[int, int]:
    """Emits one timestep, from the state before it. Returns the spikes and the state after it."""
    membrane = _integrate(builder, name, state, current, grid, 0)
    spike = _fire(builder, name, membrane, 0, signed=signed)
    return spike, _reset(builder, name, membrane, spike, grid, 0, signed)


def state_grid(grid: MembraneGrid, *, signed: bool) -> Grid:
    """The grid of a state: the integers of the membrane, each worth decay times as much."""
    low = -grid.half if signed else INT8_MIN
    return Grid(float32(float32(float(grid.decay)) * grid.step), low=low, high=min(grid.half, INT8_MAX))


def _fire(builder: Builder, name: str, membrane: int, t: int, current: int | None = None, *, signed: bool) -> int:
    """Rounds membrane (+ current) to a spike."""
    shape = builder.shape(membrane)
    if current is None:
        current = builder.scalar("zero", 0, 1.0, len(shape))
    activation, spike = ("RELU_N1_TO_1", SPIKE) if signed else ("RELU", BINARY_SPIKE)
    return builder.emit("ADD", (membrane, current), f"{name}/spike/{t}", shape, spike, activation=activation)


def _integrate(builder: Builder, name: str, state: int, current: int, grid: MembraneGrid, t: int) -> int:
    return builder.emit("ADD", (state, current), f"{name}/membrane/{t}", builder.shape(current), Grid(grid.step))


def _reset(builder: Builder, name: str, membrane: int, spike: int, grid: MembraneGrid, t: int, signed: bool) -> int:
    """The membrane that is carried on: 0 after a spike, else decayed."""
    shape, decay = builder.shape(membrane), float32(float(grid.decay))
    fired = spike
    if signed:
        fired = builder.emit("MUL", (spike, spike), f"{name}/fired/{t}", shape, BINARY_SPIKE)
    one = builder.scalar(f"{name}/decay", 1, decay, len(shape))
    keep = builder.emit("SUB", (one, fired), f"{name}/keep/{t}", shape, Grid(decay, low=0, high=1), activation="RELU")
    return builder.emit("MUL", (membrane, keep), f"{name}/state/{t}", shape, state_grid(grid, signed=signed))
