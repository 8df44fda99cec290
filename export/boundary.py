"""Where the program meets the world: inputs, outputs, and the factors and offsets beside them."""

from __future__ import annotations

import numpy as np

from .builder import Builder
from .grid import INT8_MAX, INT8_MIN, Grid, float32, input_grid, shifted_input_grid, step
from .movement import emit_reshape
from .network import Affine, Input, Network
from .signal import Context, Signal, per_timestep


def emit_input(context: Context, node: Input) -> Signal:
    low, high = context.input_ranges[node.name]
    grid = input_grid(low, high)
    if shift := input_shift(context.network, node):
        grid, _ = shifted_input_grid(low, high, shift)
    sequence = node.temporal and context.form == "unrolled"
    shape = (context.timesteps, *node.shape) if sequence else node.shape
    tensor = context.builder.activation(node.name, shape, grid)
    context.inputs.append(tensor)
    return Signal(slices(context.builder, node, tensor, grid, context.timesteps) if sequence else (tensor,), grid)


def slices(builder: Builder, node: Input, tensor: int, grid: Grid, timesteps: int) -> tuple[int, ...]:
    """Cuts `(1, timesteps, rows, ...)` into timesteps along the rows, so that no tensor has five axes."""
    rows, *rest = node.shape
    flat = emit_reshape(builder, tensor, f"{node.name}/rows", (timesteps * rows, *rest), grid)
    if timesteps == 1:
        return (flat,)
    size = builder.constant(f"{node.name}/size", np.array([1, rows, *rest], np.int32))
    return tuple(
        builder.emit("SLICE", (flat, begin, size), f"{node.name}/frame/{t}", node.shape, grid)
        for t in range(timesteps)
        for begin in [builder.constant(f"{node.name}/begin/{t}", np.array([0, t * rows, *[0] * len(rest)], np.int32))]
    )


def input_shift(network: Network, node: Input) -> float:
    """The offset that an Affine behind the input adds to all channels alike, or 0."""
    readers = network.consumers(node.name)
    if len(readers) == 1 and isinstance(readers[0], Affine):
        return float(readers[0].offset.flat[0] / readers[0].scale.flat[0])
    return 0.0


def emit_affine(context: Context, node: Affine, source: Signal) -> Signal:
    """After the input: the same integers under another zero point. At the output: under another scale.

    Between spikes and a neuron (an identity shortcut): each spike is worth a whole number of steps of its current.
    """
    builder, scale, offset = context.builder, node.scale, node.offset
    if node.name in context.currents:
        return emit_shortcut(context, node, source)
    if np.ptp(scale) or np.ptp(offset):
        raise ValueError(
            f"Cannot export layer '{node.name}': a factor per channel needs a layer with weights beside it. "
            "Add a Dense or Conv2D layer before or after it."
        )
    scale, offset = float(np.ravel(scale)[0]), float(np.ravel(offset)[0])
    if source.grid.counts and offset == 0:
        return emit_relabel(builder, node, source, scale)
    if scale == 1 and isinstance(context.network[node.inputs[0]], Input):
        return emit_shift(context, node, source, offset)
    raise ValueError(
        f"Cannot export layer '{node.name}': it is neither at the input nor a plain factor at the output. "
        "Fold it into a neighbouring Dense or Conv2D layer."
    )


def emit_shift(context: Context, node: Affine, source: Signal, offset: float) -> Signal:
    _, grid = shifted_input_grid(*context.input_ranges[node.inputs[0]], offset)
    if grid == source.grid:
        return source
    steps = source.grid.zero_point - grid.zero_point
    data = np.clip(steps, INT8_MIN, INT8_MAX)
    name, rank = f"{node.name}/offset", len(node.shape)
    constant = context.builder.constant(
        name, np.full([1] * (rank + 1), data, np.int8), grid.scale, zero_point=int(data - steps)
    )

    def emit(tensor: int, name: str) -> int:
        return context.builder.emit("ADD", (tensor, constant), name, node.shape, grid)

    return Signal(per_timestep(source, f"{node.name}/shifted", emit), grid)


def emit_shortcut(context: Context, node: Affine, source: Signal) -> Signal:
    """MUL by the integer number of steps that one spike brings, per channel or for all."""
    if not source.grid.counts or np.any(node.offset):
        raise ValueError(
            f"Cannot export layer '{node.name}': a shortcut must bring spikes, scaled, without an offset. "
            "Put the offset into the layer beside it."
        )
    current = context.currents[node.name]
    grid, steps = current.grid, np.floor(np.atleast_1d(node.scale) / step(current.half) + 0.5)
    shape = [1] * len(node.shape) + [len(steps)]
    constant = context.builder.constant(f"{node.name}/steps", steps.astype(np.int8).reshape(shape), grid.scale)

    def emit(tensor: int, name: str) -> int:
        return context.builder.emit("MUL", (tensor, constant), name, node.shape, grid)

    return Signal(per_timestep(source, f"{node.name}/current", emit), grid)


def emit_relabel(builder: Builder, node: Affine, source: Signal, scale: float) -> Signal:
    """MUL by the constant 1 (or -1) of another scale: the integers pass unchanged."""
    grid = Grid(float32(abs(scale)), low=source.grid.low, high=source.grid.high)
    sign = np.full([1] * (len(node.shape) + 1), np.sign(scale), np.int8)
    constant = builder.constant(f"{node.name}/factor", sign, grid.scale)

    def emit(tensor: int, name: str) -> int:
        return builder.emit("MUL", (tensor, constant), name, node.shape, grid)

    return Signal(per_timestep(source, f"{node.name}/scaled", emit), grid)


def emit_outputs(context: Context) -> tuple[int, ...]:
    """The tensors that leave the program: each one only once, and none that is an input or a state."""
    taken, outputs = [*context.inputs, *context.states.values()], []
    for name in context.network.outputs:
        tensor = emit_output(context, name)
        if tensor in taken:
            tensor = emit_copy(context.builder, tensor, f"{name}/output/{len(outputs)}")
        outputs.append(tensor)
        taken.append(tensor)
    return tuple(outputs)


def emit_copy(builder: Builder, tensor: int, name: str) -> int:
    """RESHAPE to the same shape."""
    original = builder.tensors[tensor]
    constant = builder.constant(f"{name}/shape", np.array(original.shape, np.int32))
    grid = Grid(float(original.scale), original.zero_point)
    options = {"new_shape": original.shape}
    return builder.emit("RESHAPE", (tensor, constant), name, original.shape[1:], grid, options=options)


def emit_output(context: Context, name: str) -> int:
    """The tensor that holds the value of node `name`; timesteps are stacked on axis 1."""
    node, signal, builder = context.network[name], context.signals[name], context.builder
    if not node.temporal or context.form == "step":
        return signal.tensors[0]
    frames = tuple(
        emit_reshape(builder, tensor, f"{name}/frame/{t}", (1, *node.shape), signal.grid)
        for t, tensor in enumerate(signal.tensors)
    )
    if len(frames) == 1:
        return frames[0]
    shape = (len(frames), *node.shape)
    return builder.emit("CONCATENATION", frames, f"{name}/sequence", shape, signal.grid, options={"axis": 1})
