"""Where an exact model meets the world: real numbers to integers, and integers to real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..registration import PACKAGE
from .rounding import INT8_MAX, INT8_MIN

LEVELS = INT8_MAX - INT8_MIN + 1


def smallest_inputs(scale: float, zero_point: int) -> np.ndarray:
    """The smallest float32 that becomes each of the 256 integers, in order; -infinity for the first.

    As the file's user quantizes: round(x / scale) in float64, halves to even.
    """
    steps = np.arange(INT8_MIN + 1, INT8_MAX + 1) - zero_point
    smallest = ((steps - 0.5) * scale).astype(np.float32)
    while np.any(low := np.rint(smallest.astype(np.float64) / scale) < steps):
        smallest = np.where(low, np.nextafter(smallest, np.float32(np.inf)), smallest)
    below = np.nextafter(smallest, np.float32(-np.inf))
    while np.any(high := np.rint(below.astype(np.float64) / scale) >= steps):
        smallest = np.where(high, below, smallest)
        below = np.nextafter(smallest, np.float32(-np.inf))
    return np.concatenate([[-np.inf], smallest]).astype(np.float32)


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactInput(keras.layers.Layer):
    """Real numbers to integers relative to the zero point: clip(round(x / scale) + zero_point, -128, 127) - zero_point.

    The quotient is that of float64 although all is computed in float32: near a tie, a table decides.

    Args:
        input_range: (low, high) of the samples. What the user gave, for the file's reader.
        scale: Float > 0, real units per step; a number that float32 represents.
        zero_point: Integer in [-128, 127], which stands for 0.
    """

    def __init__(self, input_range: Sequence[float], scale: float, zero_point: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_range = tuple(input_range)
        self.scale, self.zero_point = scale, zero_point
        self.lower = smallest_inputs(scale, zero_point)
        self.upper = np.append(self.lower[1:], np.float32(np.inf))

    def call(self, inputs: Any) -> Any:
        lowest = INT8_MIN - self.zero_point
        nearest = ops.clip(ops.round(inputs * np.float32(1 / self.scale)) - lowest, 0, LEVELS - 1)
        index = ops.clip(ops.cast(nearest, "int32"), 0, LEVELS - 1)  # NaN is cast to anything
        above = ops.cast(inputs >= ops.take(self.upper, index), inputs.dtype)
        below = ops.cast(inputs < ops.take(self.lower, index), inputs.dtype)
        return nearest + above - below + lowest

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {"input_range": self.input_range, "scale": self.scale, "zero_point": self.zero_point}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactShift(keras.layers.Layer):
    """An offset behind the input: the same int8 integers under another zero point.

    Args:
        steps: Integer, what is added to integers relative to the zero point.
        offset: Float, the same in real units.
    """

    def __init__(self, steps: int, offset: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps, self.offset = steps, offset

    def call(self, inputs: Any) -> Any:
        return inputs + self.steps

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps, "offset": self.offset}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactOutput(keras.layers.Layer):
    """Integers to real numbers: scale * integer.

    Args:
        scale: Float > 0, real units per step; a number that float32 represents.
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}
