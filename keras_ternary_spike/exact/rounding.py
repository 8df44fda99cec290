"""Rounding to integers with gradients that ignore it: straight-through estimators.

The objects are what `gradient.call` takes: `forward` returns the outputs and what to save, `backward` gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from ..backend import gradient

INT8_MIN, INT8_MAX = -128, 127


@dataclass(frozen=True, eq=False)
class Rounding:
    """integers = step * clip(round(weights * inverse), -limit, limit); d integers / d weights = step * inverse.

    One float32 product and one rounding: every backend and every compiler computes the same integers.

    Args:
        inverse: float32, broadcasts against the weights. Multiples of `step` per unit of the weights.
        step: float32, as `inverse`. 1, or 2 where integers must be even.
        limit: float32, as `inverse`. The largest multiple of `step`; infinity for none.
    """

    inverse: np.ndarray
    step: np.ndarray
    limit: np.ndarray
    fused: bool = False

    def __call__(self, weights: Any) -> Any:
        # The product is a tensor where the weights may be a variable, which TensorFlow would watch.
        return gradient.call(self, [weights * self.inverse])[0]

    def forward(self, scaled: Any) -> tuple[tuple[Any], None]:
        return (ops.clip(ops.round(scaled), -self.limit, self.limit) * self.step,), None

    def backward(self, tensors: Sequence[Any], saved: None, upstream: Sequence[Any]) -> tuple[Any]:
        return (upstream[0] * self.step,)


@dataclass(frozen=True, eq=False)
class Requantization:
    """From accumulators and biases, `(..., channels)` and `(channels,)`, to the int8 grid of the output.

        value = (round(accumulator) + bias) * multiplier
        output = clip(round(value), -128 - zero_point, 127 - zero_point) if rounded, else value
        d output / d value = 1 where |value| <= reach, else 0

    The accumulator is rounded because fast convolution algorithms leave a fraction behind.

    Args:
        multiplier: float32 `(channels,)`, output steps per accumulator step.
        rounded: whether the output is on its grid; otherwise the neuron behind rounds.
        reach: Float, in output steps; infinity for a gradient everywhere.
        fused: whether forward and backward are compiled; the value is then computed again instead of saved.
        zero_point: Integer, which stands for an output of 0.
    """

    multiplier: np.ndarray
    rounded: bool
    reach: float
    fused: bool
    zero_point: int = 0

    def forward(self, accumulator: Any, bias: Any) -> tuple[tuple[Any], Any]:
        value = self._value(accumulator, bias)
        low, high = INT8_MIN - self.zero_point, INT8_MAX - self.zero_point
        output = ops.clip(ops.round(value), low, high) if self.rounded else value
        return (output,), None if self.fused or np.isinf(self.reach) else value

    def backward(self, tensors: Sequence[Any], value: Any, upstream: Sequence[Any]) -> tuple[Any, Any]:
        grad = upstream[0] * self.multiplier
        if not np.isinf(self.reach):
            value = self._value(*tensors) if self.fused else value
            grad = ops.where(ops.abs(value) <= self.reach, grad, ops.zeros_like(grad))
        return grad, ops.sum(grad, axis=tuple(range(len(grad.shape) - 1)))

    def _value(self, accumulator: Any, bias: Any) -> Any:
        return (ops.round(accumulator) + bias) * self.multiplier
