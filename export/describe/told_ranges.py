"""What the first layers of a Keras model tell of its samples: Rescaling(1/255) expects 0 to 255."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import BatchNormalization, DirectEncoding
from keras_ternary_spike.layers.trace import Trace, trace

from .rules.reshaping import UNCHANGED
from .signature import input_names

# They hand values on, or add zeros and nothing else.
PASSING = (
    *(DirectEncoding, keras.layers.Reshape, keras.layers.Permute, keras.layers.Flatten),
    *(keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, *UNCHANGED),
)
STATISTICS = (keras.layers.Normalization, keras.layers.BatchNormalization, BatchNormalization)


DEFAULT_RANGE = (0.0, 1.0)  # of an input of which nothing is told
DTYPE_RANGES = {"uint8": (0.0, 255.0), "int8": (-128.0, 127.0), "bool": (0.0, 1.0)}  # every number that it can hold

Range = tuple[float, float]


def told_ranges(model: keras.Model, calls: Trace | None = None) -> dict[str, Range]:
    """(low, high) of every input by the name that users give it: told by its dtype or its first layers, else (0, 1).

    calls: the model's trace, if it is there already.

    Raises:
        ValueError: where the first layers contradict each other, or were adapted to other numbers than 0 to 1, or an
            input of integers does not tell which.
    """
    calls, names = trace(model) if calls is None else calls, input_names(model)
    return {name: _told(calls, index, name) for index, name in enumerate(names)}


def _told(calls: Trace, index: int, name: str) -> Range:
    dtype, readers = calls.calls[index].layer.dtype, list(_first_readers(calls, index))
    if dtype in DTYPE_RANGES:
        return DTYPE_RANGES[dtype]
    layers = [calls.calls[reader].layer for reader in readers]
    told = {rescaled_range(*_rescaling(calls, reader)) for reader in readers if _rescales(calls, reader)}
    doubts = [doubt for layer in layers if type(layer) in STATISTICS and (doubt := _doubt(layer))]
    if not keras.backend.is_float_dtype(dtype):
        doubts.append(f"it is of dtype {dtype}")
    if len(told) > 1:
        doubts.append(f"the layers that read it were made for {' and '.join(map(str, sorted(told, key=str)))}")
    if doubts and (len(told) != 1 or None in told):
        raise ValueError(
            "`input_range` must be given where the first layers do not tell it. Received: no range for input "
            f"{name!r}, and {doubts[0]}. Give input_range=(low, high), the smallest and the largest value of its "
            "samples."
        )
    return next(iter(told), None) or DEFAULT_RANGE


def _first_readers(calls: Trace, index: int) -> Iterator[int]:
    """Indices of the layers that read an input, behind those that only hand it on."""
    for reader in calls.readers(index):
        if isinstance(calls.calls[reader].layer, PASSING):
            yield from _first_readers(calls, reader)
        else:
            yield reader


def _rescales(calls: Trace, index: int) -> bool:
    return type(calls.calls[index].layer) is keras.layers.Rescaling


def _rescaling(calls: Trace, index: int) -> tuple[np.ndarray, np.ndarray]:
    """(scale, offset) of a Rescaling and of those right behind it: x / 127.5 - 1 is two."""
    layer, readers = calls.calls[index].layer, list(_first_readers(calls, index))
    scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if len(readers) != 1 or not _rescales(calls, readers[0]):
        return scale, offset
    factor, shift = _rescaling(calls, readers[0])
    return scale * factor, offset * factor + shift


def rescaled_range(scale: Any, offset: Any) -> Range | None:
    """The numbers that scale * x + offset takes to [0, 1] or, with an offset, to [-|offset|, |offset|].

    The second is the habit of Rescaling(1/127.5, offset=-1) and of Rescaling(1/255, offset=-0.5), both for 0 to 255; an
    offset that scales of both signs share, as in Rescaling(-1/255, offset=1), has 0 at its other end. None where the
    channels differ, or nothing is scaled.
    """
    scales, offsets = np.unique(np.asarray(scale, np.float64)), np.unique(np.asarray(offset, np.float64))
    if scales.size != 1 or offsets.size != 1 or scales[0] in (0, 1):
        return None
    factor, shift = float(scales[0]), float(offsets[0])
    if shift == 0 or factor < 0:
        ends = (0.0, (1.0 if shift == 0 else -shift) / factor)
    elif shift < 0:
        ends = (0.0, -2 * shift / factor)
    else:
        ends = (-shift / factor, shift / factor)
    return tuple(_whole(end) for end in sorted(ends))


def _whole(value: float) -> float:
    """A whole number where float32 cannot tell it from one: 1 / (1 / 255) is 255."""
    nearest = float(round(value))
    return nearest if abs(value - nearest) <= np.finfo(np.float32).eps * max(abs(value), 1.0) else value


def _doubt(layer: Any) -> str | None:
    """That statistics are not those of numbers from 0 to 1; None if they may be."""
    prefix = "" if isinstance(layer, keras.layers.Normalization) else "moving_"
    weights = (getattr(layer, f"{prefix}{name}") for name in ("mean", "variance"))
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(weight)) for weight in weights)
    deviation = np.sqrt(variance)
    if np.array_equal(mean, np.zeros_like(mean)) and np.array_equal(variance, np.ones_like(variance)):
        return None  # as initialized: nothing was seen
    if mean.min() >= 0 and mean.max() <= 1 and deviation.max() <= 0.5:  # no numbers from 0 to 1 deviate more
        return None
    return f"{layer.name!r} has seen a mean of {_span(mean)} and a deviation of {_span(deviation)}"


def _span(values: np.ndarray) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"
