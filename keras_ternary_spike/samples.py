"""Samples in every form that `fit` takes, read as arrays or batch by batch. Loads without Keras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

INFINITE = -1  # the cardinality of a tf.data.Dataset that repeats
MOST_BYTES = 2**31  # of batches that are held together


def holds_arrays(samples: Any) -> bool:
    """Whether samples are an array, or a mapping or list of them; otherwise they come batch by batch."""
    return hasattr(samples, "shape") or isinstance(samples, Mapping | list | tuple)


def inputs_of(batch: Any) -> Any:
    """Of (inputs, targets) or (inputs, targets, weights), as `fit` takes them, the inputs; else all of it."""
    return batch[0] if isinstance(batch, tuple | list) else batch


def batches_of(samples: Any) -> Iterator[Any]:
    """The batches of a tf.data.Dataset, a keras.utils.PyDataset, a loader, a generator or any other iterable.

    Raises:
        ValueError: if they never end, or are no batches at all.
    """
    indexed = hasattr(samples, "num_batches") and hasattr(samples, "__getitem__")  # a PyDataset
    count = samples.num_batches if indexed else int(samples.cardinality()) if hasattr(samples, "cardinality") else 0
    if count in (None, INFINITE):
        raise ValueError(
            f"`samples` must come to an end. Received: a {type(samples).__name__} without one. Take some batches, "
            "dataset.take(8), or say how many there are."
        )
    if indexed:
        return (samples[index] for index in range(count))
    if not isinstance(samples, Iterable):
        raise ValueError(
            "`samples` must be an array, one for each input by name, or batches: a tf.data.Dataset, a "
            f"keras.utils.PyDataset, a loader or a generator. Received: {samples!r} ({type(samples).__name__})"
        )
    return iter(samples)


def gathered(samples: Any, names: Sequence[str]) -> Any:
    """All batches as one array for each input, by name; arrays as they are.

    Args:
        samples: in any form. Batches are read once, to their end, and their targets left out.
        names: of the inputs, in order.

    Raises:
        ValueError: if there are no batches, no end of them, or a batch lacks an input.
    """
    if holds_arrays(samples):
        return samples
    batches = [_named(inputs_of(batch), names) for batch in until_full(batches_of(samples))]
    if not batches:
        raise ValueError("`samples` must hold at least one sample. Received: 0")
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def until_full(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches, as long as all of them together fit into memory. Raises: ValueError beyond."""
    size = 0
    for batch in batches:
        size += sum(np.asarray(array).nbytes for array in _leaves(inputs_of(batch)))
        if size > MOST_BYTES:
            raise ValueError(
                f"`samples` must come to an end before {MOST_BYTES:,} bytes. Received: batches of {size:,} so far. "
                "Take some of them: dataset.take(8), or itertools.islice(generator, 8)."
            )
        yield batch


def _named(inputs: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of one batch by name: of a mapping, of a list in order, or of the only input."""
    if not isinstance(inputs, Mapping):
        several = isinstance(inputs, tuple | list) and len(names) > 1
        inputs = dict(zip(names, inputs if several else [inputs], strict=False))
    arrays = {name: np.asarray(value) for name, value in inputs.items()}
    if {*arrays} != {*names} or not all(array.ndim for array in arrays.values()):
        received = {name: array.shape for name, array in arrays.items()}
        raise ValueError(
            f"Every batch of `samples` must hold an array for each of {list(names)}, with a batch axis in front. "
            f"Received: shapes {received}. A dataset of single samples needs .batch(32)."
        )
    return arrays


def _leaves(inputs: Any) -> Iterable[Any]:
    if isinstance(inputs, Mapping):
        return inputs.values()
    return inputs if isinstance(inputs, tuple | list) else [inputs]


class Kept:
    """The batches of an iterator, which can be read once, for reading them again and again."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = list(until_full(batches))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)
