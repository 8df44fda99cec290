"""What all networks are made of: the input, normalized convolutions, encoding, neurons and the classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from ..layers.batch_normalization import BatchNormalization
from ..layers.time_axis import DirectEncoding, PerTimestep, TimeAverage

Fire = Callable[[str, Any], Any]  # (name of the layer, current) -> spikes

TIMESTEPS = 2
IMAGE_RANK = 4  # (batch, height, width, channels); a sequence of images has one more axis


def image_input(shape: Sequence[int]) -> Any:
    """The input of a network. Raises ValueError unless `shape` is that of an image or of a sequence of frames."""
    if len(shape) not in (3, 4) or not all(_is_count(size) for size in shape):
        raise ValueError(
            f"`input_shape` must be (height, width, channels), three positive integers, without batch and timesteps, "
            f"or of frames (timesteps, height, width, channels). Received: input_shape={shape!r}. A grey image has one "
            "channel: (28, 28, 1)."
        )
    return keras.Input(tuple(int(size) for size in shape), name="image" if len(shape) == 3 else "frames")


def scaled(channels: int, width: float) -> int:
    """`width` times as many channels, rounded, at least 1. Raises ValueError unless width is positive."""
    if not width > 0:
        raise ValueError(f"`width`, the factor of all channels, must be positive. Received: width={width}")
    return max(1, round(channels * width))


def firing(neuron: type[keras.layers.Layer], options: dict[str, Any]) -> Fire:
    """Puts a layer `neuron(**options)` on a current, `(batch, timesteps, height, width, channels)`."""
    return lambda name, current: neuron(name=name, **options)(current)


def apply(layer: keras.layers.Layer, x: Any) -> Any:
    """`layer` on an image, or on every timestep of a sequence of images."""
    return layer(x) if len(x.shape) == IMAGE_RANK else PerTimestep(layer, name=layer.name)(x)


def normalized(convolution: keras.layers.Layer, x: Any) -> Any:
    """The current that a convolution without bias and a batch normalization make of an image or of spikes."""
    norm = BatchNormalization(name=f"{convolution.name}_norm")
    return apply(norm, apply(convolution, x))


def conv(channels: int, name: str, *, kernel: int | tuple[int, int] = 3, strides: int = 1) -> keras.layers.Layer:
    """A convolution without bias, zero-padded."""
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    return layers.Conv2D(channels, kernel, strides=strides, name=name, **options)


def depthwise(
    name: str, *, kernel: int | tuple[int, int] = 3, strides: int = 1, padding: str = "same"
) -> keras.layers.Layer:
    """A depthwise convolution without bias, zero-padded by default."""
    options = {"padding": padding, "use_bias": False, "depthwise_initializer": "he_normal"}
    return layers.DepthwiseConv2D(kernel, strides=strides, name=name, **options)


def encoded(current: Any, timesteps: int) -> Any:
    """Direct encoding: the same current at every timestep, so that the image is convolved once. Frames stay."""
    return current if len(current.shape) > IMAGE_RANK else DirectEncoding(timesteps, name="encoding")(current)


def classifier(spikes: Any, classes: int, *, pooling: keras.layers.Layer | None = None) -> Any:
    """Logits, `(batch, classes)`: the mean over timesteps of a linear layer on pooled spikes.

    pooling: the layer that makes vectors of images. Default: None, GlobalAveragePooling2D.

    Raises:
        ValueError: if classes is not an integer of at least 1.
    """
    count = checked_classes(classes)
    vectors = apply(pooling or layers.GlobalAveragePooling2D(name="pool"), spikes)
    return TimeAverage(name="logits")(PerTimestep(layers.Dense(count, name="classifier"), name="classifier")(vectors))


def checked_classes(classes: int) -> int:
    """As an integer. Raises ValueError unless it is one of at least 1."""
    if not _is_count(classes):
        raise ValueError(f"`classes` must be an integer of at least 1. Received: classes={classes!r}")
    return int(classes)


def _is_count(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value >= 1
