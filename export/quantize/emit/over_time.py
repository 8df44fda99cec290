"""One value of all timesteps: the last, the largest; the sum of the last ones. Sums of all are in `sums`.

Unrolled, the largest is MAX_POOL_2D over timesteps stacked as rows of an image. In the step form it is that of the
state and the step, the state one that every step exceeds at first: it holds x - low, and starts at 0.

In a stream without end the state is the timesteps of a window but one, as rows of an image. With the step behind them
they are summed by a depthwise convolution with ones; without the first they are the next state. So are the last
timesteps that a layer reads; unrolled they are joined at each timestep.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from ...program.builder import Builder
from ...program.grid import INT8_MAX, INT8_MIN, Grid, float32, with_zero
from ...program.names import Name
from .context import Context, Signal
from .linear import Emission, emit_linear
from .pooling import emit_sum_pool


def emit_last_timestep(context: Context, node: nodes.LastTimestep, source: Signal) -> Signal:
    """In the step form the step itself: after as many as there are timesteps, the last."""
    return Signal(source.tensors[-1:], source.grid)


def emit_time_max(context: Context, node: nodes.TimeMax, source: Signal) -> Signal:
    if context.form == "step":
        return Signal((_emit_so_far(context, node, source),), source.grid)
    tensors = tuple(dict.fromkeys(source.tensors))
    if len(tensors) == 1:
        return Signal(tensors, source.grid)
    largest = _emit_largest(context.builder, node, tensors, source.grid, Name(node.name, "max").part("pixels"))
    return Signal((context.builder.reshape(largest, Name(node.name, "max"), node.shape, source.grid),), source.grid)


def emit_recent(context: Context, node: nodes.RecentTimesteps, source: Signal) -> Signal:
    """The rows of the last timesteps; of those before the first real zeros."""
    grid = with_zero(source.grid)
    if context.form == "step":
        return Signal((_emit_kept(context, node, source.tensors[0], grid, node.timesteps),), grid)
    name, frames = Name(node.name, "joined"), source.tensors
    ends = range(1, len(frames) + 1)
    recent = (frames[max(0, end - node.timesteps) : end] for end in ends)
    joined = [_emit_joined(context.builder, node, some, name.at(t), grid) for t, some in enumerate(recent)]
    return Signal(tuple(joined), grid)


def _emit_joined(builder: Builder, node: nodes.RecentTimesteps, frames: tuple[int, ...], name: Name, grid: Grid) -> int:
    """Behind zeros for what is missing."""
    rows, *others = node.shape
    missing = (node.timesteps - len(frames)) * (rows // node.timesteps)
    if missing:
        zeros = np.full((1, missing, *others), grid.zero_point, np.int8)
        called = Name(node.name, "zeros", index=str(missing))
        frames = (builder.constant(called, zeros, grid.scale, zero_point=grid.zero_point), *frames)
    return frames[0] if len(frames) == 1 else builder.join(frames, name, node.shape, grid, axis=1)


def emit_window_sum(context: Context, node: nodes.TimeSum, source: Signal) -> int:
    """The sum of spikes at the last `network.timesteps` timesteps; those before the first are 0."""
    window = context.network.timesteps
    if window == 1:
        return source.tensors[0]
    rows = _emit_window(context, node, source)
    pool = nodes.SumPool(size=(window, 1), strides=(1, 1), **like(node.name, node, shape=_row(node)))
    total = emit_sum_pool(context, pool, Signal((rows,), source.grid))
    return context.builder.reshape(total.tensors[0], Name(node.name, "sum").part("rows"), node.shape, total.grid)


def emit_membrane_sum(context: Context, node: nodes.TimeSum, source: Signal) -> Signal:
    """Of membranes: a depthwise convolution over all timesteps, rounded once to a step of their mean."""
    timesteps, channels, builder = context.network.timesteps, node.shape[-1], context.builder
    if timesteps == 1:
        return source
    rows = _emit_window(context, node, source) if context.form == "step" else _emit_rows(builder, node, source)
    ones = nodes.DepthwiseConv(
        **like(node.name, node, shape=_row(node)),
        kernel=np.ones((timesteps, 1, channels, 1)),
        bias=np.zeros(channels),
    )
    grid, name = Grid(float32(source.grid.scale * timesteps)), Name(node.name, "sum")
    total = emit_linear(builder, ones, rows, name.part("rows"), source=source.grid, emission=Emission(grid))
    return Signal((builder.reshape(total, name, node.shape, grid),), grid)


def _emit_window(context: Context, node: nodes.TimeSum, source: Signal) -> int:
    """The last timesteps as rows, oldest first: a state, and the step behind it."""
    last = context.builder.reshape(source.tensors[0], Name(node.name, "frame", 0), _row(node), source.grid)
    return _emit_kept(context, node, last, source.grid, context.network.timesteps)


def _emit_kept(context: Context, node: Node, last: int, grid: Grid, timesteps: int) -> int:
    """The rows of so many timesteps, the last of which is given: a state, and that one behind it."""
    builder = context.builder
    rows, *others = builder.shape(last)
    image, kept = (timesteps * rows, *others), ((timesteps - 1) * rows, *others)
    joined: list[int] = []
    if timesteps == 1:
        return last

    def emit(before: int) -> int:
        joined.append(builder.join((before, last), Name(node.name, "joined"), image, grid, axis=1))
        return builder.crop(joined[0], Name(node.name, "rows"), node.name, ((rows, 0), (0, 0)), kept, grid)

    context.state(node.name, kept, grid, emit)
    return joined[0]


def _emit_rows(builder: Builder, node: Node, source: Signal) -> int:
    """All timesteps as rows of an image, `(timesteps, pixels, channels)`."""
    frames = enumerate(source.tensors)
    rows = tuple(builder.reshape(one, Name(node.name, "frame", t), _row(node), source.grid) for t, one in frames)
    return builder.join(rows, Name(node.name, "joined"), (len(rows), *_row(node)[1:]), source.grid, axis=1)


def _emit_largest(builder: Builder, node: nodes.TimeMax, tensors: tuple[int, ...], grid: Grid, name: Name) -> int:
    """The largest of tensors, `(1, pixels, channels)`."""
    joined = _emit_rows(builder, node, Signal(tensors, grid))
    options = {"filter_height": len(tensors), "filter_width": 1, "stride_h": 1, "stride_w": 1, "padding": "VALID"}
    return builder.emit("MAX_POOL_2D", (joined,), name, _row(node), grid, options=options)


def _row(node: Node) -> tuple[int, int, int]:
    """The shape of a timestep as a row of pixels."""
    return 1, math.prod(node.shape[:-1]), node.shape[-1]


def _emit_so_far(context: Context, node: nodes.TimeMax, source: Signal) -> int:
    builder, grid = context.builder, source.grid
    lifted, steps = state_grid(grid)
    row = builder.reshape(source.tensors[0], Name(node.name, "frame", 0), _row(node), grid)
    row = _emit_moved(builder, row, Name(node.name, "shifted"), lifted, steps)
    emit = partial(_emit_so_far_of, builder, node, row, lifted)
    largest = context.state(node.name, _row(node), lifted, emit)
    largest = _emit_moved(builder, largest, Name(node.name, "max").part("pixels"), grid, -steps)
    return builder.reshape(largest, Name(node.name, "max"), node.shape, grid)


def _emit_so_far_of(builder: Builder, node: nodes.TimeMax, row: int, grid: Grid, before: int) -> int:
    return _emit_largest(builder, node, (before, row), grid, Name(node.name, "max").part("rows"))


def state_grid(grid: Grid) -> tuple[Grid, int]:
    """The grid of x - low for x on `grid`, and -low in steps: no step is below 0 there, where the state starts."""
    low = grid.low if grid.counts else INT8_MIN - grid.zero_point
    if grid.high - low <= INT8_MAX:
        return replace(grid, zero_point=0, low=0, high=grid.high - low), -low
    return replace(grid, zero_point=INT8_MIN, low=0, high=INT8_MAX - INT8_MIN), -low


def _emit_moved(builder: Builder, tensor: int, name: Name, grid: Grid, steps: int) -> int:
    """ADD of a number of steps: the integers move, none is rounded."""
    if steps == 0:
        return tensor
    data = int(np.clip(steps, INT8_MIN, INT8_MAX))
    layer, shape = Name(name.layer, "offset", index=f"0{steps:+d}"), builder.shape(tensor)
    number = np.full([1] * (len(shape) + 1), data, np.int8)
    constant = builder.constant(layer.ranked(len(shape)), number, grid.scale, zero_point=data - steps)
    return builder.emit("ADD", (tensor, constant), name, shape, grid)
