"""Convolutions and matrix products as builtin operators with integer weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ...network import nodes
from ...network.nodes import NO_PADDING
from ...padding import same_padding
from ...program.builder import Builder
from ...program.grid import Grid, with_zero
from ...program.names import FIRST, Name, part_of
from ..weights import Weights, quantize_weights
from .strides import emit_skip, is_far, split_strides, window_counts
from .subpixels import emit_phases, needs_phases


@dataclass(frozen=True)
class Emission:
    """What a linear operator emits: values on `grid`, clipped by a fused activation.

    like: the grid of the layer's other timesteps, if `grid` is that of the first with another scale: the integers of
        kernel and bias are those for `like`.
    """

    grid: Grid
    activation: str = "NONE"
    like: Grid | None = None


def emit_linear(
    builder: Builder, node: nodes.Linear, tensor: int, name: Name, *, source: Grid, emission: Emission
) -> int:
    """Emits one linear operator from `tensor` (on `source`) to a new tensor as `emission` says."""
    if isinstance(node, nodes.Dense):
        if len(node.shape) != 1:
            return emit_linear(builder, pointwise(node), tensor, name, source=source, emission=emission)
        return _emit_dense(builder, node, tensor, name, source, emission)
    if isinstance(node, nodes.DepthwiseConv):
        if node.kernel.shape[3] != 1 and node.kernel.shape[2] != 1:
            return emit_linear(builder, block_diagonal(node), tensor, name, source=source, emission=emission)
        return _emit_depthwise(builder, node, tensor, name, source, emission)
    if isinstance(node, nodes.ConvTranspose):
        return _emit_transpose(builder, node, tensor, name, source, emission)
    return _emit_conv(builder, node, tensor, name, source, emission)


def integer_weights(node: nodes.Linear, source: Grid, target: Grid) -> Weights:
    """Kernel and bias as integers, output channels last: a depthwise kernel is `(kh, kw, in * multiplier)`."""
    kernel = node.kernel
    if isinstance(node, nodes.DepthwiseConv):
        kernel = kernel.reshape(*kernel.shape[:2], -1)
    per_channel = not (isinstance(node, nodes.Dense) and len(node.shape) == 1)
    grids = {"source": source, "target": target}
    return quantize_weights(
        node.name, kernel, node.bias, **grids, per_channel=per_channel, multipliers=node.multipliers
    )


def _weights(node: nodes.Linear, source: Grid, emission: Emission) -> Weights:
    if emission.like is None:
        return integer_weights(node, source, emission.grid)
    return integer_weights(node, source, emission.like).between(source, emission.grid)


def pointwise(node: nodes.Dense) -> nodes.Conv:
    """A Dense over the channels of an image is a 1 x 1 convolution."""
    if len(node.shape) != 3:
        same = f"Conv1D({node.shape[-1]}, 1) computes the same of (steps, channels)."
        way_out = same if len(node.shape) == 2 else "Add a Flatten before it."
        raise ValueError(
            f"Cannot export layer '{node.name}': Dense takes vectors or (height, width, channels) images. "
            f"Received: output shape {node.shape}. {way_out}"
        )
    return nodes.Conv(
        name=node.name,
        inputs=node.inputs,
        shape=node.shape,
        temporal=node.temporal,
        kernel=node.kernel[None, None],
        bias=node.bias,
        multipliers=node.multipliers,
    )


def block_diagonal(node: nodes.DepthwiseConv) -> nodes.Conv:
    """A full convolution for depth multipliers above 1, which Ethos-U's depthwise convolution does not take."""
    height, width, channels, depth = node.kernel.shape
    kernel = np.zeros((height, width, channels, channels, depth))
    diagonal = np.arange(channels)
    kernel[:, :, diagonal, diagonal] = node.kernel
    return nodes.Conv(
        name=node.name,
        inputs=node.inputs,
        shape=node.shape,
        temporal=node.temporal,
        bias=node.bias,
        multipliers=node.multipliers,
        kernel=kernel.reshape(height, width, channels, channels * depth),
        strides=node.strides,
        dilation=node.dilation,
        padding=node.padding,
    )


def _emit_dense(builder: Builder, node: nodes.Dense, tensor: int, name: Name, source: Grid, emission: Emission) -> int:
    weights = _weights(node, source, emission)
    operands = _operands(builder, node.name, tensor, weights.kernel.T, weights, source, emission, channel_axis=0)
    return builder.emit("FULLY_CONNECTED", operands, name, node.shape, emission.grid, activation=emission.activation)


def _emit_conv(builder: Builder, node: nodes.Conv, tensor: int, name: Name, source: Grid, emission: Emission) -> int:
    weights = _weights(node, source, emission)
    tensor, options = _window_options(builder, node, tensor, source)
    operands = _operands(builder, node.name, tensor, weights.kernel.transpose(3, 0, 1, 2), weights, source, emission, 0)
    return builder.emit(
        "CONV_2D", operands, name, node.shape, emission.grid, activation=emission.activation, options=options
    )


