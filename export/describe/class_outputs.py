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

LEFT_OUT = {keras.activations.softmax: "softmax", keras.activations.sigmoid: "sigmoid"}


def class_outputs(model: keras.Model, calls: Trace | None = None) -> set[str]:
    """Names of the outputs behind a softmax; of all where the model is compiled with cross entropies alone.

    calls: the model's trace, if it is there already.
    """
    names = output_names(model)
    losses = keras.tree.flatten(getattr(model, "loss", None))
    if losses and all(_is_cross_entropy(loss) for loss in losses):
        return set(names)
    return {name for name, found in zip(names, left_out(model, calls), strict=True) if found == "softmax"}


def left_out(model: keras.Model, calls: Trace | None = None) -> list[str | None]:
    """For each output the function that the file leaves out: "softmax", "sigmoid" or None."""
    calls = trace(model) if calls is None else calls
    return [LEFT_OUT.get(_last_activation(calls, index)) for index in calls.outputs]


def _last_activation(calls: Trace, index: int) -> Any:
    layer = calls.calls[index].layer
    while isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.linear:
        index = calls.calls[index].sources[0]
        layer = calls.calls[index].layer
    return final_activation(layer)


def final_activation(layer: Any) -> Any:
    """The function that a layer ends with; `keras.activations.linear` where there is none."""
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    return getattr(layer, "activation", keras.activations.linear)


def _is_cross_entropy(loss: Any) -> bool:
    loss = keras.losses.get(loss)
    return loss in CROSS_ENTROPIES or type(loss) in CROSS_ENTROPIES
