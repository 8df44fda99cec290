"""Rules for the layers of a model trained on integers: the layer and the Node that it reads, to Nodes.

The nodes hold the layer's own integers, as real numbers, and its multipliers and grids, so that `quantize` arrives at
the integers that were trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import exact

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from .rule import ENDING, POINTWISE, SEQUENTIAL, Build, Rule, array, pair, rule, window

FLOAT32_EXACT = 2**24


def check_exact(layer: str, kernel: np.ndarray, bias: np.ndarray, input_bound: int) -> None:
    """Raises ValueError where float32 might not count a sum of products exactly.

    kernel, bias: integers, output channels last. input_bound: the largest |input|, in steps.
    """
    worst = np.abs(kernel).reshape(-1, len(bias)).sum(axis=0) * float(input_bound) + np.abs(bias)
    if worst.max() > FLOAT32_EXACT:
        raise ValueError(
            f"Sums of products must stay within {FLOAT32_EXACT}, to which float32 counts exactly. Received: up to "
            f"{worst.max():.0f} in layer {layer!r}. Give the layer fewer inputs (a pooling before it), or train it "
            "as a float layer and export that."
        )


def _linear(layer: exact.ExactLinear) -> dict[str, Any]:
    """The fields that every Linear has. Checks the weights and the accumulators."""
    for weight in ("kernel", "bias"):
        array(layer, weight)
    kernel, bias = (
        np.asarray(keras.ops.convert_to_numpy(x), np.float64) for x in (layer.kernel_integers(), layer.bias_integers())
    )
    by_channel = kernel.reshape(*kernel.shape[:2], -1) if isinstance(layer, exact.ExactDepthwiseConv2D) else kernel
    check_exact(layer.name, by_channel, bias, layer.input_bound)
    unit = layer.output_scale * np.array([float(multiplier) for multiplier in layer.multipliers])
    return {
        "kernel": (by_channel * (unit / layer.input_scale)).reshape(kernel.shape),
        "bias": bias * unit,
        "multipliers": layer.multipliers,
        "scale": layer.output_scale,
        "zero_point": layer.output_zero_point,
    }


def _dense(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (nodes.Dense(**_linear(layer), **like(name, source, shape=(*source.shape[:-1], layer.channels))),)


def _windowed(kind: type[Node]) -> Build:
    def build(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
        strides, dilation = pair(layer.strides), pair(layer.dilation_rate)
        extent = tuple((size - 1) * d + 1 for size, d in zip(layer.kernel_size, dilation, strict=True))
        if isinstance(layer.padding, str):
            padding, size = window(layer, source, extent, strides)
        else:
            padding = layer.padding
            size = tuple((source.shape[i] + sum(padding[i]) - extent[i]) // strides[i] + 1 for i in (0, 1))
        fields = like(name, source, shape=(*size, layer.channels))
        return (kind(strides=strides, dilation=dilation, padding=padding, **_linear(layer), **fields),)

    return build


def _transposed(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    sizes = zip(source.shape, layer.strides, layer.kernel_size, layer.cropping, strict=False)
    size = tuple((pixels - 1) * stride + taps - sum(crop) for pixels, stride, taps, crop in sizes)
    fields = like(name, source, shape=(*size, layer.channels))
    return (nodes.ConvTranspose(strides=layer.strides, cropping=layer.cropping, **_linear(layer), **fields),)


def _lif(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    numbers = {"decay": float(layer.decay), "threshold": 0.5, "amplitude": 1.0}
    levels = {"signed": layer.signed, "levels": layer.levels}
    return (nodes.LIF(**numbers, **levels, quiet_steps=layer.half, **like(name, source)),)


def _shortcut(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    scale = np.array(layer.steps) * layer.scale
    return (nodes.Affine(scale=scale if len(scale) > 1 else scale[0], offset=np.zeros(()), **like(name, source)),)


def _shift(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (nodes.Affine(scale=np.ones(()), offset=np.asarray(layer.offset), **like(name, source)),)


def _sum_pool(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    size = ((source.shape[i] - layer.pool_size[i]) // layer.strides[i] + 1 for i in (0, 1))
    fields = like(name, source, shape=(*size, source.shape[-1]))
    return (nodes.SumPool(size=layer.pool_size, strides=layer.strides, **fields),)


def _time_sum(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (nodes.TimeSum(**like(name, source, temporal=False)),)


def _unchanged(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return ()


WEIGHTS = "multipliers input_scale output_scale output_zero_point input_bound"
WINDOW = "kernel_size strides dilation_rate padding"
CLIPPING = "rounded reach masked"  # follows from what reads the value

EXACT: Mapping[type, Rule] = {
    exact.ExactInput: rule(_unchanged, "input_range", "scale zero_point", POINTWISE),
    exact.ExactShift: rule(_shift, "offset", "steps", POINTWISE),
    exact.ExactDense: rule(_dense, WEIGHTS, CLIPPING),
    exact.ExactConv2D: rule(_windowed(nodes.Conv), f"{WEIGHTS} {WINDOW}", CLIPPING),
    exact.ExactDepthwiseConv2D: rule(_windowed(nodes.DepthwiseConv), f"{WEIGHTS} {WINDOW}", CLIPPING),
    exact.ExactConv2DTranspose: rule(_transposed, f"{WEIGHTS} kernel_size strides cropping", CLIPPING),
    exact.ExactLIF: rule(_lif, "decay half signed levels", "fires_only", SEQUENTIAL),
    exact.ExactShortcut: rule(_shortcut, "steps scale", time=POINTWISE),
    exact.ExactSumPooling2D: rule(_sum_pool, "pool_size strides"),
    exact.ExactTimeSum: rule(_time_sum, time=ENDING),
    exact.ExactOutput: rule(_unchanged, "", "scale", POINTWISE),
}
