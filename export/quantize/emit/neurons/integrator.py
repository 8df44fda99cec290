"""A leaky integrator that never fires, in builtin int8 operators: what a neuron does whose spikes nobody takes off.

state    = MUL(membrane, 1)                @ decay * step   integers unchanged; for decay 1 the membrane itself
membrane = ADD(state, current)             @ step           decay * membrane + current, rounded once, never a tie
With one decay per channel the leak is rounded too:   state = MUL(membrane, decays)   @ step
Of spikes without a kernel:   current = MUL(spike, n)       n steps a spike, as many as int8 has room for
"""

from __future__ import annotations

from fractions import Fraction

from ....network import nodes
from ....program.grid import Grid, float32
from ....program.names import Name
from ...integer_neuron import Decay, distinct
from ..context import Context, Signal, per_timestep
from .integrator_grids import integer_decay, most_steps
from .resets import decay_constant


def emit_integrator(context: Context, node: nodes.Integrator, source: Signal) -> Signal:
    """The membranes, one for each timestep."""
    decay = integer_decay(context.network, node)
    _check_ends(context, node, decay)
    source = _currents_of_spikes(context, node, source) if source.grid.counts else source
    if decay == 0:
        return source
    if context.form == "step":
        return Signal((_emit_streaming(context, node, source, decay),), source.grid)
    membranes = [source.tensors[0]]
    for t, current in enumerate(source.tensors[1:], start=1):
        state = _leaked(context, node, membranes[-1], decay, source.grid, t - 1)
        membranes.append(_integrated(context, node, state, current, source.grid, t))
    return Signal(tuple(membranes), source.grid)


def _check_ends(context: Context, node: nodes.Integrator, decay: Decay) -> None:
    if context.network.endless and max(distinct(decay)) == 1:
        raise ValueError(
            f"Cannot export layer {node.name!r}: in a stream without end a membrane needs a decay below 1, at most "
            f"62/63, or it grows without end. Received: decay={node.decay}. Train it with a smaller one, or give the "
            "number of timesteps, keras.Input((timesteps, *features))."
        )


def _emit_streaming(context: Context, node: nodes.Integrator, source: Signal, decay: Decay) -> int:
    membranes = []

    def emit(before: int) -> int:
        membranes.append(_integrated(context, node, before, source.tensors[0], source.grid, 0))
        return _leaked(context, node, membranes[0], decay, source.grid, 0)

    context.state(node.name, node.shape, _state_grid(source.grid, decay), emit)
    return membranes[0]


def _integrated(context: Context, node: nodes.Integrator, state: int, current: int, grid: Grid, t: int) -> int:
    return context.builder.emit("ADD", (state, current), Name(node.name, "membrane", t), node.shape, grid)


def _state_grid(grid: Grid, decay: Decay) -> Grid:
    return Grid(float32(float32(float(decay)) * grid.scale)) if isinstance(decay, Fraction) else grid


def _leaked(context: Context, node: nodes.Integrator, membrane: int, decay: Decay, grid: Grid, t: int) -> int:
    if decay == 1:
        return membrane
    operands = (membrane, decay_constant(context.builder, node.name, decay, len(node.shape)))
    return context.builder.emit("MUL", operands, Name(node.name, "state", t), node.shape, _state_grid(grid, decay))


def _currents_of_spikes(context: Context, node: nodes.Integrator, source: Signal) -> Signal:
    """As many steps for a spike as leave room for every membrane."""
    builder, steps = context.builder, most_steps(context.network, node) // source.grid.bound
    if steps < 2:
        raise ValueError(
            f"Cannot export layer {node.name!r}: int8 does not hold its membranes of sums of spikes up to "
            f"{source.grid.bound}, decay {node.decay}. Put a Dense or Conv2D layer in front of it."
        )
    grid, rank = Grid(float32(1 / steps)), len(node.shape)
    label = float32(grid.scale / source.grid.unit)
    constant = builder.scalar(Name(node.name, "steps"), steps, label, rank)

    def emit(tensor: int, name: Name) -> int:
        return builder.emit("MUL", (tensor, constant), name, node.shape, grid)

    return Signal(per_timestep(source, Name(node.name, "current"), emit), grid)
