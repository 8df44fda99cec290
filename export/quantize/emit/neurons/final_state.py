"""What a neuron carries on from the last timestep, as a value that is read: the membrane, cleared by a spike.

fired = MUL(spike, spike)                  @ 1.0      left out for binary spikes
keep  = SUB(1, fired) + RELU               @ 1.0
left  = MUL(membrane, keep)                @ step     integers unchanged
state = MUL(left, 1)                       @ step, where 2 * threshold is worth 1; left out where it is anyway
"""

from __future__ import annotations

from dataclasses import replace

from ....network import nodes
from ....program.grid import BINARY_SPIKE, Grid, float32
from ....program.names import Name
from ...integer_neuron import Neuron, step
from ..context import Context, Signal, integer_neuron
from .neuron import observe
from .resets import fired


def emit_final_state(context: Context, node: nodes.FinalState, source: Signal) -> Signal:
    neuron = integer_neuron(context, node)
    if node.name not in context.membranes:  # nobody reads the spikes
        spikes, membrane = observe(context, node, neuron, source)
        context.membranes[node.name] = membrane, spikes[-1]
    grid = Grid(step(neuron.quiet_steps), low=-neuron.quiet_steps if neuron.signed else Grid(1.0).low)
    grid = replace(grid, high=min(neuron.quiet_steps, grid.high))
    return Signal((_emit_left(context, node, neuron, *context.membranes[node.name], grid),), grid)


def _emit_left(context: Context, node: nodes.FinalState, neuron: Neuron, membrane: int, spike: int, grid: Grid) -> int:
    builder, shape, rank = context.builder, node.shape, len(node.shape)
    after = fired(builder, replace(neuron, name=node.name), spike, 0)
    one = builder.scalar(Name(node.name, "factor"), 1, 1.0, rank)
    keep = builder.emit("SUB", (one, after), Name(node.name, "keep", 0), shape, BINARY_SPIKE, activation="RELU")
    own = replace(grid, scale=neuron.step)
    left = builder.emit("MUL", (membrane, keep), Name(node.name, "state", 0), shape, own)
    if own == grid:
        return left
    label = builder.scalar(Name(node.name, "label"), 1, float32(grid.scale / own.scale), rank)
    return builder.emit("MUL", (left, label), Name(node.name, "scaled"), shape, grid)
