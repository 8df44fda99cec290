"""Layers over time that were put on an image, whose rows they would take for timesteps without a word."""

from __future__ import annotations

import warnings
from typing import Any

import keras

IMAGE_RANK = 4  # (batch, height, width, channels)
SPATIAL = (
    *(keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D, keras.layers.Conv2DTranspose),
    *(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D, keras.layers.UpSampling2D),
    *(keras.layers.ZeroPadding2D, keras.layers.Cropping2D, keras.layers.Resizing, keras.layers.CenterCrop),
)
OTHER_AXES = (keras.layers.Reshape, keras.layers.Permute)  # behind them axis 1 may be another than before


def warn_of_image(layer: keras.layers.Layer, inputs: Any) -> None:
    """Warn where a layer over `(batch, timesteps, *features)` is put on what spatial layers made of an image."""
    source = _source(inputs, set()) if len(inputs.shape) == IMAGE_RANK else None
    if source is not None:
        warnings.warn(
            f"{type(layer).__name__} {layer.name!r} takes axis 1 for time, and behind {type(source).__name__} "
            f"{source.name!r} it is the height of an image. Received: shape {tuple(inputs.shape)}. Put "
            "DirectEncoding(timesteps) in front, and PerTimestep(...) around the layers that follow it.",
            stacklevel=2,
        )


def _source(tensor: Any, seen: set[int]) -> keras.layers.Layer | None:
    """The spatial layer whose rows are axis 1 of a tensor of a functional model; None where there is none."""
    # The only way from a tensor to its layer: there is no public one.
    layer = getattr(tensor, "_keras_history", (None,))[0]
    if isinstance(layer, SPATIAL):
        return layer
    if layer is None or isinstance(layer, OTHER_AXES) or id(layer) in seen:
        return None
    seen.add(id(layer))
    before = (one for one in _before(layer) if len(one.shape) == IMAGE_RANK and one.shape[1:3] == tensor.shape[1:3])
    return next(filter(None, (_source(one, seen) for one in before)), None)


def _before(layer: Any) -> list[Any]:
    """The tensors that a layer or an operation reads; of a model within a model those that it gives, too."""
    try:
        inner = keras.tree.flatten(layer.outputs) if isinstance(layer, keras.Model) else []
        return [*inner, *keras.tree.flatten(layer.input)]
    except (AttributeError, ValueError):  # called on several tensors, or on none
        return []
