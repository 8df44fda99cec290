"""One rule per Keras layer type: the layer and the Node that it reads, to the Nodes that stand for it.

RULES maps a type to a function (layer, name, source) -> nodes, the last of which holds the value; none where the
layer changes nothing in inference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import BinaryLIF, BinaryLIFCell, DirectEncoding, TernaryLIF, TernaryLIFCell, TimeAverage

from .network import LIF, NO_PADDING, Affine, AveragePool, Conv, Dense, DepthwiseConv, MaxPool, Node, Padding
from .network import Repeat as RepeatNode
from .network import Reshape as ReshapeNode
from .network import TimeAverage as TimeAverageNode

Rule = Callable[[Any, str, Node], tuple[Node, ...]]


def array(layer: Any, weight: str) -> np.ndarray:
    """A weight as float64. Raises ValueError where it is not finite."""
    values = np.asarray(keras.ops.convert_to_numpy(getattr(layer, weight)), np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"Weights must be finite. Received: NaN or infinity in {weight!r} of layer {layer.name!r}.")
    return values


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's padding="same": as many outputs as strides fit in `size`; the odd pixel goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _unchanged(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return ()


def _rescaling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    values = (np.asarray(keras.ops.convert_to_numpy(value), np.float64) for value in (layer.scale, layer.offset))
    return (_affine(layer, name, source, *values),)


def _batch_normalization(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the moving statistics."""
    scale = 1 / np.sqrt(array(layer, "moving_variance") + layer.epsilon)
    scale = scale * array(layer, "gamma") if layer.scale else scale
    offset = -array(layer, "moving_mean") * scale
    offset = offset + array(layer, "beta") if layer.center else offset
    return (_affine(layer, name, source, scale, offset),)


def _affine(layer: Any, name: str, source: Node, scale: np.ndarray, offset: np.ndarray) -> Affine:
    if not (np.all(np.isfinite(scale)) and np.all(np.isfinite(offset))):
        raise ValueError(f"Scale and offset must be finite. Received: NaN or infinity in layer {layer.name!r}.")
    for value in (scale, offset):
        if value.shape not in ((), source.shape[-1:]):
            raise ValueError(
                f"Scale and offset must be one number, or one per channel. Received: shape {value.shape} in layer "
                f"{layer.name!r} on {source.shape[-1]} channels."
            )
    return Affine(scale=scale, offset=offset, **_like(name, source))


