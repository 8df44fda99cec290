"""Chains of convolutions without shortcuts: a VGG and the smallest network worth shipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..layers.lif import TernaryLIF
from .blocks import TIMESTEPS, apply, classifier, conv, encoded, firing, image_input, normalized, scaled

VGG_CHANNELS = ((64, 128), (256, 256), (512, 512), (512, 512))  # average pooling behind each pair
TINY_CHANNELS = (8, 16, 32)
SMALLEST_VGG = 2 ** len(VGG_CHANNELS)


def vgg(
    input_shape: Sequence[int],
    classes: int,
    *,
    timesteps: int = TIMESTEPS,
    width: float = 1.0,
    neuron: type[keras.layers.Layer] = TernaryLIF,
    **neuron_options: Any,
) -> keras.Model:
    """Eight 3x3 convolutions of 64 to 512 channels, average pooling behind each two, and one linear layer.

    The VGG of [Deng et al., 2022](https://arxiv.org/abs/2202.11946). Arguments and errors are those of `resnet19`;
    height and width are at least 16, and pooling leaves an odd pixel out.
    """
    image, fire = image_input(input_shape), firing(neuron, neuron_options)
    if min(image.shape[1:3]) < SMALLEST_VGG:
        raise ValueError(
            f"Height and width must be at least {SMALLEST_VGG}: a VGG halves them {len(VGG_CHANNELS)} times. "
            f"Received: input_shape={tuple(input_shape)}. For smaller images take `tiny`."
        )
    x = image
    for stage, pair in enumerate(VGG_CHANNELS, start=1):
        for number, channels in enumerate(pair, start=1):
            name = f"block{stage}_conv{number}"
            current = normalized(conv(scaled(channels, width), name), x)
            x = fire(f"block{stage}_neuron{number}", encoded(current, timesteps) if x is image else current)
        x = apply(layers.AveragePooling2D(2, name=f"block{stage}_pool"), x)
    return keras.Model(image, classifier(x, classes, pooling=layers.Flatten(name="flatten")), name="vgg")


def tiny(
    input_shape: Sequence[int],
    classes: int,
    *,
    timesteps: int = TIMESTEPS,
    width: float = 1.0,
    neuron: type[keras.layers.Layer] = TernaryLIF,
    **neuron_options: Any,
) -> keras.Model:
    """Three 3x3 convolutions of stride 2 with 8, 16 and 32 channels: a file below 20 kB for small grey images.

    Arguments and errors are those of `resnet19`; any size of image.
    """
    x = image = image_input(input_shape)
    fire = firing(neuron, neuron_options)
    for number, channels in enumerate(TINY_CHANNELS, start=1):
        current = normalized(conv(scaled(channels, width), f"conv{number}", strides=2), x)
        x = fire(f"neuron{number}", encoded(current, timesteps) if x is image else current)
    return keras.Model(image, classifier(x, classes), name="tiny")
