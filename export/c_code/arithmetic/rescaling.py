"""Scales as integer products and shifts, each compared with the file's arithmetic on every value that can occur.

    round(value * scale) = (value * multiplier + 2^(shift - 1)) >> shift

Both sides are step functions that rise with the value: equal at every place where the left one steps, they are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGEST_MULTIPLIER, LARGEST_SHIFT = 2**31 - 1, 62
LARGEST_SCALE = 2.0**20  # from here on, whatever is not 0 saturates int8
OUTSIDE = 256  # steps from a zero point: beyond int8, wherever that lies


@dataclass(frozen=True)
class Rescaling:
    """multiplier, shift: int64 `(channels,)`."""

    multiplier: np.ndarray
    shift: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """`values` int64, `(..., channels)`, as the C code computes them (its products wrap nowhere)."""
        return (values * self.multiplier + (1 << (self.shift - 1))) >> self.shift


def rescaling(name: str, scale: np.ndarray, low: np.ndarray, high: np.ndarray, unit: np.ndarray) -> Rescaling:
    """The product and shift of every channel.

    Args:
        name: of the tensor written, for the error.
        scale: float64 `(channels,)`, output steps per accumulator step.
        low, high: int64 `(channels,)`, the smallest and the largest accumulator.
        unit: int64 `(channels,)`, accumulators are multiples of it.

    Raises: ValueError if some accumulator lies on a tie, where runtimes differ.
    """
    scale = np.minimum(scale, LARGEST_SCALE)
    shift = np.clip(29 - np.floor(np.log2(scale)).astype(np.int64), 1, LARGEST_SHIFT)
    found = Rescaling(np.rint(scale * 2.0**shift).astype(np.int64), shift)
    values = stepping_values(scale, low, high, unit)
    if np.any(found.multiplier > LARGEST_MULTIPLIER) or np.any(
        saturated(found.apply(values)) != reference(values, scale)
    ):
        raise ValueError(f"No accumulator may lie midway between two steps of {name!r}, but one does: {TIES}")
    return found


TIES = "runtimes round it differently. Export the model with this package's `export_tflite`."


def stepping_values(scale: np.ndarray, low: np.ndarray, high: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Every value just below and just above a step of round(value * scale) within OUTSIDE, `(places, channels)`."""
    edges = np.arange(-OUTSIDE, OUTSIDE)[:, None] + 0.5
    nearest = np.floor(np.clip(edges / scale / unit, -(2.0**40), 2.0**40)).astype(np.int64)
    around = (nearest[None] + np.arange(-1, 3)[:, None, None]).reshape(-1, len(scale)) * unit
    return np.clip(np.concatenate([around, low[None], high[None]]), low, high)


def reference(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """round(value * scale) as Program.run computes it, no further out than OUTSIDE."""
    return saturated(np.rint(values.astype(np.float64) * scale).astype(np.int64))


def saturated(steps: np.ndarray) -> np.ndarray:
    return np.clip(steps, -OUTSIDE, OUTSIDE)
