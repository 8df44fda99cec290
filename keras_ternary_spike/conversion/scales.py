"""How large an activation becomes, from one pass over samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..layers.trace import Trace
from .activations import Activation, Place
from .graph import rebuilt

KEPT = 2**15  # values of an activation that are kept of a batch
FRACTIONS = np.arange(1, 101) / 100  # of the largest value: scales of which the one with the least error is taken


@dataclass(frozen=True)
class Observed:
    """An activation on samples, in float64.

    values: at random ones of every batch, `(values,)`, seeded.
    mean, active: mean, and share of values other than 0, of every channel: `(channels,)`.
    """

    values: np.ndarray
    mean: np.ndarray
    active: np.ndarray


def activations_on(
    model: keras.Model, calls: Trace, places: Mapping[int, Place], parts: list[Any]
) -> dict[str, Observed]:
    """The activations of the network as it is, by name of the place."""
    floats = rebuilt(model, calls, places, lambda place, x: _layer(place.activation)(x), timesteps=None)
    probe, rng = keras.Model(floats.model.input, list(floats.values.values())), np.random.default_rng(0)
    found: dict[str, list[Observed]] = {name: [] for name in floats.values}
    for part in parts:
        arrays = keras.tree.flatten(probe(part, training=False))
        for name, array in zip(floats.values, arrays, strict=True):
            found[name].append(_observed(np.asarray(keras.ops.convert_to_numpy(array), np.float64), rng))
    sizes = [len(keras.tree.flatten(part)[0]) for part in parts]
    return {name: _together(seen, sizes) for name, seen in found.items()}


def _observed(array: np.ndarray, rng: np.random.Generator) -> Observed:
    flat, rows = array.ravel(), array.reshape(-1, array.shape[-1])
    kept = flat if flat.size <= KEPT else flat[rng.integers(flat.size, size=KEPT)]
    return Observed(kept, rows.mean(0), (rows != 0).mean(0))


def _together(seen: list[Observed], sizes: list[int]) -> Observed:
    mean, active = (np.average([getattr(part, name) for part in seen], 0, sizes) for name in ("mean", "active"))
    return Observed(np.concatenate([part.values for part in seen]), mean, active)


def _layer(activation: Activation) -> keras.layers.Layer:
    if activation.signed:
        return keras.layers.Activation("hard_tanh")
    return keras.layers.ReLU(activation.highest)


def percentile_scale(values: np.ndarray, activation: Activation, percentile: float) -> float:
    """What so many percent of the values other than 0 do not exceed."""
    sizes = np.abs(values[values != 0])
    return _checked(float(np.percentile(sizes, percentile)) if sizes.size else 0.0, activation)


def least_error_scale(values: np.ndarray, activation: Activation, levels: int) -> float:
    """The scale whose levels are nearest to the values, in least squares."""
    sizes = np.abs(values)
    candidates = FRACTIONS * sizes.max(initial=0.0)
    errors = [np.mean((quantized(sizes, scale, levels) - sizes) ** 2) for scale in candidates if scale > 0]
    return _checked(float(candidates[np.argmin(errors)]) if errors else 0.0, activation)


def quantized(values: np.ndarray, scale: float, levels: int) -> np.ndarray:
    """The nearest of 0, scale / levels, ..., scale."""
    step = scale / levels
    return step * np.clip(np.floor(values / step + 0.5), 0, levels)


def _checked(scale: float, activation: Activation) -> float:
    """1, or where it is clipped, for an activation that samples leave at 0."""
    return scale if scale > 0 else activation.highest or 1.0
