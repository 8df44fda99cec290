"""Linear layers with integer kernels and biases: the base class, and Dense."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import keras
import numpy as np
from keras import ops

from ..backend import gradient
from ..registration import PACKAGE
from .rounding import INT8_MAX, Requantization, Rounding


class ExactLinear(keras.layers.Layer):
    """A kernel and a bias, rounded to integers, on integers.

        accumulator = kernel_integers * inputs + bias_integers       exact while below 2**24
        output = clip(round(accumulator * multiplier), -128 - output_zero_point, 127 - output_zero_point)

    Kernel and bias are weights in real units: an optimizer sees the numbers of the float network. Their integers are
    multiples of 2 where the multiplier is below 1/2. Gradients ignore all rounding.

    Args:
        multipliers: a fraction for each output channel, such as "16/63": output steps per accumulator step.
        input_scale: Float > 0, real units per step of the input.
        output_scale: Float > 0, real units per step of the output.
        input_bound: Integer, the largest |input| in steps.
        rounded: Boolean. Whether the output is rounded; otherwise the neuron behind does it. Default: True.
        reach: Float, the largest |output| before saturation that has a gradient; None for all. Default: None.
        masked: Boolean. Whether some kernel numbers are fixed at 0, by the weight `mask`. Default: False.
        output_zero_point: Integer in [-128, 127], which stands for an output of 0. Default: 0.
    """

    def __init__(
        self,
        multipliers: Sequence[str],
        input_scale: float,
        output_scale: float,
        input_bound: int,
        rounded: bool = True,
        reach: float | None = None,
        masked: bool = False,
        output_zero_point: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.multipliers = tuple(Fraction(multiplier) for multiplier in multipliers)
        self.input_scale, self.output_scale, self.input_bound = input_scale, output_scale, input_bound
        self.rounded, self.reach, self.masked = rounded, reach, masked
        self.output_zero_point = output_zero_point

    @property
    def channels(self) -> int:
        """Of the output."""
        return len(self.multipliers)

    def kernel_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        """`(..., in, out)`, or `(kh, kw, in, multiplier)` of a depthwise kernel."""
        raise NotImplementedError(f"{type(self).__name__} must implement `kernel_shape(input_shape)`.")

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """The products' sums, `(batch, ..., channels)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement `accumulate(inputs, kernel)`.")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = self.kernel_shape(input_shape)
        self.kernel = self.add_weight(name="kernel", shape=shape)
        self.bias = self.add_weight(name="bias", shape=(self.channels,), initializer="zeros")
        if self.masked:
            self.mask = self.add_weight(name="mask", shape=shape, initializer="ones", trainable=False)
        self.kernel_rounding, self.bias_rounding = self.roundings(shape)
        self.requantize, self.requantize_fused = (self.requantization(fused) for fused in (False, True))

    def roundings(self, kernel_shape: tuple[int, ...]) -> tuple[Rounding, Rounding]:
        """Of the kernel and of the bias."""
        multiplier = np.array([float(multiplier) for multiplier in self.multipliers])
        step = np.array([1.0 if 2 * multiplier >= 1 else 2.0 for multiplier in self.multipliers])
        accumulator_step = self.output_scale * multiplier
        per_channel = kernel_shape[2:] if kernel_shape[-1] != self.channels else (self.channels,)

        def rounding(unit: np.ndarray, limit: np.ndarray, shape: tuple[int, ...]) -> Rounding:
            return Rounding(*(np.float32(values).reshape(shape) for values in (1 / (unit * step), step, limit)))

        kernel = rounding(accumulator_step / self.input_scale, INT8_MAX // step, per_channel)
        return kernel, rounding(accumulator_step, np.full(self.channels, np.inf), (self.channels,))

    def kernel_integers(self) -> Any:
        """As a tensor of the kernel's shape."""
        integers = self.kernel_rounding(self.kernel)
        return integers * self.mask if self.masked else integers

    def bias_integers(self) -> Any:
        return self.bias_rounding(self.bias)

    def call(self, inputs: Any, training: bool = False) -> Any:
        accumulator = self.accumulate(inputs, self.kernel_integers())
        fused = bool(training) and None not in accumulator.shape[1:] and gradient.can_fuse()
        requantize = self.requantize_fused if fused else self.requantize
        return gradient.call(requantize, [accumulator, self.bias_integers()])[0]

    def requantization(self, fused: bool) -> Requantization:
        multiplier = np.array([float(multiplier) for multiplier in self.multipliers], np.float32)
        reach = np.inf if self.reach is None else self.reach
        return Requantization(multiplier, self.rounded, reach, fused, self.output_zero_point)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "multipliers": [str(multiplier) for multiplier in self.multipliers],
            "input_scale": self.input_scale,
            "output_scale": self.output_scale,
            "input_bound": self.input_bound,
            "rounded": self.rounded,
            "reach": self.reach,
            "masked": self.masked,
            "output_zero_point": self.output_zero_point,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactDense(ExactLinear):
    """`ExactLinear` over the last axis. kernel: (in, units)."""

    def kernel_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return input_shape[-1], self.channels

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        return ops.matmul(inputs, kernel)
