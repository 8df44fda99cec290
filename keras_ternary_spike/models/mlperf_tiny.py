"""The networks of MLPerf Tiny, spiking: keyword spotting is `keyword_spotter`, the others are here.

Layers as in the reference models of [Banbury et al., 2021](https://arxiv.org/abs/2106.07597), a neuron for every ReLU.
`neuron=keras.layers.ReLU, timesteps=1` makes the ordinary network of the same layers, to train beside.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ..layers.batch_normalization import BatchNormalization
from ..layers.lif import TernaryLIF
from ..layers.time_axis import DirectEncoding, PerTimestep, TimeAverage
from .blocks import TIMESTEPS, apply, conv, depthwise, firing, normalized, scaled
from .plan import Plan, network

# (channels, strides) of the separable blocks behind the first convolution: MobileNet, a quarter of its width.
MOBILENET = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
RESNET8 = ((16, 1), (32, 2), (64, 2))
WAKE_WORD = ((128, 3), (128, 5), (128, 10), (32, 15))  # (channels, frames that a depthwise kernel sees)
FRAMES = 1 + sum(frames - 1 for _, frames in WAKE_WORD)
DETECTOR = (*(128,) * 4, 8, *(128,) * 4)


@network
def visual_wake_words(plan: Plan) -> Any:
    """MobileNet v1 with a quarter of its channels, for 96x96 images in colour: person or none.

    `visual_wake_words((96, 96, 3), 2)`. Neurons stand behind depthwise and pointwise convolutions alike. Arguments and
    errors are those of `resnet19`; any size of image.
    """
    current = normalized(conv(plan.channels(8), "stem_conv1", strides=2), plan.image)
    spikes = plan.fire("stem_neuron1", plan.encoded(current))
    for number, (channels, strides) in enumerate(MOBILENET, start=1):
        name = f"block{number}"
        current = normalized(depthwise(f"{name}_depthwise", strides=strides), spikes)
        current = normalized(
            conv(plan.channels(channels), f"{name}_pointwise", kernel=1), plan.fire(f"{name}_neuron1", current)
        )
        spikes = plan.fire(f"{name}_neuron2", current)
    return plan.logits(spikes)


@network
def resnet8(plan: Plan) -> Any:
    """ResNet-8 for 32x32 images in colour: one convolution and three blocks of 16, 32 and 64 channels.

    `resnet8((32, 32, 3), 10)`; with `width=2.5` that of MLPerf Tiny's second task. Arguments and errors are those of
    `resnet19`; any size of image.
    """
    spikes = plan.fire("stem_neuron1", plan.encoded(normalized(conv(plan.channels(16), "stem_conv1"), plan.image)))
    for number, (channels, strides) in enumerate(RESNET8, start=1):
        spikes = _strided_block(plan, spikes, plan.channels(channels), strides, f"block{number}")
    return plan.logits(spikes)


@network
def wake_word(plan: Plan) -> Any:
    """Four separable convolutions over time, for 30 frames of 40 speech features: `wake_word((30, 1, 40), 3)`.

    Neurons stand behind the pointwise convolutions only. Arguments and errors are those of `resnet19`; at least 30
    frames.
    """
    frames = plan.image.shape[-3]
    if frames < FRAMES:
        raise ValueError(
            f"There must be at least {FRAMES} frames, which the four convolutions see together. Received: "
            f"input_shape={tuple(plan.image.shape[1:])}. Pad the features with zeros in front."
        )
    x = plan.image
    for number, (channels, seen) in enumerate(WAKE_WORD, start=1):
        name = f"block{number}"
        x = normalized(depthwise(f"{name}_depthwise", kernel=(seen, 1), padding="valid"), x)
        current = normalized(conv(plan.channels(channels), f"{name}_pointwise", kernel=1), x)
        x = plan.fire(f"{name}_neuron", plan.encoded(current) if number == 1 else current)
    return plan.logits(x)


def anomaly_detector(
    features: int = 640,
    *,
    timesteps: int = TIMESTEPS,
    width: float = 1.0,
    neuron: type[keras.layers.Layer] = TernaryLIF,
    **neuron_options: Any,
) -> keras.Model:
    """An autoencoder of nine layers of 128 and 8 units: the error of what comes out tells how strange a sound is.

    Args:
        features: Integer >= 1. Five frames of 128 speech features. Default: 640.
        timesteps, width, neuron, **neuron_options: as of `resnet19`.

    Returns:
        Functional model: features `(batch, features)` in, the same features out.

    Raises:
        ValueError: for features, timesteps or width out of range.
    """
    if not isinstance(features, int) or features < 1:
        raise ValueError(f"`features` must be an integer of at least 1. Received: features={features!r}")
    fire, sound = firing(neuron, neuron_options), keras.Input((features,), name="features")
    x = _dense(sound, scaled(DETECTOR[0], width), "dense1")
    x = fire("neuron1", DirectEncoding(timesteps, name="encoding")(x))
    for number, units in enumerate(DETECTOR[1:], start=2):
        x = fire(f"neuron{number}", _dense(x, scaled(units, width), f"dense{number}"))
    rebuilt = PerTimestep(layers.Dense(features, name="rebuilt"), name="rebuilt")(x)
    return keras.Model(sound, TimeAverage(name="mean")(rebuilt), name="anomaly_detector")


def _dense(x: Any, units: int, name: str) -> Any:
    """A matrix product and a batch normalization, of vectors or of sequences of vectors."""
    dense = layers.Dense(units, use_bias=False, kernel_initializer="he_normal", name=name)
    for layer in (dense, BatchNormalization(name=f"{name}_norm")):
        x = layer(x) if len(x.shape) == 2 else PerTimestep(layer, name=layer.name)(x)
    return x


def _strided_block(plan: Plan, spikes: Any, channels: int, strides: int, name: str) -> Any:
    """A residual block whose shortcut is a strided 1x1 convolution where the shape changes."""
    current = normalized(conv(channels, f"{name}_conv1", strides=strides), spikes)
    current = normalized(conv(channels, f"{name}_conv2"), plan.fire(f"{name}_neuron1", current))
    same = strides == 1 and spikes.shape[-1] == channels
    past = spikes if same else _shortcut(spikes, channels, strides, name)
    return plan.fire(f"{name}_neuron2", layers.Add(name=f"{name}_add")([current, past]))


def _shortcut(spikes: Any, channels: int, strides: int, name: str) -> Any:
    return apply(conv(channels, f"{name}_shortcut", kernel=1, strides=strides), spikes)
