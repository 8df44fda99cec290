"""Rules for layers that do not look at neighbouring pixels: the layer and the Node that it reads, to Nodes.

POINTS maps a type to a function (layer, name, source) -> nodes, the last of which holds the value; none where the
layer changes nothing in inference. All rules together: `rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import (
    BatchNormalization,
    BinaryLIF,
    BinaryLIFCell,
    DirectEncoding,
    TemporalEffectiveBatchNormalization,
    TernaryLIF,
    TernaryLIFCell,
    ThresholdDependentBatchNormalization,
    TimeAverage,
    TimestepAffine,
)

from .network import LIF, Affine, Dense, Node
from .network import Repeat as RepeatNode
from .network import Reshape as ReshapeNode
from .network import TimeAverage as TimeAverageNode
from .network import TimestepAffine as TimestepAffineNode

MIN_RESET_AMOUNT, MAX_RESET_AMOUNT = 0.1, 2.0  # thresholds
Rule = Callable[[Any, str, Node], tuple[Node, ...]]


def array(layer: Any, weight: str) -> np.ndarray:
    """A weight as float64. Raises ValueError where it is not finite."""
    values = np.asarray(keras.ops.convert_to_numpy(getattr(layer, weight)), np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"Weights must be finite. Received: NaN or infinity in {weight!r} of layer {layer.name!r}.")
    return values


def _unchanged(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return ()


def _rescaling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    values = (np.asarray(keras.ops.convert_to_numpy(value), np.float64) for value in (layer.scale, layer.offset))
    return (_affine(layer, name, source, *values),)


def _normalization(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """(x - mean) / sqrt(variance), with the statistics given or adapted."""
    if layer.invert:
        raise ValueError(f"Normalization must not be inverted. Received: layer {layer.name!r} with invert=True.")
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(x), np.float64) for x in (layer.mean, layer.variance))
    if max(mean.size, variance.size) != mean.shape[-1]:
        raise ValueError(
            f"Normalization must have one mean and variance, or one per channel (the last axis). Received: shape "
            f"{mean.shape} in layer {layer.name!r}. Use axis=-1 or axis=None."
        )
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    scale, offset = (np.broadcast_to(value.reshape(-1), source.shape[-1:]) for value in (scale, -mean * scale))
    return (_affine(layer, name, source, scale, offset),)


def _batch_normalization(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the moving statistics."""
    scale = 1 / np.sqrt(array(layer, "moving_variance") + layer.epsilon)
    scale = scale * array(layer, "gamma") if layer.scale else scale
    offset = -array(layer, "moving_mean") * scale
    offset = offset + array(layer, "beta") if layer.center else offset
    return (_affine(layer, name, source, scale, offset),)


