"""Depthwise and pointwise convolutions in turn: a keyword spotter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ..layers.lif import TernaryLIF
from .blocks import TIMESTEPS, classifier, conv, depthwise, encoded, firing, image_input, normalized, scaled

CHANNELS = 64
BLOCKS = 4
STEM_KERNEL = (10, 4)  # time by frequency


def keyword_spotter(
    input_shape: Sequence[int],
    classes: int,
    *,
    timesteps: int = TIMESTEPS,
    width: float = 1.0,
    neuron: type[keras.layers.Layer] = TernaryLIF,
    **neuron_options: Any,
) -> keras.Model:
    """DS-CNN, the small one: a 10x4 convolution of stride 2 and four separable blocks of 64 channels.

    Of [Zhang et al., 2017](https://arxiv.org/abs/1711.07128), for speech features such as 49 windows of 10
    coefficients: `keyword_spotter((49, 10, 1), 12)`. Neurons stand behind depthwise and pointwise convolutions alike,
    so that both read spikes. Arguments and errors are those of `resnet19`; any size of input.
    """
    image, fire = image_input(input_shape), firing(neuron, neuron_options)
    channels = scaled(CHANNELS, width)
    current = normalized(conv(channels, "stem_conv1", kernel=STEM_KERNEL, strides=2), image)
    spikes = fire("stem_neuron1", encoded(current, timesteps))
    for number in range(1, BLOCKS + 1):
        name = f"block{number}"
        spikes = fire(f"{name}_neuron1", normalized(depthwise(f"{name}_depthwise"), spikes))
        spikes = fire(f"{name}_neuron2", normalized(conv(channels, f"{name}_pointwise", kernel=1), spikes))
    return keras.Model(image, classifier(spikes, classes), name="keyword_spotter")
