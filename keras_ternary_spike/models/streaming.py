"""Networks of an endless stream, one frame a call: the keyword spotter and the wake word, their convolutions causal.

What the networks of the same name see at once comes frame by frame; `RecentTimesteps` keeps what a kernel needs of the
frames before. Layers are called as there, so that weights can be copied by name.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ..layers.lif import TernaryLIF
from ..layers.time_axis import LastTimestep, PerTimestep, RecentTimesteps
from .blocks import checked_classes, classifier, conv, depthwise, firing, normalized, scaled
from .mlperf_tiny import WAKE_WORD
from .separable import BLOCKS, CHANNELS, STEM_KERNEL

STEM_STRIDE = 2  # frames that a call of the keyword spotter takes, as its first convolution moves on by as many
SIDES = ((0, 0), (1, 1))  # pixels of padding: of the frequencies, never of the future


def streaming_wake_word(
    features: int = 40,
    classes: int = 3,
    *,
    timesteps: int | None = None,
    width: float = 1.0,
    neuron: type[keras.layers.Layer] = TernaryLIF,
    **neuron_options: Any,
) -> keras.Model:
    """`wake_word` as a stream: one frame of features a timestep; 30 of them reach the logits of the last one.

    With `decay=0` the logits are those of `wake_word(timesteps=1)` on the last 30 frames; with another decay neurons
    remember more.

    Args:
        features: Integer >= 1, of each frame. Default: 40.
        classes: Integer >= 1. Default: 3.
        timesteps: Integer >= 1, or None for sequences of any length. Default: None.
        width, neuron, **neuron_options: as of `resnet19`.

    Returns:
        Functional model: `(batch, timesteps, features)` in, logits `(batch, classes)` of the last timestep out.
        Exported with form="step": one frame `(features,)` a call.

    Raises:
        ValueError: for classes or width out of range.
    """
    count = checked_classes(classes)
    fire, frames = firing(neuron, neuron_options), keras.Input((timesteps, features), name="frames")
    x = PerTimestep(layers.Reshape((1, 1, features)), name="pixels")(frames)
    for number, (channels, seen) in enumerate(WAKE_WORD, start=1):
        name = f"block{number}"
        x = RecentTimesteps(seen, name=f"{name}_recent")(x)
        x = normalized(depthwise(f"{name}_depthwise", kernel=(seen, 1), padding="valid"), x)
        x = fire(f"{name}_neuron", normalized(conv(scaled(channels, width), f"{name}_pointwise", kernel=1), x))
    x = PerTimestep(layers.Dense(count, name="classifier"), name="classifier")(
        PerTimestep(layers.Flatten(), name="vectors")(x)
    )
    return keras.Model(frames, LastTimestep(name="logits")(x), name="streaming_wake_word")


def streaming_keyword_spotter(
    features: int = 10,
    classes: int = 12,
    *,
    timesteps: int | None = None,
    width: float = 1.0,
    neuron: type[keras.layers.Layer] = TernaryLIF,
    **neuron_options: Any,
) -> keras.Model:
    """`keyword_spotter` as a stream: two frames of features a timestep, for its first convolution moves on by two.

    A kernel reads its own frame and those before, instead of as many before as behind. The logits are the mean over
    the timesteps since the reset; with `window=25` in `export_tflite` over the last 25 of them.

    Args:
        features: Integer >= 1, of each frame. Default: 10.
        classes: Integer >= 1. Default: 12.
        timesteps, width, neuron, **neuron_options: as of `streaming_wake_word`.

    Returns:
        Functional model: `(batch, timesteps, 2, features)` in, logits `(batch, classes)` out. Exported with
        form="step": `(2, features)` a call.

    Raises:
        ValueError: for classes or width out of range.
    """
    fire, channels = firing(neuron, neuron_options), scaled(CHANNELS, width)
    frames = keras.Input((timesteps, STEM_STRIDE, features), name="frames")
    x = PerTimestep(layers.Reshape((STEM_STRIDE, features, 1)), name="pixels")(frames)
    x = RecentTimesteps(STEM_KERNEL[0] // STEM_STRIDE, name="stem_recent")(x)
    stem = _unpadded(conv(channels, "stem_conv1", kernel=STEM_KERNEL, strides=STEM_STRIDE))
    spikes = fire("stem_neuron1", normalized(stem, _padded(x, "stem_pad")))
    for number in range(1, BLOCKS + 1):
        name = f"block{number}"
        x = _padded(RecentTimesteps(3, name=f"{name}_recent")(spikes), f"{name}_pad")
        spikes = fire(f"{name}_neuron1", normalized(depthwise(f"{name}_depthwise", padding="valid"), x))
        spikes = fire(f"{name}_neuron2", normalized(conv(channels, f"{name}_pointwise", kernel=1), spikes))
    return keras.Model(frames, classifier(spikes, classes), name="streaming_keyword_spotter")


def _padded(x: Any, name: str) -> Any:
    return PerTimestep(layers.ZeroPadding2D(SIDES), name=name)(x)


def _unpadded(convolution: keras.layers.Layer) -> keras.layers.Layer:
    return type(convolution).from_config({**convolution.get_config(), "padding": "valid"})
