"""Linear nodes as Keras layers with the integers that `quantize` chose for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_ternary_spike import exact

from . import network as nodes
from .decisions import DTYPE, Decisions, Layers
from .exact_rules import check_exact
from .grid import INT8_MAX
from .linear import integer_weights
from .network import NO_PADDING, Node
from .padding import same_padding
from .signal import fused_neuron


def linear(kind: type[exact.ExactLinear], **options: Any) -> Callable[[Decisions, Node], Layers]:
    """options: of the layer, each a function of the node and of the Node that it reads."""

    def layers(decisions: Decisions, node: nodes.Linear) -> Layers:
        emitted = decisions.context.network[node.name]
        source, target = decisions.grid(emitted.inputs[0]), decisions.grid(node.name)
        weights = integer_weights(emitted, source, target)
        runs = emitted.kernel.size // node.kernel.size  # a Dense behind a sum that was cut repeats its kernel
        half, fires = decisions.half(node.name), fused_neuron(decisions.context, emitted) is not None
        check_exact(node.name, weights.kernel.astype(np.float64), weights.bias, source.bound)
        layer = kind(
            multipliers=[str(multiplier) for multiplier in weights.multipliers],
            input_scale=source.scale,
            output_scale=target.scale,
            input_bound=source.bound * runs,
            rounded=not fires,
            reach=None if fires or half is None else max(2 * half + 1, INT8_MAX),
            masked=bool(np.any(node.kernel == 0)),
            name=node.name,
            dtype=DTYPE,
            **{name: option(node, decisions.folded[node.inputs[0]]) for name, option in options.items()},
        )
        return [(layer, _weights(layer, node, weights.kernel[: len(weights.kernel) // runs], weights.bias))]

    return layers


def _weights(layer: exact.ExactLinear, node: nodes.Linear, kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Float32 weights of `node` that the layer rounds to these integers, and where kernel numbers may differ from 0."""
    kernel_rounding, bias_rounding = layer.roundings(node.kernel.shape)
    values = [
        rounding_to(kernel.reshape(node.kernel.shape), node.kernel, kernel_rounding),
        rounding_to(bias, node.bias, bias_rounding),
    ]
    return [*values, (node.kernel != 0).astype(np.float32)] if layer.masked else values


def rounding_to(integers: np.ndarray, weights: np.ndarray, rounding: Any) -> np.ndarray:
    """`weights` in float32; where that is rounded elsewhere than in float64, the middle of the step."""
    weights, steps = weights.astype(np.float32), integers / rounding.step
    middle = (steps / rounding.inverse).astype(np.float32)
    return np.where(np.rint(weights * rounding.inverse) == steps, weights, middle)


def _keras_padding(node: nodes.Conv | nodes.DepthwiseConv, source: Node) -> str | nodes.Padding:
    axes = zip(source.shape[:2], node.kernel.shape[:2], node.strides, node.dilation, strict=True)
    if node.padding == NO_PADDING:
        return "valid"
    return "same" if node.padding == tuple(same_padding(*axis) for axis in axes) else node.padding


def _size(node: Node, source: Node) -> tuple[int, int]:
    return node.kernel.shape[:2]


def _strides(node: Node, source: Node) -> tuple[int, int]:
    return node.strides


WINDOW = {
    "kernel_size": _size,
    "strides": _strides,
    "dilation_rate": lambda node, source: node.dilation,
    "padding": _keras_padding,
}

LINEARS: Mapping[type[Node], Callable[[Decisions, Any], Layers]] = {
    nodes.Dense: linear(exact.ExactDense),
    nodes.Conv: linear(exact.ExactConv2D, **WINDOW),
    nodes.DepthwiseConv: linear(exact.ExactDepthwiseConv2D, **WINDOW),
    nodes.ConvTranspose: linear(
        exact.ExactConv2DTranspose,
        kernel_size=_size,
        strides=_strides,
        cropping=lambda node, source: node.cropping,
    ),
}
