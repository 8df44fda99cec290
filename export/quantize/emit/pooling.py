"""Pooling: maxima and sums over windows."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from ...network import nodes
from ...program.builder import Builder
from ...program.grid import INT8_MAX, INT8_MIN, Grid
from ...program.names import Name
from .context import Context, Signal, per_timestep
from .strides import Pair, emit_skip, needed_strides, split_strides, sum_stages, window_counts


def emit_max_pool(context: Context, node: nodes.MaxPool, source: Signal) -> Signal:
    options = {
        "filter_height": node.size[0],
        "filter_width": node.size[1],
        "stride_h": node.strides[0],
        "stride_w": node.strides[1],
        "padding": "SAME" if np.any(node.padding) else "VALID",
    }

    def emit(tensor: int, name: Name) -> int:
        return context.builder.emit("MAX_POOL_2D", (tensor,), name, node.shape, source.grid, options=options)

    return Signal(per_timestep(source, Name(node.name, "max"), emit), source.grid)


def emit_sum_pool(context: Context, node: nodes.SumPool, source: Signal) -> Signal:
    """Depthwise convolutions with ones; exact while the largest sum fits into int8."""
    builder, area = context.builder, math.prod(node.size)
    if not source.grid.counts or source.grid.bound * area > (INT8_MAX - INT8_MIN if node.wide else INT8_MAX):
        raise ValueError(
            f"Cannot export layer '{node.name}': the sum over its {node.size} window may reach "
            f"{source.grid.bound * area}, beyond int8's {INT8_MAX}. Use a smaller window, or a stride instead."
        )
    strides = needed_strides(builder.shape(source.tensors[0])[:2], node.size, node.strides)
    stages = sum_stages(node.size, strides)

    def emit(tensor: int, name: Name) -> int:
        grid = source.grid
        for index, (size, strides) in enumerate(stages, start=1):
            grid = summed(grid, math.prod(size))
            ones = Name(node.name, "ones", index=f"{size[0]}x{size[1]}" if len(stages) > 1 else "")
            label = name if index == len(stages) else name.part(f"stage{index}")
            tensor = _emit_sum(builder, tensor, label, size, strides, grid, ones=ones)
        return tensor

    return Signal(per_timestep(source, Name(node.name, "sum"), emit), summed(source.grid, area))


def summed(grid: Grid, count: int) -> Grid:
    """The grid of sums of so many values. Above 127 it starts at -128."""
    low, high = grid.low * count, grid.high * count
    return replace(grid, low=low, high=high, zero_point=INT8_MIN if high > INT8_MAX else 0)


def _emit_sum(builder: Builder, tensor: int, name: Name, size: Pair, strides: Pair, grid: Grid, *, ones: Name) -> int:
    """One depthwise convolution with ones; of a far stride nearer ones, and every so many of its sums."""
    near, left = split_strides(strides)
    *image, channels = builder.shape(tensor)
    kernel = builder.constant(ones, np.ones((1, *size, channels), np.int8), 1.0, channel_axis=3)
    index = f"{channels}" if grid.unit == 1 else f"{channels}@{grid.unit:.9g}"
    bias = builder.constant(Name("", "zeros", index=index), np.zeros(channels, np.int32), grid.unit)
    options = {"stride_h": near[0], "stride_w": near[1], "dilation_h_factor": 1, "dilation_w_factor": 1}
    options |= {"depth_multiplier": 1, "padding": "VALID"}
    emit = partial(builder.emit, "DEPTHWISE_CONV_2D", (tensor, kernel, bias), grid=grid, options=options)
    if left == (1, 1):
        return emit(name=name, shape=(*window_counts(image, size, near), channels))
    full = emit(name=name.part("full"), shape=(*window_counts(image, size, near), channels))
    return emit_skip(builder, full, name, left, (*window_counts(image, size, strides), channels), grid)
