"""Where the program meets the world: inputs, outputs, and the factors and offsets beside them."""

from __future__ import annotations

from ...network import nodes
from ...network.nodes import Node
from ...network.queries import input_shift
from ...program.grid import input_grid, shifted_input_grid
from ...program.names import Name
from .context import Context, Signal
from .factors import emit_relabel


def emit_input(context: Context, node: nodes.Input) -> Signal:
    low, high = context.input_ranges[node.name]
    grid = input_grid(low, high)
    if shift := input_shift(context.network, node):
        grid, _ = shifted_input_grid(low, high, shift)
    sequence = node.temporal and context.form == "unrolled"
    shape = (context.timesteps, *node.shape) if sequence else node.shape
    tensor = context.builder.activation(Name(node.name), shape, grid)
    context.inputs.append(tensor)
    if not sequence:
        return Signal((tensor,), grid)
    return Signal(context.builder.frames(tensor, node.name, node.shape, grid, context.timesteps), grid)


def emit_outputs(context: Context) -> tuple[int, ...]:
    """The tensors that leave the program: each one only once, and none that is an input or a state."""
    taken, outputs = [*context.inputs, *context.states.values()], []
    for name in context.network.outputs:
        tensor = emit_output(context, name)
        if tensor in taken:
            tensor = context.builder.copy(tensor, Name(name, "output", index=str(len(outputs))))
        outputs.append(tensor)
        taken.append(tensor)
    return tuple(outputs)


def _in_ones(context: Context, node: Node) -> Signal:
    """The value of a node; levels of graded spikes, and their sums, with a scale of 1."""
    signal = context.signals[node.name]
    if not signal.grid.counts or signal.grid.unit == 1:
        return signal
    return emit_relabel(context.builder, node, signal, 1.0)


def emit_output(context: Context, name: str) -> int:
    """The tensor that holds the value of node `name`; timesteps are stacked on axis 1."""
    node, builder = context.network[name], context.builder
    signal = _in_ones(context, node)
    if not node.temporal or context.form == "step":
        return signal.tensors[0]
    frames = tuple(
        builder.reshape(tensor, Name(name, "frame", t), (1, *node.shape), signal.grid)
        for t, tensor in enumerate(signal.tensors)
    )
    if len(frames) == 1:
        return frames[0]
    return builder.join(frames, Name(name, "sequence"), (len(frames), *node.shape), signal.grid, axis=1)
