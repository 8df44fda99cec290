"""NumPy integer kernels: what each builtin operator computes, for the programs this package emits.

A kernel forms the exact real value of the output in units of its step and rounds to the nearest integer.
The rules of docs/exact-integers.md keep every such value away from ties, so "nearest" is unambiguous and
single or double rounding, half up or half to even, all give the same integer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..padding import same_padding
from .grid import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from .operators import Operator, Tensor


FLOAT32_EXACT = 2**24  # integers below this survive a float32 matrix product
CLAMP = {"NONE": (-np.inf, np.inf), "RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}

Kernel = Callable[["Operator", Sequence["Tensor"], "Tensor", Sequence[np.ndarray]], np.ndarray]


def requantize(value: np.ndarray, output: Tensor, activation: str) -> np.ndarray:
    """Rounds `value` (float64, in steps of `output`) to int8 after the fused activation."""
    return np.clip(np.rint(value) + output.zero_point, *limits(output, activation)).astype(np.int8)


def limits(output: Tensor, activation: str) -> tuple[int, int]:
    """The smallest and the largest int8 that a fused activation lets through."""
    scale, zero = float(output.scale), output.zero_point
    low, high = (zero + np.rint(bound / scale) for bound in CLAMP[activation])
    return int(max(INT8_MIN, low)), int(min(INT8_MAX, high))


def integers(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Integers relative to the zero point, as int32."""
    return array.astype(np.int32) - np.int32(tensor.zero_point)


def multiplier(inputs: Sequence[Tensor], output: Tensor) -> np.ndarray:
    """Accumulator step over output step: a scalar, or one per channel."""
    return inputs[0].scale.astype(np.float64) * inputs[1].scale.astype(np.float64) / float(output.scale)


def windows(operator: Operator, image: np.ndarray, size: tuple[int, int], fill: int):
    """Yields (row, column, view) of the strided input under each tap of a (height, width) window."""
    strides = operator.options["stride_h"], operator.options["stride_w"]
    dilation = operator.options.get("dilation_h_factor", 1), operator.options.get("dilation_w_factor", 1)
    pads = [(0, 0), (0, 0)]
    if operator.options["padding"] == "SAME":
        pads = [same_padding(*axis) for axis in zip(image.shape[1:3], size, strides, dilation, strict=True)]
    image = np.pad(image, [(0, 0), *pads, (0, 0)], constant_values=fill)
    spans = [(k - 1) * d for k, d in zip(size, dilation, strict=True)]
    for row in range(size[0]):
        for column in range(size[1]):
            top, left = row * dilation[0], column * dilation[1]
            bottom = image.shape[1] - spans[0] + top
            right = image.shape[2] - spans[1] + left
            yield row, column, image[:, top : bottom : strides[0], left : right : strides[1]]


def exact_float(kernel: np.ndarray, axes: tuple[int, ...], largest_input: int) -> type:
    """float32 where no accumulator can leave its exact range, else float64."""
    bound = np.abs(kernel.astype(np.int64)).sum(axis=axes).max(initial=0) * largest_input
    return np.float32 if bound < FLOAT32_EXACT else np.float64


def conv_2d(operator, inputs, output, arrays):
    image, kernel = integers(arrays[0], inputs[0]), arrays[1]
    dtype = exact_float(kernel, (1, 2, 3), np.abs(image).max(initial=0))
    image, taps = image.astype(dtype), np.ascontiguousarray(kernel.transpose(1, 2, 3, 0), dtype)
    accumulator = 0
    for row, column, view in windows(operator, image, kernel.shape[1:3], 0):
        # One large matrix product: over four axes NumPy would make a small one for every row of pixels.
        accumulator = accumulator + view.reshape(-1, view.shape[-1]) @ taps[row, column]
    accumulator = accumulator.reshape(len(image), *output.shape[1:])
    value = (accumulator.astype(np.float64) + arrays[2]) * multiplier(inputs, output)
    return requantize(value, output, operator.activation)


