"""Layers that join, repeat, pad and cut images: plain data movement, and sums of integers."""

from __future__ import annotations

from ...network import nodes
from ...program.builder import Builder, emit_pad, emit_reshape, emit_slice
from ...program.grid import Grid, with_zero
from ...program.names import Name
from .context import Context, Signal, per_timestep


def emit_concatenate(context: Context, node: nodes.Concatenate, *sources: Signal) -> Signal:
    """CONCATENATION along the channels; all inputs lie on one grid."""
    if len({(source.grid.scale, source.grid.zero_point) for source in sources}) > 1:
        raise ValueError(
            f"Cannot export layer '{node.name}': its inputs lie on different grids. Concatenate spikes with spikes, or "
            "currents that the same spiking layer reads."
        )
    grid = Grid(
        sources[0].grid.scale,
        sources[0].grid.zero_point,
        min(source.grid.low for source in sources),
        max(source.grid.high for source in sources),
    )
    frames = list(zip(*(source.tensors for source in sources), strict=True))
    constant = len(set(frames)) == 1
    name = Name(node.name, "joined")
    options = {"axis": len(node.shape)}
    tensors = tuple(
        context.builder.emit(
            "CONCATENATION", frame, name if constant else name.at(t), node.shape, grid, options=options
        )
        for t, frame in enumerate(frames)
    )
    return Signal(tensors, grid)


def emit_upsample(context: Context, node: nodes.Upsample, source: Signal) -> Signal:
    """Nearest neighbours by copying: a row of pixels (then a column) beside itself, and a reshape."""
    height, width, channels = context.builder.shape(source.tensors[0])
    rows, columns = node.factors

    def emit(tensor: int, name: Name) -> int:
        if columns > 1:
            flat = emit_reshape(context.builder, tensor, name.part("pixels"), (height * width, channels), source.grid)
            tensor = emit_copies(context.builder, flat, name.part("columns"), columns, source.grid)
        if rows > 1:
            lines = (height, width * columns * channels)
            flat = emit_reshape(context.builder, tensor, name.part("lines"), lines, source.grid)
            tensor = emit_copies(context.builder, flat, name.part("rows"), rows, source.grid)
        return emit_reshape(context.builder, tensor, name, node.shape, source.grid)

    return Signal(per_timestep(source, Name(node.name, "upsampled"), emit), source.grid)


def emit_copies(builder: Builder, tensor: int, name: Name, copies: int, grid: Grid) -> int:
    """`(1, n, m)` to `(1, n, copies * m)`."""
    length, size = builder.shape(tensor)
    return builder.emit("CONCATENATION", (tensor,) * copies, name, (length, copies * size), grid, options={"axis": 2})


def emit_zero_pad(context: Context, node: nodes.ZeroPad, source: Signal) -> Signal:
    grid = with_zero(source.grid)

    def emit(tensor: int, name: Name) -> int:
        return emit_pad(context.builder, tensor, name, node.name, node.padding, grid)

    return Signal(per_timestep(source, Name(node.name, "padded"), emit), grid)


def emit_crop(context: Context, node: nodes.Crop, source: Signal) -> Signal:
    def emit(tensor: int, name: Name) -> int:
        return emit_slice(context.builder, tensor, name, node.name, node.cropping, node.shape, source.grid)

    return Signal(per_timestep(source, Name(node.name, "cropped"), emit), source.grid)


def emit_reshape_node(context: Context, node: nodes.Reshape, source: Signal) -> Signal:
    def emit(tensor: int, name: Name) -> int:
        return emit_reshape(context.builder, tensor, name, node.shape, source.grid)

    return Signal(per_timestep(source, Name(node.name, "reshaped"), emit), source.grid)


def emit_repeat(context: Context, node: nodes.Repeat, source: Signal) -> Signal:
    return Signal(source.tensors * context.timesteps, source.grid)
