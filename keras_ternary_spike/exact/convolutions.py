"""Convolutions with integer kernels and biases. Images are `(batch, height, width, channels)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..registration import PACKAGE
from .linear import ExactLinear

LAST = "channels_last"


class ExactWindowed(ExactLinear):
    """What ExactConv2D and ExactDepthwiseConv2D share.

    Args:
        kernel_size, strides, dilation_rate: as for Keras's layers, pairs of integers.
        padding: "valid", "same" (TensorFlow's), or zeros ((top, bottom), (left, right)).
        **kwargs: see `ExactLinear`.
    """

    def __init__(
        self,
        kernel_size: Sequence[int],
        strides: Sequence[int] = (1, 1),
        dilation_rate: Sequence[int] = (1, 1),
        padding: str | Sequence[Sequence[int]] = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size, self.strides, self.dilation_rate = map(tuple, (kernel_size, strides, dilation_rate))
        self.padding = padding if isinstance(padding, str) else tuple(tuple(axis) for axis in padding)
        self.data_format = LAST

    def padded(self, inputs: Any) -> tuple[Any, str]:
        """The input and what is left of the padding."""
        if isinstance(self.padding, str):
            return inputs, self.padding
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0))), "valid"

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("kernel_size", "strides", "dilation_rate", "padding")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactConv2D(ExactWindowed):
    """2-D convolution. kernel: (kh, kw, in, out). Arguments: see `ExactWindowed` and `ExactLinear`."""

    def kernel_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return *self.kernel_size, input_shape[-1], self.channels

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        inputs, padding = self.padded(inputs)
        return ops.conv(inputs, kernel, self.strides, padding, LAST, self.dilation_rate)


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactDepthwiseConv2D(ExactWindowed):
    """Depthwise 2-D convolution. kernel: (kh, kw, in, multiplier). Arguments: see `ExactWindowed`, `ExactLinear`."""

    def kernel_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return *self.kernel_size, input_shape[-1], self.channels // input_shape[-1]

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        inputs, padding = self.padded(inputs)
        if self.strides[0] == self.strides[1]:
            return ops.depthwise_conv(inputs, kernel, self.strides, padding, LAST, self.dilation_rate)
        # TensorFlow has no depthwise convolution with unequal strides.
        channels = kernel.shape[2]
        full = ops.expand_dims(kernel, 3) * np.eye(channels, dtype="float32")[:, :, None]
        full = ops.reshape(full, (*self.kernel_size, channels, self.channels))
        return ops.conv(inputs, full, self.strides, padding, LAST, self.dilation_rate)


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactConv2DTranspose(ExactLinear):
    """Transposed 2-D convolution, cropped. kernel: (kh, kw, in, out), each at least as large as its stride.

    Args:
        kernel_size, strides: pairs of integers.
        cropping: ((top, bottom), (left, right)), pixels taken off the full output.
        **kwargs: see `ExactLinear`.
    """

    def __init__(
        self, kernel_size: Sequence[int], strides: Sequence[int], cropping: Sequence[Sequence[int]], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size, self.strides = tuple(kernel_size), tuple(strides)
        self.cropping = tuple(tuple(axis) for axis in cropping)

    def kernel_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return *self.kernel_size, input_shape[-1], self.channels

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        kernel = ops.transpose(kernel, (0, 1, 3, 2))
        full = ops.conv_transpose(inputs, kernel, self.strides, "valid", data_format=LAST)
        (top, bottom), (left, right) = self.cropping
        height, width = full.shape[1:3]
        return full[:, top : height - bottom, left : width - right]

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("kernel_size", "strides", "cropping")}
        return {**super().get_config(), **own}
