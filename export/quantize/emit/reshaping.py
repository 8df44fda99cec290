"""Layers that join, repeat, reshape, pad and cut: plain data movement."""

from __future__ import annotations

from dataclasses import replace

from ...network import nodes
from ...program.builder import Builder
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
    low, high = min(source.grid.low for source in sources), max(source.grid.high for source in sources)
    grid = replace(sources[0].grid, low=low, high=high)
    frames = list(zip(*(source.tensors for source in sources), strict=True))
    still, name, axis = len(set(frames)) == 1, Name(node.name, "joined"), len(node.shape)
    tensors = [
        context.builder.join(frame, name if still else name.at(t), node.shape, grid, axis=axis)
        for t, frame in enumerate(frames)
    ]
    return Signal(tuple(tensors), grid)


def emit_upsample(context: Context, node: nodes.Upsample, source: Signal) -> Signal:
    """Nearest neighbours by copying: a row of pixels (then a column) beside itself, and a reshape."""
    height, width, channels = context.builder.shape(source.tensors[0])
    rows, columns = node.factors

    def emit(tensor: int, name: Name) -> int:
        if columns > 1:
            flat = context.builder.reshape(tensor, name.part("pixels"), (height * width, channels), source.grid)
            tensor = emit_copies(context.builder, flat, name.part("columns"), columns, source.grid)
        if rows > 1:
            lines = (height, width * columns * channels)
            flat = context.builder.reshape(tensor, name.part("lines"), lines, source.grid)
            tensor = emit_copies(context.builder, flat, name.part("rows"), rows, source.grid)
        return context.builder.reshape(tensor, name, node.shape, source.grid)

    return Signal(per_timestep(source, Name(node.name, "upsampled"), emit), source.grid)


def emit_copies(builder: Builder, tensor: int, name: Name, copies: int, grid: Grid) -> int:
    """`(1, n, m)` to `(1, n, copies * m)`."""
    length, size = builder.shape(tensor)
    return builder.join((tensor,) * copies, name, (length, copies * size), grid, axis=2)


def emit_zero_pad(context: Context, node: nodes.ZeroPad, source: Signal) -> Signal:
    grid = with_zero(source.grid)

    def emit(tensor: int, name: Name) -> int:
        return context.builder.pad(tensor, name, node.name, node.padding, grid)

    return Signal(per_timestep(source, Name(node.name, "padded"), emit), grid)


def emit_crop(context: Context, node: nodes.Crop, source: Signal) -> Signal:
    def emit(tensor: int, name: Name) -> int:
        return context.builder.crop(tensor, name, node.name, node.cropping, node.shape, source.grid)

    return Signal(per_timestep(source, Name(node.name, "cropped"), emit), source.grid)


def emit_reshape_node(context: Context, node: nodes.Reshape, source: Signal) -> Signal:
    def emit(tensor: int, name: Name) -> int:
        return context.builder.reshape(tensor, name, node.shape, source.grid)

    return Signal(per_timestep(source, Name(node.name, "reshaped"), emit), source.grid)


def emit_repeat(context: Context, node: nodes.Repeat, source: Signal) -> Signal:
    return Signal(source.tensors * context.timesteps, source.grid)