def depthwise_conv_2d(operator, inputs, output, arrays):
    image, kernel = integers(arrays[0], inputs[0]), arrays[1].astype(np.int32)
    image = np.repeat(image, operator.options["depth_multiplier"], axis=-1)
    accumulator = 0
    for row, column, view in windows(operator, image, kernel.shape[1:3], 0):
        accumulator = accumulator + view * kernel[0, row, column]
    value = (accumulator.astype(np.float64) + arrays[2]) * multiplier(inputs, output)
    return requantize(value, output, operator.activation)


def fully_connected(operator, inputs, output, arrays):
    vector, kernel = integers(arrays[0], inputs[0]), arrays[1]
    dtype = exact_float(kernel, (1,), np.abs(vector).max(initial=0))
    accumulator = vector.astype(dtype) @ kernel.astype(dtype).T
    value = (accumulator.astype(np.float64) + arrays[2]) * multiplier(inputs, output)
    return requantize(value, output, operator.activation)


def transpose_conv(operator, inputs, output, arrays):
    """Inputs: output shape, kernel (out, kh, kw, in), image, bias."""
    kernel, bias = arrays[1], arrays[3]
    dtype = exact_float(kernel, (1, 2, 3), INT8_MAX + 1)
    image = integers(arrays[2], inputs[2]).astype(dtype)
    strides, taps = (operator.options["stride_h"], operator.options["stride_w"]), kernel.shape[1:3]
    full = [(n - 1) * s + k for n, s, k in zip(image.shape[1:3], strides, taps, strict=True)]
    accumulator = np.zeros((len(image), *full, len(kernel)), dtype)
    for row, column in np.ndindex(*taps):
        view = accumulator[:, row :: strides[0], column :: strides[1]][:, : image.shape[1], : image.shape[2]]
        view += image @ kernel[:, row, column].astype(dtype).T
    top, left = ((size - out) // 2 for size, out in zip(full, output.shape[1:3], strict=True))
    accumulator = accumulator[:, top : top + output.shape[1], left : left + output.shape[2]]
    value = (accumulator.astype(np.float64) + bias) * multiplier((inputs[2], inputs[1]), output)
    return requantize(value, output, operator.activation)


def elementwise_sum(sign: int) -> Kernel:
    def kernel(operator, inputs, output, arrays):
        first, second = (integers(a, t) * float(t.scale) for a, t in zip(arrays, inputs, strict=True))
        return requantize((first + sign * second) / float(output.scale), output, operator.activation)

    return kernel


def mul(operator, inputs, output, arrays):
    product = integers(arrays[0], inputs[0]) * integers(arrays[1], inputs[1])
    return requantize(product * multiplier(inputs, output), output, operator.activation)


def max_pool_2d(operator, inputs, output, arrays):
    size = operator.options["filter_height"], operator.options["filter_width"]
    views = [view for _, _, view in windows(operator, arrays[0], size, INT8_MIN)]
    return np.maximum.reduce(views)


def reshape(operator, inputs, output, arrays):
    return arrays[0].reshape(len(arrays[0]), *output.shape[1:])


def pad(operator, inputs, output, arrays):
    return np.pad(arrays[0], arrays[1], constant_values=inputs[0].zero_point)


def slice_(operator, inputs, output, arrays):
    begin, size = arrays[1][1:], arrays[2][1:]
    return arrays[0][(slice(None), *(slice(b, b + s) for b, s in zip(begin, size, strict=True)))]


def concatenation(operator, inputs, output, arrays):
    samples = max(map(len, arrays))  # a constant is the same of all
    every = [np.broadcast_to(array, (samples, *array.shape[1:])) for array in arrays]
    return np.concatenate(every, axis=operator.options["axis"])


KERNELS: dict[str, Kernel] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "TRANSPOSE_CONV": transpose_conv,
    "FULLY_CONNECTED": fully_connected,
    "ADD": elementwise_sum(+1),
    "SUB": elementwise_sum(-1),
    "MUL": mul,
    "MAX_POOL_2D": max_pool_2d,
    "RESHAPE": reshape,
    "PAD": pad,
    "SLICE": slice_,
    "CONCATENATION": concatenation,
}
