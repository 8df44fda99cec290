"""Rules for layers that pool, resize, pad or crop an image: the layer and the Node that it reads, to Nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from ...network import nodes
from ...network.node import like
from ...network.nodes import NO_PADDING, Node, Padding
from .reshaping import reshape
from .rule import Rule, check_image, pair, rule, window


def _max_pooling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (_pool(nodes.MaxPool, layer, name, source),)


def _average_pooling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    pool = _pool(nodes.AveragePool, layer, name, source)
    if pool.padding != NO_PADDING:
        raise ValueError(
            f"Padded average pooling divides by fewer pixels at the border, which no single factor undoes. Received: "
            f'layer {layer.name!r} with padding="same" on {source.shape[:2]} pixels. Use padding="valid".'
        )
    return (pool,)


def _pool(kind: type[nodes.Pool], layer: Any, name: str, source: Node) -> nodes.Pool:
    size, strides = pair(layer.pool_size), pair(layer.strides)
    padding, outputs = window(layer, source, size, strides)
    return kind(size=size, strides=strides, padding=padding, **like(name, source, shape=(*outputs, source.shape[-1])))


def _global_average_pooling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return _global_pooling(nodes.AveragePool, layer, name, source)


def _global_max_pooling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return _global_pooling(nodes.MaxPool, layer, name, source)


def _global_pooling(kind: type[nodes.Pool], layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    check_image(layer, source)
    size, channels = source.shape[:2], source.shape[-1]
    pool = kind(size=size, strides=size, **like(name, source, shape=(1, 1, channels)))
    return (pool,) if layer.keepdims else (pool, reshape(f"{name}_flatten", pool, (channels,)))


def _zero_padding(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    check_image(layer, source)
    padding = _sides(layer.padding)
    size = tuple(source.shape[i] + sum(padding[i]) for i in (0, 1))
    return (nodes.ZeroPad(padding=padding, **like(name, source, shape=(*size, source.shape[-1]))),)


def _cropping(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    check_image(layer, source)
    cropping = _sides(layer.cropping)
    size = tuple(source.shape[i] - sum(cropping[i]) for i in (0, 1))
    return (nodes.Crop(cropping=cropping, **like(name, source, shape=(*size, source.shape[-1]))),)


def _upsampling(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    check_image(layer, source)
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise ValueError(
            f'`interpolation` must be "nearest". Received: layer {layer.name!r} with '
            f"interpolation={layer.interpolation!r}. Use it, or Conv2DTranspose."
        )
    factors = (1, int(layer.size)) if isinstance(layer, keras.layers.UpSampling1D) else pair(layer.size)
    size = tuple(source.shape[i] * factors[i] for i in (0, 1))
    return (nodes.Upsample(factors=factors, **like(name, source, shape=(*size, source.shape[-1]))),)


def _sides(value: Any) -> Padding:
    rows, columns = value if isinstance(value[0], tuple | list) else ((0, 0), value)  # of a row of pixels
    (top, bottom), (left, right) = rows, columns
    return (int(top), int(bottom)), (int(left), int(right))


POOL = "pool_size strides padding data_format"

IMAGES: Mapping[type, Rule] = {
    keras.layers.MaxPooling2D: rule(_max_pooling, POOL),
    keras.layers.AveragePooling2D: rule(_average_pooling, POOL),
    keras.layers.GlobalMaxPooling2D: rule(_global_max_pooling, "data_format keepdims"),
    keras.layers.GlobalAveragePooling2D: rule(_global_average_pooling, "data_format keepdims"),
    keras.layers.UpSampling2D: rule(_upsampling, "size data_format interpolation"),
    keras.layers.ZeroPadding2D: rule(_zero_padding, "padding data_format"),
    keras.layers.Cropping2D: rule(_cropping, "cropping data_format"),
}
ROWS: Mapping[type, Rule] = {
    keras.layers.MaxPooling1D: rule(_max_pooling, POOL),
    keras.layers.AveragePooling1D: rule(_average_pooling, POOL),
    keras.layers.GlobalMaxPooling1D: rule(_global_max_pooling, "data_format keepdims"),
    keras.layers.UpSampling1D: rule(_upsampling, "size"),
    keras.layers.ZeroPadding1D: rule(_zero_padding, "padding data_format"),
    keras.layers.Cropping1D: rule(_cropping, "cropping"),
    keras.layers.GlobalAveragePooling1D: rule(_global_average_pooling, "data_format keepdims"),
}
