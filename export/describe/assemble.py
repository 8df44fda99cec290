"""A Network as a Keras model, of Keras's layers and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import BinaryLIF, DirectEncoding, MultiLevelLIF, PerTimestep, RecentTimesteps, TernaryLIF
from keras_ternary_spike import LastTimestep as LastTimestepLayer
from keras_ternary_spike import LeakyIntegrator as LeakyIntegratorLayer
from keras_ternary_spike import TimeAverage as TimeAverageLayer
from keras_ternary_spike import TimeMax as TimeMaxLayer
from keras_ternary_spike import TimestepAffine as TimestepAffineLayer

from ..network import nodes
from ..network.nodes import NO_PADDING, Network, Node
from ..padding import same_padding
from .signature import input_structure, output_structure, packed

# Layers for one timestep, in order, and the weights of each; those that see the whole sequence are in SEQUENCE.
Layers = list[tuple[keras.layers.Layer, list[np.ndarray]]]


def assemble(network: Network, *, dtype: str = "float32", like: keras.Model | None = None) -> keras.Model:
    """A functional model that computes `network`. Layers are named after nodes.

    dtype: of weights and values; "float64" for an exact comparison.
    like: a model with as many inputs and outputs, whose nesting of them (lists, dicts) is taken over. None: lists.

    Raises:
        ValueError: for a padding that no Keras pooling layer has.
    """
    values: dict[str, Any] = {}
    for node in network.nodes:
        values[node.name] = _value(network, node, values, dtype)
    inputs = [values[node.name] for node in network.nodes if isinstance(node, nodes.Input)]
    outputs = [values[name] for name in network.outputs]
    if like is not None:
        inputs, outputs = packed(input_structure(like), inputs), packed(output_structure(like), outputs)
    return keras.Model(inputs, outputs, name=network.name)


def _value(network: Network, node: Node, values: Mapping[str, Any], dtype: str) -> Any:
    if isinstance(node, nodes.Input):
        leading = (network.timesteps,) if node.temporal else ()
        return keras.Input((*leading, *node.shape), name=node.name, dtype=dtype)
    if type(node) in MERGES:
        return MERGES[type(node)](name=node.name, dtype=dtype)([values[name] for name in node.inputs])
    value, source = values[node.inputs[0]], network[node.inputs[0]]
    if type(node) in SEQUENCE:
        layers, wrap = SEQUENCE[type(node)](network, node, dtype), False
    else:
        layers, wrap = SINGLE[type(node)](node, source, dtype), node.temporal
    for layer, weights in layers:
        value = PerTimestep(layer, name=f"{layer.name}_per_timestep", dtype=dtype)(value) if wrap else layer(value)
        value = value[-1] if isinstance(node, nodes.FinalState) else value
        layer.set_weights(weights)
    return value


def _convolution(node: nodes.Conv | nodes.DepthwiseConv, source: Node, dtype: str) -> Layers:
    before, padding = _padding(node, source, node.kernel.shape[:2], dtype)
    options = {
        "kernel_size": node.kernel.shape[:2],
        "strides": node.strides,
        "dilation_rate": node.dilation,
        "padding": padding,
        "name": node.name,
        "dtype": dtype,
    }
    if isinstance(node, nodes.DepthwiseConv) and node.strides[0] == node.strides[1]:
        layer = keras.layers.DepthwiseConv2D(depth_multiplier=node.kernel.shape[-1], **options)
        return [*before, (layer, [node.kernel, node.bias])]
    layer = keras.layers.Conv2D(filters=node.shape[-1], **options)
    return [*before, (layer, [_full_kernel(node), node.bias])]


def _full_kernel(node: nodes.Conv | nodes.DepthwiseConv) -> np.ndarray:
    """A depthwise kernel as one of an ordinary convolution: TensorFlow has no depthwise one with unequal strides."""
    if isinstance(node, nodes.Conv):
        return node.kernel
    height, width, channels, multiplier = node.kernel.shape
    full = np.einsum("hwim,ij->hwijm", node.kernel, np.eye(channels))
    return full.reshape(height, width, channels, channels * multiplier)


def _padding(node: Node, source: Node, window: tuple[int, int], dtype: str) -> tuple[Layers, str]:
    """Keras's name of an explicit padding, with a ZeroPadding2D in front where it has none."""
    dilation = getattr(node, "dilation", (1, 1))
    extent = [(window[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    same = tuple(same_padding(*values) for values in zip(source.shape[:2], extent, node.strides, strict=True))
    if node.padding == NO_PADDING:
        return [], "valid"
    if node.padding == same:
        return [], "same"
    if isinstance(node, nodes.Pool):
        raise ValueError(f'A pooling window is padded as "same" or not at all. Received: {node.name!r}, {node.padding}')
    return [(keras.layers.ZeroPadding2D(node.padding, name=f"{node.name}_padding", dtype=dtype), [])], "valid"


def _transposed(node: nodes.ConvTranspose, source: Node, dtype: str) -> Layers:
    """Uncropped, then cropped, where that is not Keras's "same"."""
    surplus = [node.kernel.shape[i] - node.strides[i] for i in (0, 1)]
    same = node.cropping == tuple((total // 2, total - total // 2) for total in surplus)
    layer = keras.layers.Conv2DTranspose(
        filters=node.shape[-1],
        kernel_size=node.kernel.shape[:2],
        strides=node.strides,
        padding="same" if same else "valid",
        name=node.name,
        dtype=dtype,
    )
    cropping = keras.layers.Cropping2D(node.cropping, name=f"{node.name}_cropping", dtype=dtype)
    behind = [] if same or node.cropping == NO_PADDING else [(cropping, [])]
    return [(layer, [node.kernel.transpose(0, 1, 3, 2), node.bias]), *behind]


def _upsample(node: nodes.Upsample, source: Node, dtype: str) -> Layers:
    return [(keras.layers.UpSampling2D(node.factors, name=node.name, dtype=dtype), [])]


def _zero_pad(node: nodes.ZeroPad, source: Node, dtype: str) -> Layers:
    return [(keras.layers.ZeroPadding2D(node.padding, name=node.name, dtype=dtype), [])]


def _crop(node: nodes.Crop, source: Node, dtype: str) -> Layers:
    return [(keras.layers.Cropping2D(node.cropping, name=node.name, dtype=dtype), [])]


def _dense(node: nodes.Dense, source: Node, dtype: str) -> Layers:
    layer = keras.layers.Dense(node.kernel.shape[1], name=node.name, dtype=dtype)
    return [(layer, [node.kernel, node.bias])]


def _pool(kind: type[keras.layers.Layer], node: nodes.Pool, source: Node, dtype: str) -> Layers:
    _, padding = _padding(node, source, node.size, dtype)
    return [(kind(node.size, strides=node.strides, padding=padding, name=node.name, dtype=dtype), [])]


def _max_pool(node: nodes.MaxPool, source: Node, dtype: str) -> Layers:
    return _pool(keras.layers.MaxPooling2D, node, source, dtype)


def _average_pool(node: nodes.AveragePool | nodes.SumPool, source: Node, dtype: str) -> Layers:
    return _pool(keras.layers.AveragePooling2D, node, source, dtype)


def _sum_pool(node: nodes.SumPool, source: Node, dtype: str) -> Layers:
    addends = float(node.size[0] * node.size[1])
    return [*_average_pool(node, source, dtype), _factor(f"{node.name}_addends", addends, 0.0, dtype)]


def _affine(node: nodes.Affine, source: Node, dtype: str) -> Layers:
    # As arrays: TensorFlow would round Python numbers to float32 first.
    return [_factor(node.name, node.scale, node.offset, dtype)]


def _factor(name: str, scale: Any, offset: Any, dtype: str) -> tuple[keras.layers.Layer, list[np.ndarray]]:
    return keras.layers.Rescaling(scale, offset, name=name, dtype=dtype), []


def _reshape(node: nodes.Reshape, source: Node, dtype: str) -> Layers:
    if len(node.shape) == 1:
        return [(keras.layers.Flatten(name=node.name, dtype=dtype), [])]
    return [(keras.layers.Reshape(node.shape, name=node.name, dtype=dtype), [])]


def _relu(node: nodes.Relu, source: Node, dtype: str) -> Layers:
    return [(keras.layers.ReLU(node.highest, name=node.name, dtype=dtype), [])]


def _lif(network: Network, node: nodes.LIF, dtype: str) -> Layers:
    kind = TernaryLIF if node.signed else BinaryLIF
    if node.levels > 1 or node.dead_zone != 1:
        kind = partial(MultiLevelLIF, node.levels, signed=node.signed, dead_zone=node.dead_zone)
    amplitude = np.asarray(node.amplitude)
    options = {"amplitude_per": "channel" if amplitude.ndim else "layer", "name": node.name, "dtype": dtype}
    numbers = {"decay": _plain(node.decay), "threshold": _plain(node.threshold)}
    neuron = (kind(reset=node.reset, reset_amount=node.reset_amount, **numbers, **options), [amplitude])
    if node.temporal:
        return [neuron]
    frame, still = (f"{node.name}_{part}" for part in ("frame", "still"))
    return [(DirectEncoding(1, name=frame, dtype=dtype), []), neuron, (TimeAverageLayer(name=still, dtype=dtype), [])]


def _final_state(network: Network, node: nodes.FinalState, dtype: str) -> Layers:
    numbers = {"decay": _plain(node.decay), "threshold": _plain(node.threshold)}
    options = {"signed": node.signed, "return_state": True, "name": node.name, "dtype": dtype}
    return [(MultiLevelLIF(node.levels, **numbers, **options), [np.ones(())])]


def _integrator(network: Network, node: nodes.Integrator, dtype: str) -> Layers:
    return [(LeakyIntegratorLayer(_plain(node.decay), name=node.name, dtype=dtype), [])]


def _plain(value: float | np.ndarray) -> float | list[float]:
    """A number, or one per channel, as a layer's configuration takes it."""
    return np.asarray(value, np.float64).tolist()


def _timestep_affine(network: Network, node: nodes.TimestepAffine, dtype: str) -> Layers:
    offsets = np.broadcast_to(node.offsets, (network.timesteps, node.shape[-1]))
    return [(TimestepAffineLayer(name=node.name, dtype=dtype), [node.factors, offsets])]


def _repeat(network: Network, node: nodes.Repeat, dtype: str) -> Layers:
    return [(DirectEncoding(network.timesteps, name=node.name, dtype=dtype), [])]


def _time_average(network: Network, node: Node, dtype: str) -> Layers:
    return [(TimeAverageLayer(name=node.name, dtype=dtype), [])]


def _time_max(network: Network, node: Node, dtype: str) -> Layers:
    return [(TimeMaxLayer(name=node.name, dtype=dtype), [])]


def _last_timestep(network: Network, node: Node, dtype: str) -> Layers:
    return [(LastTimestepLayer(name=node.name, dtype=dtype), [])]


def _recent(network: Network, node: nodes.RecentTimesteps, dtype: str) -> Layers:
    return [(RecentTimesteps(node.timesteps, name=node.name, dtype=dtype), [])]


def _time_sum(network: Network, node: Node, dtype: str) -> Layers:
    addends = float(network.timesteps)
    return [*_time_average(network, node, dtype), _factor(f"{node.name}_addends", addends, 0.0, dtype)]


SINGLE: Mapping[type[Node], Callable[[Any, Node, str], Layers]] = {
    nodes.Affine: _affine,
    nodes.Relu: _relu,
    nodes.Conv: _convolution,
    nodes.DepthwiseConv: _convolution,
    nodes.ConvTranspose: _transposed,
    nodes.Dense: _dense,
    nodes.MaxPool: _max_pool,
    nodes.AveragePool: _average_pool,
    nodes.SumPool: _sum_pool,
    nodes.Reshape: _reshape,
    nodes.Upsample: _upsample,
    nodes.ZeroPad: _zero_pad,
    nodes.Crop: _crop,
}
SEQUENCE: Mapping[type[Node], Callable[[Network, Any, str], Layers]] = {
    nodes.LIF: _lif,
    nodes.Integrator: _integrator,
    nodes.FinalState: _final_state,
    nodes.Repeat: _repeat,
    nodes.TimeAverage: _time_average,
    nodes.TimeSum: _time_sum,
    nodes.TimeMax: _time_max,
    nodes.LastTimestep: _last_timestep,
    nodes.RecentTimesteps: _recent,
    nodes.TimestepAffine: _timestep_affine,
}
MERGES: Mapping[type[Node], type[keras.layers.Layer]] = {
    nodes.Add: keras.layers.Add,
    nodes.Concatenate: keras.layers.Concatenate,
}
