"""Rules for convolutions: the layer and the Node that it reads, to Nodes with explicit kernels and paddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from .rule import POINTWISE, Rule, array, check_image, pair, rule, window


def _conv(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    kernel = _grouped(_image_kernel(array(layer, "kernel")), layer.groups)
    return (_windowed(nodes.Conv, layer, name, source, kernel, _bias(layer, layer.filters)),)


def _depthwise_conv(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    kernel = _image_kernel(array(layer, "kernel"))
    return (_windowed(nodes.DepthwiseConv, layer, name, source, kernel, _bias(layer, kernel[0, 0].size)),)


def _separable_conv(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A depthwise convolution without bias, then a 1x1 convolution."""
    kernel = _image_kernel(array(layer, "depthwise_kernel"))
    bias = np.zeros(kernel[0, 0].size)
    depthwise = _windowed(nodes.DepthwiseConv, layer, f"{name}_depthwise", source, kernel, bias)
    pointwise = _image_kernel(array(layer, "pointwise_kernel"))
    bias = _bias(layer, layer.filters)
    shape = (*depthwise.shape[:2], layer.filters)
    return depthwise, nodes.Conv(kernel=pointwise, bias=bias, **like(name, depthwise, shape=shape))


def _conv_transpose(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    _check_transposed(layer, source)
    strides = pair(layer.strides)
    kernel = _at_least(strides, _image_kernel(array(layer, "kernel")).transpose(0, 1, 3, 2))
    surplus = [kernel.shape[i] - strides[i] if layer.padding == "same" else 0 for i in (0, 1)]
    cropping = tuple((total // 2, total - total // 2) for total in surplus)
    size = [(source.shape[i] - 1) * strides[i] + kernel.shape[i] - surplus[i] for i in (0, 1)]
    shape = (*size, layer.filters)
    bias = _bias(layer, layer.filters)
    fields = like(name, source, shape=shape)
    return (nodes.ConvTranspose(kernel=kernel, bias=bias, strides=strides, cropping=cropping, **fields),)


def _check_transposed(layer: Any, source: Node) -> None:
    check_image(layer, source)
    if layer.output_padding is not None:
        raise ValueError(
            f"`output_padding` must be None. Received: layer {layer.name!r} with output_padding="
            f"{layer.output_padding}. Follow it with ZeroPadding or Cropping."
        )
    if pair(layer.dilation_rate) != (1, 1):
        raise ValueError(
            f"A transposed convolution must not be dilated; TensorFlow does not run it on a CPU either. Received: "
            f"layer {layer.name!r} with dilation_rate={layer.dilation_rate}. Use dilation_rate=1."
        )


def _at_least(size: tuple[int, int], kernel: np.ndarray) -> np.ndarray:
    """`kernel` with zeros behind its taps where it is smaller than `size`."""
    missing = [(0, max(size[i] - kernel.shape[i], 0)) for i in (0, 1)]
    return np.pad(kernel, (*missing, (0, 0), (0, 0)))


def _windowed(
    kind: type[nodes.Linear], layer: Any, name: str, source: Node, kernel: np.ndarray, bias: np.ndarray
) -> nodes.Linear:
    strides, dilation = pair(layer.strides), pair(layer.dilation_rate)
    extent = tuple((kernel.shape[i] - 1) * dilation[i] + 1 for i in (0, 1))
    padding, size = window(layer, source, extent, strides)
    fields = like(name, source, shape=(*size, len(bias)))
    return kind(kernel=kernel, bias=bias, strides=strides, dilation=dilation, padding=padding, **fields)


def _bias(layer: Any, channels: int) -> np.ndarray:
    return array(layer, "bias") if layer.use_bias else np.zeros(channels)


def _image_kernel(kernel: np.ndarray) -> np.ndarray:
    """A kernel over steps as one over an image of one row."""
    return kernel[None] if kernel.ndim == 3 else kernel


def _grouped(kernel: np.ndarray, groups: int) -> np.ndarray:
    """The block-diagonal kernel of a convolution whose groups see only their own channels."""
    height, width, inputs, outputs = kernel.shape
    full = np.zeros((height, width, inputs * groups, outputs))
    for group in range(groups):
        rows = slice(group * inputs, (group + 1) * inputs)
        columns = slice(group * outputs // groups, (group + 1) * outputs // groups)
        full[:, :, rows, columns] = kernel[..., columns]
    return full


WINDOW = "kernel_size strides padding data_format dilation_rate activation use_bias"
LORA = "lora_rank lora_alpha"  # `layer.kernel` is the sum

CONVOLUTIONS: Mapping[type, Rule] = {
    keras.layers.Conv2D: rule(_conv, f"filters groups {WINDOW} {LORA}"),
    keras.layers.DepthwiseConv2D: rule(_depthwise_conv, f"depth_multiplier {WINDOW}"),
    keras.layers.SeparableConv2D: rule(_separable_conv, f"filters depth_multiplier {WINDOW}"),
    keras.layers.Conv2DTranspose: rule(_conv_transpose, f"filters output_padding {WINDOW}"),
}
CONVOLUTIONS_OF_ROWS: Mapping[type, Rule] = {
    keras.layers.Conv1D: rule(_conv, f"filters groups {WINDOW} {LORA}"),
    keras.layers.DepthwiseConv1D: rule(_depthwise_conv, f"depth_multiplier {WINDOW}"),
    keras.layers.Conv1DTranspose: rule(_conv_transpose, f"filters output_padding {WINDOW}"),
    keras.layers.SeparableConv1D: rule(_separable_conv, f"filters depth_multiplier {WINDOW}"),
}


def _dense(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    kernel = array(layer, "kernel")
    bias = array(layer, "bias") if layer.use_bias else np.zeros(layer.units)
    return (nodes.Dense(kernel=kernel, bias=bias, **like(name, source, shape=(*source.shape[:-1], layer.units))),)


LINEAR: Mapping[type, Rule] = {
    keras.layers.Dense: rule(_dense, f"units activation use_bias {LORA}", time=POINTWISE),
}
