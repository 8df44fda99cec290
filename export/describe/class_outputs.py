"""Which outputs of a Keras model are classes, of which only the largest number counts."""

from __future__ import annotations

from typing import Any

import keras

from keras_ternary_spike.layers.trace import Trace, trace

from .signature import output_names

CROSS_ENTROPIES = {
    getattr(keras.losses, name)
    for name in (
        *("CategoricalCrossentropy", "SparseCategoricalCrossentropy", "CategoricalFocalCrossentropy"),
        *("categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_focal_crossentropy"),
    )
}


def class_outputs(model: keras.Model) -> set[str]:
    """Names of the outputs behind a softmax; of all where the model is compiled with cross entropies alone."""
    names = output_names(model)
    losses = keras.tree.flatten(getattr(model, "loss", None))
    if losses and all(_is_cross_entropy(loss) for loss in losses):
        return set(names)
    return {name for name, found in zip(names, softmaxes(model), strict=True) if found}


def softmaxes(model: keras.Model) -> list[bool]:
    """For each output whether a softmax stands in front of it."""
    calls = trace(model)
    return [_is_softmax(calls, index) for index in calls.outputs]


def _is_softmax(calls: Trace, index: int) -> bool:
    layer = calls.calls[index].layer
    while isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.linear:
        index = calls.calls[index].sources[0]
        layer = calls.calls[index].layer
    return isinstance(layer, keras.layers.Softmax) or getattr(layer, "activation", None) is keras.activations.softmax


def _is_cross_entropy(loss: Any) -> bool:
    loss = keras.losses.get(loss)
    return loss in CROSS_ENTROPIES or type(loss) in CROSS_ENTROPIES
