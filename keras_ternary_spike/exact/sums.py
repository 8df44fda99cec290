"""Sums of integers: shortcuts, windows and timesteps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..layers.time_axis import TimeAverage
from ..registration import PACKAGE
from .rounding import INT8_MAX, INT8_MIN, Rounding


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactAdd(keras.layers.Layer):
    """Sum of integers; saturates after each addition, from left to right.

    Args:
        factors: Integers, one for each input: what a spike is worth where the input holds spikes, else 1.
    """

    def __init__(self, factors: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factors = tuple(factors)

    def call(self, inputs: Sequence[Any]) -> Any:
        scaled = [x if factor == 1 else x * float(factor) for x, factor in zip(inputs, self.factors, strict=True)]
        total = scaled[0]
        for addend in scaled[1:]:
            total = ops.clip(total + addend, INT8_MIN, INT8_MAX)
        return total

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactShortcut(keras.layers.Layer):
    """Spikes to currents: each is worth a whole number of steps.

    Args:
        steps: Integers in [-128, 127], one for all channels or one for each.
        scale: Float > 0, one step in units of 2 * threshold.
    """

    def __init__(self, steps: Sequence[int], scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps, self.scale = tuple(steps), scale

    def call(self, inputs: Any) -> Any:
        return inputs * np.array(self.steps, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps, "scale": self.scale}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactSumPooling2D(keras.layers.Layer):
    """Sum over windows of `(batch, height, width, channels)`, unpadded.

    Args:
        pool_size, strides: pairs of integers.
    """

    def __init__(self, pool_size: Sequence[int], strides: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size, self.strides = tuple(pool_size), tuple(strides)
        area = np.float32(self.pool_size[0] * self.pool_size[1])
        self.rounding = Rounding(inverse=area, step=np.float32(1), limit=np.float32(np.inf))

    def call(self, inputs: Any) -> Any:
        if tuple(inputs.shape[1:3]) == self.pool_size:
            return ops.sum(inputs, axis=(1, 2), keepdims=True)
        means = ops.average_pool(inputs, self.pool_size, self.strides, "valid", "channels_last")
        return self.rounding(means)  # a mean times its divisor is not always whole

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactTimeSum(TimeAverage):
    """Sum over timesteps: `(batch, timesteps, *features)` to `(batch, *features)`."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return ops.sum(inputs, axis=1)
