"""Checkpoints of the ResNets released with Ternary Spike, github.com/yfguo91/Ternary-Spike: weights by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..layers.lif import TernaryLIF
from ..layers.presets import preset
from . import channels_last as build
from .channels_last import Value
from .checkpoints import Weights, read_checkpoint

FIRES_AT = 0.5  # times V_th
STEM = "model.conv1.pool.weight"  # of one convolution
DEEP_STEM = "model.conv1.0.pool.weight"  # of three
EPSILON = 1e-5  # torch's of batch normalization
LARGE_KERNEL = 7  # of a stem for large images


def from_ternary_spike(
    checkpoint: str | Path | Mapping[str, Any],
    input_shape: Sequence[int],
    *,
    timesteps: int,
    static: bool = True,
    average: bool = True,
) -> keras.Model:
    """A ResNet of Ternary Spike's released code, by its checkpoint, as a Keras model of the same weights and dynamics.

    Depth and width are those of the weights: resnet19_cifar, resnet20_cifar_modified, ResNet18, ResNet34 and others of
    basic blocks. Neurons are the code's: V_th 1 unless the checkpoint has it, firing at half of it, decay 1/4, hard
    reset, amplitude `fire_ratio` if the checkpoint has it, else 1.

    Args:
        checkpoint: path of a .pt or .pth file, or its state dict: tensors or arrays by name.
        input_shape: (channels, height, width).
        timesteps: Integer >= 1, the code's `step`, which a checkpoint does not hold.
        static: whether the model takes one image, which it repeats at every timestep, as the code does. Default: True.
        average: whether the model ends in the mean over time, as the code does. Default: True.

    Returns:
        A `keras.Model`, not compiled; inputs have their channels last.

    Raises:
        ValueError: naming the weight, if one is missing, not known here or of a shape that does not fit; for a file
            that holds more than tensors.
        ImportError: if torch is not installed and `checkpoint` is a path.
    """
    weights = read_checkpoint(checkpoint)
    if STEM not in weights and DEEP_STEM not in weights:
        raise ValueError(
            "The checkpoint must be of the ResNets that were released with Ternary Spike, whose first convolution is "
            f"{STEM!r} or {DEEP_STEM!r}. Received: {weights.some()}. {OTHERS}"
        )
    entry, value = build.sequence_input(input_shape, timesteps, static=static)
    value = _head(weights, _layers(weights, _stem(weights, value)))
    weights.check_all_taken()
    return build.model_of(entry, value, average=average)


OTHERS = (
    "A checkpoint holds weights, not the network: of another one build the module in Python, load the weights into it, "
    "and give it to from_spikingjelly or from_snntorch of keras_ternary_spike.imports."
)


def _stem(weights: Weights, value: Value) -> Value:
    if STEM not in weights:
        for number in (0, 3, 6):
            value = _convolution(weights, value, f"model.conv1.{number}", padding=1)
            value = _normalization(weights, value, f"model.conv1.{number + 1}.conv")
            value = _neuron(weights, value, f"model.conv1.{number + 2}")
        return _halved(value, "model.avgpool")
    large = weights.shape(STEM)[-1] == LARGE_KERNEL
    strides, padding = (2, LARGE_KERNEL // 2) if large else (1, 1)
    value = _convolution(weights, value, "model.conv1", strides=strides, padding=padding)
    value = _neuron(weights, _normalization(weights, value, "model.bn1.conv"), "model.relu")
    if not large:
        return value
    padded = build.padded(value, "model_avgpool1", 1)
    return build.pooling(padded, "model_avgpool1", "average", size=(3, 3), strides=(2, 2))


def _layers(weights: Weights, value: Value) -> Value:
    """Layers of blocks, both as many as the checkpoint has; the first block of each layer but one has strides of 2."""
    layer = 1
    while f"model.layer{layer}.0.conv1.pool.weight" in weights:
        block = 0
        while f"model.layer{layer}.{block}.conv1.pool.weight" in weights:
            strides = 2 if layer > 1 and block == 0 else 1
            value = _block(weights, value, f"model.layer{layer}.{block}", strides)
            block += 1
        layer += 1
    return value


def _block(weights: Weights, value: Value, name: str, strides: int) -> Value:
    current = _convolution(weights, value, f"{name}.conv1", strides=strides, padding=1)
    spikes = _neuron(weights, _normalization(weights, current, f"{name}.bn1.bn"), f"{name}.relu1")
    current = _normalization(weights, _convolution(weights, spikes, f"{name}.conv2", padding=1), f"{name}.bn2.bn")
    total = build.added([current, _shortcut(weights, value, f"{name}.downsample", strides)], _plain(f"{name}.add"))
    return _neuron(weights, total, f"{name}.output_act")


def _shortcut(weights: Weights, value: Value, name: str, strides: int) -> Value:
    """Of the "modified" networks a mean over 2 x 2 pixels and a convolution, of the others one with strides."""
    if f"{name}.0.pool.weight" in weights:
        return _normalization(weights, _convolution(weights, value, f"{name}.0", strides=strides), f"{name}.1.bn")
    if f"{name}.1.pool.weight" in weights:
        pooled = _halved(value, f"{name}.0") if strides > 1 else value
        return _normalization(weights, _convolution(weights, pooled, f"{name}.1"), f"{name}.2.bn")
    return value


def _head(weights: Weights, value: Value) -> Value:
    value = build.flatten(build.global_average(value, "model_avgpool_last"), "model_flatten")
    kernel = weights.take("model.fc.conv.weight", (None, value.shape[0]))
    bias = weights.take("model.fc.conv.bias", kernel.shape[:1])
    return build.linear(value, "model_fc", weight=kernel * _feature_scale(weights, value.shape[0]), bias=bias)


def _feature_scale(weights: Weights, features: int) -> np.ndarray:
    """What features are multiplied by: networks built with rp=True train it, of others it holds ones, and too many."""
    scale = weights.take("model.scale", (1, 1, None)).ravel() if "model.scale" in weights else np.ones(1, np.float32)
    if np.all(scale == 1):
        return np.ones(features, np.float32)
    if len(scale) != features:
        raise ValueError(f"'model.scale' must hold a number for each of {features} features. Received: {len(scale)}")
    return scale


def _convolution(weights: Weights, value: Value, name: str, *, strides: int = 1, padding: int = 0) -> Value:
    kernel = weights.take(f"{name}.pool.weight", (None, value.shape[0], None, None))
    geometry = {"strides": (strides, strides), "padding": (padding, padding), "dilation": (1, 1), "groups": 1}
    return build.convolution(value, _plain(name), weight=kernel, bias=None, **geometry)


def _normalization(weights: Weights, value: Value, name: str) -> Value:
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (weights.take(f"{name}.{part}", value.shape[:1]) for part in parts)
    options = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance, "epsilon": EPSILON}
    return build.normalization(value, _plain(name), **options)


def _neuron(weights: Weights, value: Value, name: str) -> Value:
    threshold, amplitude = (weights.number(f"{name}.{part}", default=1.0) for part in ("V_th", "fire_ratio"))
    options = {
        **preset("official_code"),
        "threshold": FIRES_AT * threshold,
        "amplitude_initializer": keras.initializers.Constant(amplitude),
    }
    return replace(value, tensor=TernaryLIF(**options, name=_plain(name))(value.tensor))


def _halved(value: Value, name: str) -> Value:
    if any(size % 2 for size in value.shape[1:]):
        raise ValueError(f"Height and width must be even where they are halved. Received: {value.shape} at {name!r}")
    return build.pooling(value, _plain(name), "average", size=(2, 2), strides=(2, 2))


def _plain(name: str) -> str:
    return name.replace(".", "_")
