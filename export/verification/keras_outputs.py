"""What the Keras model answers, to be compared with the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..program.program import Program

if TYPE_CHECKING:
    import keras


def comparable(model: keras.Model | None) -> keras.Model | None:
    """The model as Keras predicts with it. Raises: ValueError if its predictions are no longer Keras's."""
    if model is None:
        return None
    from keras_ternary_spike.layers.overrides import as_functional, overridden

    if method := overridden(model, "predict", "predict_step", "make_predict_function"):
        raise ValueError(
            f"`{method}` of the model must be Keras's own: the file is compared with what the model's layers compute. "
            f"Received: {model.name!r} ({type(model).__name__}), which overrides it. Compare with "
            "keras.Model(model.inputs, model.outputs)."
        )
    return as_functional(model)


def predictions(model: keras.Model, samples: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The Keras model's outputs in its order. samples: an array for each input, in its order."""
    import keras

    from ..describe.signature import input_structure, packed

    if len(model.inputs) != len(samples):
        raise ValueError(
            f"The model and the file must have equally many inputs. Received: {len(model.inputs)} of the model, "
            f"{list(samples)} of the file"
        )
    return keras.tree.flatten(model.predict(packed(input_structure(model), list(samples.values())), verbose=0))


def left_out_of(model: keras.Model | None, program: Program) -> dict[str, str]:
    """Of the file's outputs, the function that the Keras model has behind them."""
    if model is None:
        return {}
    from ..describe.class_outputs import left_out

    return {name: found for name, found in zip(program.named_outputs, left_out(model), strict=False) if found}


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * logits))  # 1 / (1 + exp(-x)), which overflows