def _emit_depthwise(
    builder: Builder, node: nodes.DepthwiseConv, tensor: int, name: Name, source: Grid, emission: Emission
) -> int:
    weights = _weights(node, source, emission)
    tensor, options = _window_options(builder, node, tensor, source)
    operands = _operands(builder, node.name, tensor, weights.kernel[None], weights, source, emission, channel_axis=3)
    near, left = split_strides(node.strides)
    options |= {"depth_multiplier": node.kernel.shape[3], "stride_h": near[0], "stride_w": near[1]}
    emit = partial(builder.emit, "DEPTHWISE_CONV_2D", operands, activation=emission.activation, options=options)
    if left == (1, 1):
        return emit(name=name, shape=node.shape, grid=emission.grid)
    extent = [(taps - 1) * spread + 1 for taps, spread in zip(node.kernel.shape, node.dilation, strict=False)]
    shape = (*window_counts(builder.shape(tensor)[:2], extent, near), node.shape[-1])
    full = emit(name=name.part("full"), shape=shape, grid=emission.grid)
    return emit_skip(builder, full, name, left, node.shape, emission.grid)


def _emit_transpose(
    builder: Builder, node: nodes.ConvTranspose, tensor: int, name: Name, source: Grid, emission: Emission
) -> int:
    """TRANSPOSE_CONV of the full output, or cropped as TensorFlow's "same" does; any other cropping is a SLICE.

    Of a stride that Ethos-U55 does not take, convolutions.
    """
    weights = _weights(node, source, emission)
    if needs_phases(node, builder.shape(tensor)):
        mark = FIRST if emission.like else ""
        return emit_phases(builder, node, tensor, name, source=source, grid=emission.grid, weights=weights, mark=mark)
    kernel = weights.kernel.transpose(3, 0, 1, 2)
    _, kernel, bias = _operands(builder, node.name, tensor, kernel, weights, source, emission, 0)
    crops = [sum(axis) for axis in node.cropping]
    centred = all(axis == (total // 2, total - total // 2) for axis, total in zip(node.cropping, crops, strict=True))
    same = centred and crops == [max(k - s, 0) for k, s in zip(node.kernel.shape, node.strides, strict=False)]
    crops = crops if same else [0, 0]
    sizes = zip(builder.shape(tensor)[:2], node.strides, node.kernel.shape[:2], crops, strict=True)
    rows, columns = ((size - 1) * stride + taps - crop for size, stride, taps, crop in sizes)
    shape = (rows, columns, node.shape[-1])
    label = builder.constant(Name(node.name, "shape"), np.array([1, *shape], np.int32))
    options = {"stride_h": node.strides[0], "stride_w": node.strides[1], "padding": "SAME" if same else "VALID"}
    operands = (label, kernel, tensor, bias)
    if shape == node.shape:
        return builder.emit("TRANSPOSE_CONV", operands, name, shape, emission.grid, options=options)
    full = builder.emit("TRANSPOSE_CONV", operands, name.part("full"), shape, emission.grid, options=options)
    return builder.crop(full, name, node.name, node.cropping, node.shape, emission.grid)


def _operands(
    builder: Builder,
    layer: str,
    tensor: int,
    kernel: np.ndarray,
    weights: Weights,
    source: Grid,
    emission: Emission,
    channel_axis: int,
) -> tuple[int, int, int]:
    """Input, kernel and bias. One scale where all channels share it: the smallest file."""
    scale = weights.scale if np.ptp(weights.scale) else weights.scale[0]
    mark = FIRST if emission.like else ""
    kernel = builder.constant(
        Name(layer, f"kernel{mark}"), np.ascontiguousarray(kernel), scale, channel_axis=channel_axis
    )
    bias = builder.constant(Name(layer, f"bias{mark}"), weights.bias, scale * np.float32(source.scale))
    return tensor, kernel, bias


def _window_options(
    builder: Builder, node: nodes.Conv | nodes.DepthwiseConv, tensor: int, source: Grid
) -> tuple[int, dict]:
    """The (possibly explicitly padded) input and the options of its windows."""
    padding = "VALID"
    if node.padding != NO_PADDING and node.padding == _same(builder, node, tensor) and not is_far(node.strides):
        padding = "SAME"
    elif node.padding != NO_PADDING:
        name = part_of(builder.tensors[tensor].name, "padded")
        tensor = builder.pad(tensor, name, node.name, node.padding, with_zero(source))
    if isinstance(node, nodes.Conv) and is_far(node.strides) and builder.kind(tensor) == "PAD":
        # Vela merges a PAD into the convolution behind it, and then refuses the stride: a copy keeps them apart.
        grid = with_zero(source)
        tensor = emit_skip(
            builder, tensor, part_of(builder.tensors[tensor].name, "copy"), (1, 1), builder.shape(tensor), grid
        )
    return tensor, {
        "stride_h": node.strides[0],
        "stride_w": node.strides[1],
        "dilation_h_factor": node.dilation[0],
        "dilation_w_factor": node.dilation[1],
        "padding": padding,
    }


def _same(builder: Builder, node: nodes.Conv | nodes.DepthwiseConv, tensor: int) -> tuple[tuple[int, int], ...]:
    sizes = builder.shape(tensor)[:2]
    axes = zip(sizes, node.kernel.shape[:2], node.strides, node.dilation, strict=True)
    return tuple(same_padding(*axis) for axis in axes)
