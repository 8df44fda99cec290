"""Rules for layers that put the same values into another shape, or change nothing in inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from .rule import Rule


def _unchanged(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return ()


def _flatten(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return () if len(source.shape) == 1 else (reshape(name, source, (int(np.prod(source.shape)),)),)


def reshape(name: str, source: Node, shape: tuple[int, ...]) -> Node:
    return nodes.Reshape(**like(name, source, shape=shape))


def _reshape_layer(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    shape = layer.compute_output_shape((1, *source.shape))[1:]
    return (reshape(name, source, tuple(int(size) for size in shape)),)


def _permute(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A Reshape, if only axes of size 1 move."""
    axes = [axis - 1 for axis in layer.dims]
    moved = [axis for axis in axes if source.shape[axis] != 1]
    if moved != sorted(moved):
        raise ValueError(
            f"Permute may only move axes of size 1, so that no value moves. Received: layer {layer.name!r} with "
            f"dims={tuple(layer.dims)} on {source.shape}. Arrange the axes before the network."
        )
    return (reshape(name, source, tuple(source.shape[axis] for axis in axes)),)


RESHAPING: Mapping[type, Rule] = {
    keras.layers.Flatten: _flatten,
    keras.layers.Reshape: _reshape_layer,
    keras.layers.Permute: _permute,
    keras.layers.Dropout: _unchanged,
    keras.layers.SpatialDropout1D: _unchanged,
    keras.layers.SpatialDropout2D: _unchanged,
    keras.layers.GaussianDropout: _unchanged,
    keras.layers.GaussianNoise: _unchanged,
    keras.layers.Activation: _unchanged,
    keras.layers.Softmax: _unchanged,
}