def _threshold_dependent(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """alpha * threshold * gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the moving statistics."""
    return (_normalized(layer, name, source, layer.alpha * layer.threshold),)


def _temporal_effective(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A batch normalization, then one factor per timestep."""
    norm, factors = _normalized(layer, f"{name}_norm", source, 1.0), array(layer, "factors")
    return norm, TimestepAffineNode(factors=factors, offsets=np.zeros((len(factors), 1)), **like(name, norm))


def _normalized(layer: Any, name: str, source: Node, factor: float) -> Affine:
    norm = layer.normalization
    scale = factor * array(layer, "gamma") / np.sqrt(array(norm, "moving_variance") + norm.epsilon)
    return _affine(layer, name, source, scale, array(layer, "beta") - array(norm, "moving_mean") * scale)


def _timestep_affine(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    arrays = {weight: array(layer, weight) for weight in ("factors", "offsets")}
    return (TimestepAffineNode(**arrays, **like(name, source)),)


def _affine(layer: Any, name: str, source: Node, scale: np.ndarray, offset: np.ndarray) -> Affine:
    if not (np.all(np.isfinite(scale)) and np.all(np.isfinite(offset))):
        raise ValueError(f"Scale and offset must be finite. Received: NaN or infinity in layer {layer.name!r}.")
    for value in (scale, offset):
        if value.shape not in ((), source.shape[-1:]):
            raise ValueError(
                f"Scale and offset must be one number, or one per channel. Received: shape {value.shape} in layer "
                f"{layer.name!r} on {source.shape[-1]} channels."
            )
    return Affine(scale=scale, offset=offset, **like(name, source))


def _dense(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    kernel = array(layer, "kernel")
    bias = array(layer, "bias") if layer.use_bias else np.zeros(layer.units)
    return (Dense(kernel=kernel, bias=bias, **{**like(name, source), "shape": (*source.shape[:-1], layer.units)}),)


def _flatten(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return () if len(source.shape) == 1 else (reshape(name, source, (int(np.prod(source.shape)),)),)


def reshape(name: str, source: Node, shape: tuple[int, ...]) -> Node:
    return ReshapeNode(**{**like(name, source), "shape": shape})


def _reshape_layer(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    shape = layer.compute_output_shape((1, *source.shape))[1:]
    return (reshape(name, source, tuple(int(size) for size in shape)),)


def _permute(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A Reshape, if only axes of size 1 move."""
    axes = [axis - 1 for axis in layer.dims]
    moved = [axis for axis in axes if source.shape[axis] != 1]
    if moved != sorted(moved):
        raise ValueError(
            f"Permute may only move axes of size 1, so that no value moves. Received: layer {layer.name!r} with "
            f"dims={tuple(layer.dims)} on {source.shape}. Arrange the axes before the network."
        )
    return (reshape(name, source, tuple(source.shape[axis] for axis in axes)),)


def _direct_encoding(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (RepeatNode(**{**like(name, source), "temporal": True}),)


def _time_average(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (TimeAverageNode(**{**like(name, source), "temporal": False}),)


def _lif(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A TernaryLIF, a BinaryLIF, or a keras.layers.RNN of one of their cells."""
    cell = layer.cell
    if type(cell) not in (TernaryLIFCell, BinaryLIFCell):  # a subclass may compute anything
        raise ValueError(
            f"Of recurrent layers only RNN(TernaryLIFCell) and RNN(BinaryLIFCell) are supported. Received: layer "
            f"{layer.name!r} with a {type(cell).__name__}."
        )
    _check_recurrence(layer)
    numbers = {"decay": _decay(layer, source), "threshold": _threshold(layer, source)}
    signed = isinstance(cell, TernaryLIFCell)
    return (LIF(signed=signed, amplitude=_amplitude(layer, source), **_reset(layer), **numbers, **like(name, source)),)


def _reset(layer: Any) -> dict[str, Any]:
    """The fields of the node. What a spike takes off must leave the membrane within int8, and be a step at least."""
    reset, amount = (layer.cell.get_config()[option] for option in ("reset", "reset_amount"))
    if reset == "subtract" and not MIN_RESET_AMOUNT <= amount <= MAX_RESET_AMOUNT:
        raise ValueError(
            f"`reset_amount` must lie in [{MIN_RESET_AMOUNT}, {MAX_RESET_AMOUNT}] to be exported. Received: layer "
            f"{layer.name!r} with reset_amount={amount}. Train the layer with one in that range."
        )
    return {"reset": reset, "reset_amount": amount if reset == "subtract" else 1.0}


def _decay(layer: Any, source: Node) -> float | np.ndarray:
    decay = _one_or_channels(layer, "decay", source)
    if not np.all((decay >= 0) & (decay <= 1)):
        raise ValueError(f"`decay` must lie in [0, 1]. Received: {decay} in layer {layer.name!r}.")
    return decay


def _threshold(layer: Any, source: Node) -> float | np.ndarray:
    threshold = _one_or_channels(layer, "threshold", source)
    if not np.all(threshold > 0):
        raise ValueError(f"`threshold` must be positive. Received: {threshold} in layer {layer.name!r}.")
    return threshold


def _one_or_channels(layer: Any, name: str, source: Node) -> float | np.ndarray:
    """A number of the cell, or one per channel; a number where all channels have the same."""
    values = array(layer.cell, name)
    if values.shape not in ((), source.shape[-1:]):
        raise ValueError(
            f"`{name}` must be one number, or one per channel. Received: shape {values.shape} in layer "
            f"{layer.name!r} on {source.shape[-1]} channels."
        )
    return float(values.flat[0]) if np.all(values == values.flat[0]) else values


def _amplitude(layer: Any, source: Node) -> np.ndarray:
    """One number, or one per channel."""
    amplitude = array(layer.cell, "amplitude")
    if amplitude.shape not in ((), source.shape[-1:]):
        raise ValueError(
            f"Kernels that pixels share can take up one amplitude, or one per channel. Received: layer {layer.name!r} "
            f'with one per element, {amplitude.shape}. Build it with amplitude_per="channel", or behind Flatten.'
        )
    if np.all(amplitude == 0):
        raise ValueError(f"`amplitude` must not be 0: no spike would arrive anywhere. Received: layer {layer.name!r}.")
    return amplitude


def _check_recurrence(layer: Any) -> None:
    wanted = {"return_sequences": True, "return_state": False, "go_backwards": False, "stateful": False}
    for option, value in wanted.items():
        if getattr(layer, option) != value:
            way_out = "; follow it with TimeAverage()" if option == "return_sequences" else ""
            raise ValueError(
                f"`{option}` must be {value} to be exported. Received: layer {layer.name!r} with "
                f"{option}={not value}. Build it with {option}={value}{way_out}."
            )


def like(name: str, source: Node) -> dict[str, Any]:
    """The fields of a node that reads `source` and has its shape."""
    return {"name": name, "inputs": (source.name,), "shape": source.shape, "temporal": source.temporal}


POINTS: Mapping[type, Rule] = {
    keras.layers.Rescaling: _rescaling,
    keras.layers.Normalization: _normalization,
    keras.layers.BatchNormalization: _batch_normalization,
    BatchNormalization: _batch_normalization,
    keras.layers.Dense: _dense,
    keras.layers.Flatten: _flatten,
    keras.layers.Reshape: _reshape_layer,
    keras.layers.Permute: _permute,
    keras.layers.Dropout: _unchanged,
    keras.layers.SpatialDropout1D: _unchanged,
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
    ThresholdDependentBatchNormalization: _threshold_dependent,
    TemporalEffectiveBatchNormalization: _temporal_effective,
    TimestepAffine: _timestep_affine,
}
