"""Layers that join, repeat, pad and cut images: plain data movement, and sums of integers."""

from __future__ import annotations

from collections.abc import Sequence

from .builder import Builder
from .firing import SPIKE
from .grid import INT8_MAX, Grid, with_zero
from .movement import emit_pad, emit_reshape, emit_slice
from .network import LIF, Add, Concatenate, Crop, Upsample, ZeroPad
from .signal import Context, Signal, fused_neuron, per_timestep

Pairs = Sequence[tuple[int, int]]


def emit_add(context: Context, node: Add, *sources: Signal) -> Signal:
    """A chain of ADD with one scale for all: sums of spikes, or of currents on one grid.

    The last one fires where the neuron behind it carries no state.
    """
    grid, neuron = sum_grid(node, [source.grid for source in sources]), fused_neuron(context, node)
    total = sources[0]
    for position, source in enumerate(sources[1:], start=1):
        pairs = list(zip(total.tensors, source.tensors, strict=True))
        if neuron and source is sources[-1] and all(first != second for first, second in pairs):
            return Signal(emit_fired_sums(context.builder, neuron, pairs), SPIKE)
        name = f"{node.name}/sum/{position}" if len(sources) > 2 else f"{node.name}/sum"
        total = Signal(emit_sums(context.builder, node, name, pairs, grid), grid)
    return total


def emit_sums(builder: Builder, node: Add, name: str, pairs: Pairs, grid: Grid) -> tuple[int, ...]:
    constant = len(set(pairs)) == 1
    return tuple(
        builder.emit("ADD", pair, name if constant else f"{name}/{t}", node.shape, grid) for t, pair in enumerate(pairs)
    )


def emit_fired_sums(builder: Builder, neuron: LIF, pairs: Pairs) -> tuple[int, ...]:
    """Rounds sums of two currents to spikes, as ADD(sum, 0) would."""
    return tuple(
        builder.emit("ADD", pair, f"{neuron.name}/spike/{t}", neuron.shape, SPIKE, activation="RELU_N1_TO_1")
        for t, pair in enumerate(pairs)
    )


def sum_grid(node: Add, grids: list[Grid]) -> Grid:
    if len({(grid.scale, grid.zero_point) for grid in grids}) > 1:
        raise ValueError(
            f"Cannot export layer '{node.name}': it adds values that no neuron brings onto one grid. "
            "Let a spiking layer read the sum, or add spikes to spikes."
        )
    low, high = sum(grid.low for grid in grids), sum(grid.high for grid in grids)
    if not grids[0].counts:
        return Grid(grids[0].scale)
    if max(-low, high) > INT8_MAX:
        raise ValueError(
            f"Cannot export layer '{node.name}': its sum of spikes may reach {max(-low, high)}, beyond int8's "
            f"{INT8_MAX}. Put a spiking layer in between."
        )
    return Grid(1.0, low=low, high=high)


def emit_concatenate(context: Context, node: Concatenate, *sources: Signal) -> Signal:
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
    name = f"{node.name}/joined"
    options = {"axis": len(node.shape)}
    tensors = tuple(
        context.builder.emit(
            "CONCATENATION", frame, name if constant else f"{name}/{t}", node.shape, grid, options=options
        )
        for t, frame in enumerate(frames)
    )
    return Signal(tensors, grid)


def emit_upsample(context: Context, node: Upsample, source: Signal) -> Signal:
    """Nearest neighbours by copying: a row of pixels (then a column) beside itself, and a reshape."""
    height, width, channels = context.builder.shape(source.tensors[0])
    rows, columns = node.factors

    def emit(tensor: int, name: str) -> int:
        if columns > 1:
            flat = emit_reshape(context.builder, tensor, f"{name}/pixels", (height * width, channels), source.grid)
            tensor = emit_copies(context.builder, flat, f"{name}/columns", columns, source.grid)
        if rows > 1:
            lines = (height, width * columns * channels)
            flat = emit_reshape(context.builder, tensor, f"{name}/lines", lines, source.grid)
            tensor = emit_copies(context.builder, flat, f"{name}/rows", rows, source.grid)
        return emit_reshape(context.builder, tensor, name, node.shape, source.grid)

    return Signal(per_timestep(source, f"{node.name}/upsampled", emit), source.grid)


def emit_copies(builder: Builder, tensor: int, name: str, copies: int, grid: Grid) -> int:
    """`(1, n, m)` to `(1, n, copies * m)`."""
    length, size = builder.shape(tensor)
    return builder.emit("CONCATENATION", (tensor,) * copies, name, (length, copies * size), grid, options={"axis": 2})


def emit_zero_pad(context: Context, node: ZeroPad, source: Signal) -> Signal:
    grid = with_zero(source.grid)

    def emit(tensor: int, name: str) -> int:
        return emit_pad(context.builder, tensor, name, node.name, node.padding, grid)

    return Signal(per_timestep(source, f"{node.name}/padded", emit), grid)


def emit_crop(context: Context, node: Crop, source: Signal) -> Signal:
    def emit(tensor: int, name: str) -> int:
        return emit_slice(context.builder, tensor, name, node.name, node.cropping, node.shape, source.grid)

    return Signal(per_timestep(source, f"{node.name}/cropped", emit), source.grid)
