"""Rules for layers that put the same values into another shape, or change nothing in inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from .rule import POINTWISE, Rule, rule


def _unchanged(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return ()


def _flatten(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A Reshape; "channels_first" moves the first axis behind the others before, which must move no value."""
    if layer.data_format == "channels_first":
        axes = [*range(1, len(source.shape)), 0]
        _check_unmoved(layer, source, axes, f"data_format={layer.data_format!r}", 'Use data_format="channels_last"')
    return () if len(source.shape) == 1 else (reshape(name, source, (int(np.prod(source.shape)),)),)


def reshape(name: str, source: Node, shape: tuple[int, ...]) -> Node:
    return nodes.Reshape(**like(name, source, shape=shape))


def _reshape_layer(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    shape = layer.compute_output_shape((1, *source.shape))[1:]
    return (reshape(name, source, tuple(int(size) for size in shape)),)


def _permute(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A Reshape, if only axes of size 1 move."""
    axes = [axis - 1 for axis in layer.dims]
    _check_unmoved(layer, source, axes, f"dims={tuple(layer.dims)}", "Arrange the axes before the network")
    return (reshape(name, source, tuple(source.shape[axis] for axis in axes)),)


def _check_unmoved(layer: Any, source: Node, axes: Sequence[int], option: str, way_out: str) -> None:
    moved = [axis for axis in axes if source.shape[axis] != 1]
    if moved != sorted(moved):
        raise ValueError(
            f"{type(layer).__name__} may only move axes of size 1, so that no value moves. Received: layer "
            f"{layer.name!r} with {option} on {source.shape}. {way_out}."
        )


def _softmax(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """Nothing: logits leave the file. Where they stand is told by the last axis."""
    rank = len(source.shape) + 1
    axes = [axis % rank for axis in np.atleast_1d(layer.axis)]
    if axes != [rank - 1]:
        raise ValueError(
            f"`axis` of a softmax must be the last one, the classes. Received: axis={layer.axis} in layer "
            f"{layer.name!r}. Use axis=-1."
        )
    return ()


# Layers whose inference is the identity, whatever their options; those that this Keras has.
UNCHANGED = {
    getattr(keras.layers, name)
    for name in (
        *("Identity", "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *("SpatialDropout1D", "SpatialDropout2D", "AugMix", "CutMix", "MixUp", "RandAugment"),
        *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast"),
        *("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale"),
        *("RandomHue", "RandomInvert", "RandomPerspective", "RandomRotation", "RandomSaturation", "RandomSharpness"),
        *("RandomShear", "RandomTranslation", "RandomZoom"),
    )
    if hasattr(keras.layers, name)
}
NOISE = "rate stddev seed noise_shape data_format l1 l2"
AUGMENTATION = """
    all_ops alpha bounding_box_format brightness_factor chain_depth contrast_factor factor fill_mode fill_value
    height_factor hue_factor interpolation kernel_size mode num_chains num_ops saturation_factor scale sigma value_range
    width_factor x_factor y_factor"""


RESHAPING: Mapping[type, Rule] = {
    keras.layers.Flatten: rule(_flatten, "data_format"),
    keras.layers.Reshape: rule(_reshape_layer, "target_shape"),
    keras.layers.Permute: rule(_permute, "dims"),
    **dict.fromkeys(UNCHANGED, rule(_unchanged, "", f"{NOISE} {AUGMENTATION}", POINTWISE)),
    keras.layers.Softmax: rule(_softmax, "axis", time=POINTWISE),
}
