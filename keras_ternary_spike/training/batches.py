"""Samples batch by batch, in every form that `fit` takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from ..samples import batches_of, holds_arrays, inputs_of


def batches(model: keras.Model, samples: Any, batch_size: int) -> Iterator[Any]:
    """Inputs of a model, batch by batch.

    Args:
        model: whose inputs they are.
        samples: an array; for several inputs a dict or list of arrays; or batches, with or without targets: a
            `keras.utils.PyDataset`, a `tf.data.Dataset`, a loader or any other iterable.
        batch_size: of arrays.

    Raises:
        ValueError: if there are no samples, no end of them, or arrays of different length.
    """
    if holds_arrays(samples):
        parts = _sliced(_structured(model, samples), batch_size)
    else:
        parts = map(inputs_of, batches_of(samples))
    empty = True
    for part in parts:
        empty = False
        # A dataset of another library than the backend holds tensors of that library.
        yield keras.tree.map_structure(lambda array: array if ops.is_tensor(array) else np.asarray(array), part)
    if empty:
        raise ValueError("`samples` must hold at least one sample. Received: 0")


def _structured(model: keras.Model, samples: Any) -> Any:
    """Arrays; a list is one of rows for a model with one input, and of one array for each input otherwise."""
    if hasattr(samples, "shape"):
        return samples
    if isinstance(samples, Mapping):
        return {name: _as_array(value) for name, value in samples.items()}
    inputs = getattr(model, "inputs", None) or [None]  # a subclass of Model says nothing about them
    if len(inputs) > 1:
        return [_as_array(value) for value in samples]
    array = np.asarray(samples)
    one_more = inputs[0] is not None and array.ndim == len(inputs[0].shape) + 1
    return array[0] if one_more and len(array) == 1 else array


def _as_array(value: Any) -> Any:
    return value if hasattr(value, "shape") else np.asarray(value)


def _sliced(samples: Any, batch_size: int) -> Iterator[Any]:
    lengths = {len(array) for array in keras.tree.flatten(samples)}
    if len(lengths) != 1:
        raise ValueError(f"`samples` must hold as many of each input. Received: {sorted(lengths)}")
    for start in range(0, *lengths, batch_size):
        yield keras.tree.map_structure(lambda array, start=start: array[start : start + batch_size], samples)
