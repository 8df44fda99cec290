"""A leaky integrate-and-fire layer in builtin int8 operators, unrolled over time.

membrane = ADD(state, current)                 @ step
spike    = MUL(membrane, 4) + RELU_N1_TO_1     @ 1.0           requantization is the firing function (`firing`)
state    = what the reset leaves of the membrane, decayed      (`resets`)

Where 2 * threshold is worth 1 on the currents' grid: spike = ADD(membrane, 0) + RELU_N1_TO_1, and at the last timestep
spike = ADD(state, current) + RELU_N1_TO_1. Graded spikes are fired so too, clipped at the highest level (`spike_grid`).
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ....network import nodes
from ....network.nodes import Network
from ....program.builder import Builder
from ....program.grid import BINARY_SPIKE, SMALLEST_ADD_RATIO, Grid, spike_grid
from ....program.names import Name
from ...integer_neuron import Neuron
from ..context import Context, Signal, integer_neuron
from .constant_current import emit_constant_neuron
from .firing import emit_spike
from .resets import emit_state, leaked_grid, state_grid


def emit_neuron(builder: Builder, neuron: Neuron, currents: tuple[int, ...]) -> tuple[int, ...]:
    """Emits the layer; currents: one int8 tensor on its grid per timestep. Returns one spike tensor per timestep."""
    if neuron.decay == 0:
        return tuple(emit_spike(builder, neuron, current, t) for t, current in enumerate(currents))
    still = len(set(currents)) == 1 and neuron.levels == 1
    if still and isinstance(neuron.decay, Fraction) and neuron.reset != "subtract":
        return emit_constant_neuron(builder, neuron, currents[0], len(currents))
    spikes, state, last = [], None, len(currents) - 1
    fused = not neuron.subtracts_spikes and state_grid(neuron).scale >= SMALLEST_ADD_RATIO * neuron.spike.scale
    for t, current in enumerate(currents):
        if t == last and state is not None and fused:
            spikes.append(emit_spike(builder, neuron, state, t, current))
            break
        membrane = current if state is None else _integrate(builder, neuron, state, current, t)
        spikes.append(emit_spike(builder, neuron, membrane, t))
        if t != last:
            state = emit_state(builder, neuron, membrane, spikes[-1], t)
    return tuple(spikes)


def emit_observed(builder: Builder, neuron: Neuron, currents: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """As `emit_neuron`, timestep by timestep. Returns also the last membrane, before the reset."""
    spikes, membrane = [], currents[0]
    for t, current in enumerate(currents):
        if t and neuron.decay != 0:
            state = emit_state(builder, neuron, membrane, spikes[-1], t - 1)
            membrane = _integrate(builder, neuron, state, current, t)
        else:
            membrane = current
        spikes.append(emit_spike(builder, neuron, membrane, t))
    return tuple(spikes), membrane


def emit_step(builder: Builder, neuron: Neuron, current: int, state: int) -> tuple[int, int, int]:
    """Emits one timestep, from the state before it. Returns the spikes, the membrane and the state after it."""
    membrane = _integrate(builder, neuron, state, current, 0)
    spike = emit_spike(builder, neuron, membrane, 0)
    return spike, membrane, emit_state(builder, neuron, membrane, spike, 0)


def _integrate(builder: Builder, neuron: Neuron, state: int, current: int, t: int) -> int:
    clips = neuron.subtracts_spikes and neuron.reset == "zero" and neuron.decay == 1
    grid, activation = (leaked_grid(neuron), "RELU_N1_TO_1") if clips else (Grid(neuron.step), "NONE")
    name, shape = Name(neuron.name, "membrane", t), builder.shape(current)
    return builder.emit("ADD", (state, current), name, shape, grid, activation=activation)


def emit_lif(context: Context, node: nodes.LIF, source: Signal) -> Signal:
    spike = spike_grid(node.levels, signed=node.signed)
    if source.grid == spike and spike != BINARY_SPIKE:  # the linear operator in front has fired
        return source
    neuron, readers = integer_neuron(context, node), states_of(context.network, node)
    if not readers and (context.form == "unrolled" or neuron.decay == 0):
        return Signal(emit_neuron(context.builder, neuron, source.tensors), spike)
    spikes, membrane = observe(context, node, neuron, source)
    context.membranes.update({reader.name: (membrane, spikes[-1]) for reader in readers})
    return Signal(spikes, spike)


def states_of(network: Network, node: nodes.LIF) -> list[nodes.FinalState]:
    """The nodes that hold what the neurons of a LIF carry on."""
    found = [reader for reader in network.consumers(node.inputs[0]) if isinstance(reader, nodes.FinalState)]
    return [reader for reader in found if _equal_numbers(reader, node)]


def _equal_numbers(state: nodes.FinalState, node: nodes.LIF) -> bool:
    names = ("decay", "threshold", "signed", "reset", "levels")
    return all(np.array_equal(getattr(state, name), getattr(node, name)) for name in names)


def observe(
    context: Context, node: nodes.LIF | nodes.FinalState, neuron: Neuron, source: Signal
) -> tuple[tuple[int, ...], int]:
    """Spikes of all timesteps and the last membrane; in the step form the state is an input and an output."""
    if context.form == "unrolled" or neuron.decay == 0:
        return emit_observed(context.builder, neuron, source.tensors)
    found = []

    def emit(before: int) -> int:
        spike, membrane, after = emit_step(context.builder, neuron, source.tensors[0], before)
        found.extend((spike, membrane))
        return after

    context.state(node.name, node.shape, state_grid(neuron), emit)
    return (found[0],), found[1]
