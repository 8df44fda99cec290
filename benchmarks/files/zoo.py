"""The networks that the benchmarks measure: those of keras_ternary_spike.models, and a U-Net; weights as if trained."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_ternary_spike import BatchNormalization, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, models

CIFAR = (32, 32, 3)
CLASSES = 10
PER_CHANNEL = "per channel"
THRESHOLDS = (0.3, 0.5, 1.0)  # of the channels
DRAWS = {
    "gamma": lambda rng, shape: rng.normal(1, 0.7, shape),
    "beta": lambda rng, shape: rng.normal(0, 0.2, shape),
    "moving_mean": lambda rng, shape: rng.normal(0, 0.3, shape),
    "moving_variance": lambda rng, shape: rng.uniform(0.3, 2, shape),
    "amplitude": lambda rng, shape: rng.uniform(0.3, 1.2, shape),
}


def unet(
    input_shape: Sequence[int],
    classes: int,
    *,
    timesteps: int = 2,
    channels: int = 16,
    neuron: Any = TernaryLIF,
    **options: Any,
) -> keras.Model:
    """A class for every pixel: two scales down by strides, up by transposed convolutions, joined by concatenation."""

    def neurons(convolution: keras.layers.Layer, x: Any) -> Any:
        current = PerTimestep(BatchNormalization())(PerTimestep(convolution)(x))
        return neuron(name=f"{convolution.name}_neuron", **options)(current)

    def conv(factor: int, name: str, strides: int = 1) -> keras.layers.Layer:
        return layers.Conv2D(factor * channels, 3, strides=strides, padding="same", use_bias=False, name=name)

    def up(factor: int, name: str) -> keras.layers.Layer:
        return layers.Conv2DTranspose(factor * channels, 2, strides=2, use_bias=False, name=name)

    image = keras.Input(tuple(input_shape), name="image")
    full = neurons(conv(1, "stem"), DirectEncoding(timesteps)(image))
    half = neurons(conv(2, "down1", strides=2), full)
    x = neurons(conv(4, "down2", strides=2), half)
    x = layers.Concatenate(name="join1")([neurons(up(2, "up1"), x), half])
    x = neurons(conv(2, "merge1"), x)
    x = layers.Concatenate(name="join2")([neurons(up(1, "up2"), x), full])
    x = neurons(conv(1, "merge2"), x)
    x = PerTimestep(layers.Conv2D(classes, 1, name="pixels"), name="pixels")(x)
    return keras.Model(image, TimeAverage(name="logits")(x), name="unet")


def channelwise(name: str, **options: Any) -> Callable[[Any], Any]:
    """A neuron layer with a threshold of its own for every channel: 0.3, 0.5 and 1 in turn."""
    return lambda x: TernaryLIF(name=name, threshold=np.resize(THRESHOLDS, x.shape[-1]).tolist(), **options)(x)


INPUTS = {
    "resnet19": CIFAR,
    "resnet20": CIFAR,
    "ms_resnet": CIFAR,
    "vgg": CIFAR,
    "resnet8": CIFAR,
    "resnet8_wide": CIFAR,
    "keyword_spotter": (49, 10, 1),
    "visual_wake_words": (96, 96, 3),
    "wake_word": (30, 1, 40),
    "anomaly_detector": (640,),
    "unet": CIFAR,
    "tiny": (28, 28, 1),
}


def anomaly_detector(features: Sequence[int], classes: int, **options: Any) -> keras.Model:
    """An autoencoder has no classes."""
    return models.anomaly_detector(*features, **options)


OWN = {
    "unet": unet,
    "resnet8_wide": functools.partial(models.resnet8, width=2.5),
    "anomaly_detector": anomaly_detector,
}


def built(name: str, classes: int = CLASSES, **options: Any) -> keras.Model:
    """A network at full size. options: timesteps, neuron, ..."""
    return (OWN.get(name) or getattr(models, name))(INPUTS[name], classes, **options)


def with_relu(name: str) -> keras.Model:
    """The same layers as an ordinary network, for the converter of others."""
    keras.utils.set_random_seed(0)
    return built(name, timesteps=1, neuron=keras.layers.ReLU)


def randomized(name: str, *, threshold: float | str = 0.5, **options: Any) -> keras.Model:
    """A network at full size: negative batch-norm gammas, amplitudes from 0.3 to 1.2; the same at every call.

    threshold: a number, or PER_CHANNEL.
    options: timesteps, decay, ...
    """
    keras.utils.set_random_seed(0)
    neuron = {"neuron": channelwise} if threshold == PER_CHANNEL else {"threshold": threshold}
    return drawn(built(name, **neuron, **options))


def drawn(model: keras.Model) -> keras.Model:
    """The model itself, with statistics and amplitudes as training could leave them; the same at every call."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in DRAWS:
            weight.assign(DRAWS[weight.name](rng, tuple(weight.shape)))
    return model


def images(name: str, count: int) -> np.ndarray:
    """Random images of a network, in [0, 1], `(count, *input shape)`."""
    return noise(count, INPUTS[name])


def noise(count: int, shape: Sequence[int]) -> np.ndarray:
    """Uniform in [0, 1], `(count, *shape)`; the same at every call."""
    return np.random.default_rng(1).random((count, *shape))
