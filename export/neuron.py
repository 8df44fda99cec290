"""A leaky integrate-and-fire layer in builtin int8 operators, unrolled over time.

membrane = ADD(state, current)                 @ step
spike    = MUL(membrane, 4) + RELU_N1_TO_1     @ 1.0           requantization is the firing function (`firing`)
state    = what the reset leaves of the membrane, decayed      (`resets`)

Where 2 * threshold is worth 1 on the currents' grid: spike = ADD(membrane, 0) + RELU_N1_TO_1, and at the last timestep
spike = ADD(state, current) + RELU_N1_TO_1.
"""

from __future__ import annotations

from fractions import Fraction

from .builder import Builder
from .constant import emit_constant_neuron
from .firing import BINARY_SPIKE, SPIKE, emit_beyond
from .grid import INT8_MAX, SMALLEST_ADD_RATIO, Grid, Neuron
from .resets import emit_state, leaked_grid, state_grid


def emit_neuron(builder: Builder, neuron: Neuron, currents: tuple[int, ...]) -> tuple[int, ...]:
    """Emits the layer; currents: one int8 tensor on its grid per timestep. Returns one spike tensor per timestep."""
    if neuron.decay == 0:
        return tuple(_fire(builder, neuron, current, t) for t, current in enumerate(currents))
    if len(set(currents)) == 1 and isinstance(neuron.decay, Fraction) and neuron.reset != "subtract":
        return emit_constant_neuron(builder, neuron, currents[0], len(currents))
    spikes, state, last = [], None, len(currents) - 1
    fused = not neuron.subtracts_spikes and state_grid(neuron).scale >= SMALLEST_ADD_RATIO
    for t, current in enumerate(currents):
        if t == last and state is not None and fused:
            spikes.append(_fire(builder, neuron, state, t, current))
            break
        membrane = current if state is None else _integrate(builder, neuron, state, current, t)
        spikes.append(_fire(builder, neuron, membrane, t))
        if t != last:
            state = emit_state(builder, neuron, membrane, spikes[-1], t)
    return tuple(spikes)


def emit_step(builder: Builder, neuron: Neuron, current: int, state: int) -> tuple[int, int]:
    """Emits one timestep, from the state before it. Returns the spikes and the state after it."""
    membrane = _integrate(builder, neuron, state, current, 0)
    spike = _fire(builder, neuron, membrane, 0)
    return spike, emit_state(builder, neuron, membrane, spike, 0)


def _fire(builder: Builder, neuron: Neuron, membrane: int, t: int, current: int | None = None) -> int:
    """Rounds membrane (+ current) to a spike."""
    if neuron.subtracts_spikes:
        return emit_beyond(builder, f"{neuron.name}/spike/{t}", membrane, neuron.half, neuron)
    shape, zero = builder.shape(membrane), builder.scalar("zero", 0, 1.0, len(builder.shape(membrane)))
    clipped, spike, operands = (
        f"{neuron.name}/clipped/{t}",
        f"{neuron.name}/spike/{t}",
        (membrane, zero if current is None else current),
    )
    if neuron.signed:
        return builder.emit("ADD", operands, spike, shape, SPIKE, activation="RELU_N1_TO_1")
    if rounds_beyond_one(neuron, summed=current is not None):
        operands = (builder.emit("ADD", operands, clipped, shape, SPIKE, activation="RELU_N1_TO_1"), zero)
    return builder.emit("ADD", operands, spike, shape, BINARY_SPIKE, activation="RELU")


def rounds_beyond_one(neuron: Neuron, *, summed: bool) -> bool:
    """Whether RELU alone would leave a 2: a membrane, or state and current, of more than 3/2 units."""
    state = state_grid(neuron)
    strongest = INT8_MAX + (state.high * state.scale / neuron.step if summed else 0)
    return strongest * 2 >= 3 * (2 * neuron.half + 1)


def _integrate(builder: Builder, neuron: Neuron, state: int, current: int, t: int) -> int:
    clips = neuron.subtracts_spikes and neuron.reset == "zero" and neuron.decay == 1
    grid, activation = (leaked_grid(neuron), "RELU_N1_TO_1") if clips else (Grid(neuron.step), "NONE")
    name, shape = f"{neuron.name}/membrane/{t}", builder.shape(current)
    return builder.emit("ADD", (state, current), name, shape, grid, activation=activation)