def _conv(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    if getattr(layer, "groups", 1) != 1:
        raise ValueError(f"Grouped convolutions are not supported. Received: layer {layer.name!r}. Use groups=1.")
    return (_convolution(Conv, layer, name, source, channels=layer.filters),)


def _depthwise_conv(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (_convolution(DepthwiseConv, layer, name, source, channels=source.shape[-1] * layer.depth_multiplier),)


def _convolution(kind: type[Node], layer: Any, name: str, source: Node, channels: int) -> Node:
    kernel, strides, dilation = array(layer, "kernel"), _pair(layer.strides), _pair(layer.dilation_rate)
    window = tuple((kernel.shape[i] - 1) * dilation[i] + 1 for i in (0, 1))
    padding, size = _window(layer, source, window, strides)
    return kind(
        kernel=kernel,
        bias=array(layer, "bias") if layer.use_bias else np.zeros(channels),
        strides=strides,
        dilation=dilation,
        padding=padding,
        **{**_like(name, source), "shape": (*size, channels)},
    )


def _dense(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    kernel = array(layer, "kernel")
    bias = array(layer, "bias") if layer.use_bias else np.zeros(layer.units)
    return (Dense(kernel=kernel, bias=bias, **{**_like(name, source), "shape": (*source.shape[:-1], layer.units)}),)


def _max_pooling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (_pool(MaxPool, layer, name, source),)


def _average_pooling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    pool = _pool(AveragePool, layer, name, source)
    if pool.padding != NO_PADDING:
        raise ValueError(
            f"Padded average pooling divides by fewer pixels at the border, which no single factor undoes. Received: "
            f'layer {layer.name!r} with padding="same" on {source.shape[:2]} pixels. Use padding="valid".'
        )
    return (pool,)


def _pool(kind: type[Node], layer: Any, name: str, source: Node) -> Node:
    size, strides = _pair(layer.pool_size), _pair(layer.strides)
    padding, outputs = _window(layer, source, size, strides)
    return kind(
        size=size, strides=strides, padding=padding, **{**_like(name, source), "shape": (*outputs, source.shape[-1])}
    )


def _global_average_pooling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    _check_image(layer, source)
    height, width, channels = source.shape
    pool = AveragePool(
        size=(height, width), strides=(height, width), **{**_like(name, source), "shape": (1, 1, channels)}
    )
    return (pool,) if layer.keepdims else (pool, _reshape(f"{name}_flatten", pool, (channels,)))


def _flatten(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return () if len(source.shape) == 1 else (_reshape(name, source, (int(np.prod(source.shape)),)),)


def _reshape(name: str, source: Node, shape: tuple[int, ...]) -> Node:
    return ReshapeNode(**{**_like(name, source), "shape": shape})


def _direct_encoding(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (RepeatNode(**{**_like(name, source), "temporal": True}),)


def _time_average(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (TimeAverageNode(**{**_like(name, source), "temporal": False}),)


def _lif(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A TernaryLIF, a BinaryLIF, or a keras.layers.RNN of one of their cells."""
    cell = layer.cell
    if not isinstance(cell, TernaryLIFCell | BinaryLIFCell):
        raise ValueError(
            f"Of recurrent layers only RNN(TernaryLIFCell) and RNN(BinaryLIFCell) are supported. Received: layer "
            f"{layer.name!r} with a {type(cell).__name__}."
        )
    _check_recurrence(layer)
    amplitude, reset = float(array(cell, "amplitude")), cell.get_config()["reset"]
    if amplitude == 0:
        raise ValueError(f"`amplitude` must not be 0: no spike would arrive anywhere. Received: layer {layer.name!r}.")
    if reset != "zero":
        raise ValueError(f'`reset` must be "zero". Received: layer {layer.name!r} with reset={reset!r}.')
    signed = isinstance(cell, TernaryLIFCell)
    numbers = {"decay": float(cell.decay), "threshold": float(cell.threshold), "amplitude": amplitude}
    return (LIF(signed=signed, **numbers, **_like(name, source)),)


def _check_recurrence(layer: Any) -> None:
    wanted = {"return_sequences": True, "return_state": False, "go_backwards": False, "stateful": False}
    for option, value in wanted.items():
        if getattr(layer, option) != value:
            way_out = "; follow it with TimeAverage()" if option == "return_sequences" else ""
            raise ValueError(
                f"`{option}` must be {value} to be exported. Received: layer {layer.name!r} with "
                f"{option}={not value}. Build it with {option}={value}{way_out}."
            )


def _window(
    layer: Any, source: Node, window: tuple[int, int], strides: tuple[int, int]
) -> tuple[Padding, tuple[int, int]]:
    """Explicit padding, and the number of windows along height and width."""
    _check_image(layer, source)
    sizes = source.shape[:2]
    padding = NO_PADDING
    if layer.padding == "same":
        padding = tuple(same_padding(*values) for values in zip(sizes, window, strides, strict=True))
    counts = tuple((sizes[i] + sum(padding[i]) - window[i]) // strides[i] + 1 for i in (0, 1))
    return padding, counts


def _check_image(layer: Any, source: Node) -> None:
    if layer.data_format != "channels_last":
        raise ValueError(
            f'`data_format` must be "channels_last". Received: layer {layer.name!r} with "channels_first".'
        )
    if len(source.shape) != 3:
        raise ValueError(
            f"{type(layer).__name__} needs (height, width, channels) at one timestep. Received: {source.shape} at "
            f"layer {layer.name!r}."
        )


def _pair(value: Any) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    return int(height), int(width)


def _like(name: str, source: Node) -> dict[str, Any]:
    return {"name": name, "inputs": (source.name,), "shape": source.shape, "temporal": source.temporal}


RULES: Mapping[type, Rule] = {
    keras.layers.Rescaling: _rescaling,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.Conv2D: _conv,
    keras.layers.DepthwiseConv2D: _depthwise_conv,
    keras.layers.Dense: _dense,
    keras.layers.MaxPooling2D: _max_pooling,
    keras.layers.AveragePooling2D: _average_pooling,
    keras.layers.GlobalAveragePooling2D: _global_average_pooling,
    keras.layers.Flatten: _flatten,
    keras.layers.Dropout: _unchanged,
    keras.layers.SpatialDropout2D: _unchanged,
    keras.layers.GaussianDropout: _unchanged,
    keras.layers.GaussianNoise: _unchanged,
    keras.layers.Activation: _unchanged,
    keras.layers.Softmax: _unchanged,
    keras.layers.RNN: _lif,
    DirectEncoding: _direct_encoding,
    TernaryLIF: _lif,
    BinaryLIF: _lif,
    TimeAverage: _time_average,
}
