"""Rules for factors and offsets: the layer and the Node that it reads, to Nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import (
    BatchNormalization,
    TemporalEffectiveBatchNormalization,
    ThresholdDependentBatchNormalization,
    TimestepAffine,
)

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from .rule import POINTWISE, SEQUENTIAL, Rule, array, rule


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
    return norm, nodes.TimestepAffine(factors=factors, offsets=np.zeros((len(factors), 1)), **like(name, norm))


def _normalized(layer: Any, name: str, source: Node, factor: float) -> nodes.Affine:
    norm = layer.normalization
    scale = factor * array(layer, "gamma") / np.sqrt(array(norm, "moving_variance") + norm.epsilon)
    return _affine(layer, name, source, scale, array(layer, "beta") - array(norm, "moving_mean") * scale)


def _timestep_affine(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    arrays = {weight: array(layer, weight) for weight in ("factors", "offsets")}
    return (nodes.TimestepAffine(**arrays, **like(name, source)),)


def _affine(layer: Any, name: str, source: Node, scale: np.ndarray, offset: np.ndarray) -> nodes.Affine:
    if not (np.all(np.isfinite(scale)) and np.all(np.isfinite(offset))):
        raise ValueError(f"Scale and offset must be finite. Received: NaN or infinity in layer {layer.name!r}.")
    for value in (scale, offset):
        if value.shape not in ((), source.shape[-1:]):
            raise ValueError(
                f"Scale and offset must be one number, or one per channel. Received: shape {value.shape} in layer "
                f"{layer.name!r} on {source.shape[-1]} channels."
            )
    return nodes.Affine(scale=scale, offset=offset, **like(name, source))


BATCH_NORMALIZATION = rule(
    _batch_normalization,
    "axis epsilon center scale",
    "momentum synchronized renorm renorm_clipping renorm_momentum",
    POINTWISE,
)
NORMALIZATION: Mapping[type, Rule] = {
    keras.layers.Rescaling: rule(_rescaling, "scale offset", time=POINTWISE),
    keras.layers.Normalization: rule(_normalization, "axis invert mean variance", time=POINTWISE),
    keras.layers.BatchNormalization: BATCH_NORMALIZATION,
    BatchNormalization: BATCH_NORMALIZATION,
    ThresholdDependentBatchNormalization: rule(_threshold_dependent, "epsilon threshold alpha", "momentum", SEQUENTIAL),
    TemporalEffectiveBatchNormalization: rule(_temporal_effective, "epsilon", "momentum", SEQUENTIAL),
    TimestepAffine: rule(_timestep_affine, time=SEQUENTIAL),
}
