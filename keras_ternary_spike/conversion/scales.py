"""How large every channel of an activation becomes, from one pass over samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .activations import Activation, Place
from .graph import Rebuilt

KEPT = 1024  # values of a channel that are kept of a batch
FRACTIONS = np.arange(1, 101) / 100  # of the largest value: scales of which the one with the least error is taken


@dataclass(frozen=True)
class Observed:
    """An activation on samples, in float64.

    values: at random ones of every batch, `(values, channels)`, seeded.
    mean, active: mean, and share of values other than 0, of every channel: `(channels,)`.
    """

    values: np.ndarray
    mean: np.ndarray
    active: np.ndarray


def activations_on(floats: Rebuilt, places: Mapping[int, Place], parts: list[Any]) -> dict[str, Observed]:
    """The activations of the network as it is, by name of the place."""
    probe = keras.Model(floats.model.input, [floats.values[index].tensor for index in places])
    found: list[list[Observed]] = [[] for _ in places]
    rng = np.random.default_rng(0)
    for part in parts:
        for seen, array in zip(found, keras.tree.flatten(probe(part, training=False)), strict=True):
            seen.append(_observed(np.asarray(keras.ops.convert_to_numpy(array), np.float64), rng))
    sizes = [len(keras.tree.flatten(part)[0]) for part in parts]
    return {place.name: _together(seen, sizes) for place, seen in zip(places.values(), found, strict=True)}


def _observed(array: np.ndarray, rng: np.random.Generator) -> Observed:
    rows = array.reshape(-1, array.shape[-1])
    kept = rows if len(rows) <= KEPT else rows[rng.integers(len(rows), size=KEPT)]
    return Observed(kept, rows.mean(0), (rows != 0).mean(0))


def _together(seen: list[Observed], sizes: list[int]) -> Observed:
    mean, active = (np.average([getattr(part, name) for part in seen], 0, sizes) for name in ("mean", "active"))
    return Observed(np.concatenate([part.values for part in seen]), mean, active)


def percentile_scale(values: np.ndarray, percentile: float) -> np.ndarray:
    """What so many percent of the values other than 0 of a column do not exceed: `(columns,)`."""
    sizes = [np.abs(column[column != 0]) for column in values.T]
    return np.array([np.percentile(column, percentile) if column.size else 0.0 for column in sizes])


def least_error_scale(values: np.ndarray, levels: int) -> np.ndarray:
    """The scale of every column whose levels are nearest to its values, in least squares: `(columns,)`."""
    sizes = np.abs(values)
    candidates = FRACTIONS[:, None] * sizes.max(0, initial=0.0)
    errors = [np.mean((quantized(sizes, scale, levels) - sizes) ** 2, 0) for scale in candidates]
    return np.take_along_axis(candidates, np.argmin(errors, 0)[None], 0)[0]


def quantized(values: np.ndarray, scale: np.ndarray, levels: int) -> np.ndarray:
    """The nearest of 0, scale / levels, ..., scale."""
    step = np.where(scale > 0, scale, 1.0) / levels
    return step * np.clip(np.floor(values / step + 0.5), 0, levels)


def positive(scales: np.ndarray, activation: Activation) -> np.ndarray:
    """Of channels that samples leave at 0 the largest of the others; 1, or where it is clipped, without others."""
    return np.where(scales > 0, scales, scales.max(initial=0.0) or activation.highest or 1.0)
