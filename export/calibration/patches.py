"""What an operator multiplies its kernel with: the inputs of each of its outputs, as rows."""

from __future__ import annotations

import numpy as np

from ..program.arithmetic import windows
from ..program.operators import Operator


def patches(operator: Operator, kernel: np.ndarray, inputs: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """`(groups, samples * pixels, weights of one output)`: outputs = patches @ kernel, as `matrices` has it.

    inputs: `(samples, *input shape)`, 0 where padding is. pixels: `(samples, pixels)`, positions in the output image.
    """
    if operator.kind == "FULLY_CONNECTED":
        return inputs[None]
    size = kernel.shape[1:3]
    if operator.kind == "TRANSPOSE_CONV":
        operator, inputs = _upright(operator, size, inputs)
    taps = [view.reshape(len(view), -1, view.shape[-1]) for _, _, view in windows(operator, inputs, size, 0)]
    rows = np.stack([np.take_along_axis(tap, pixels[:, :, None], axis=1) for tap in taps], axis=2)
    rows = rows.reshape(-1, len(taps), rows.shape[-1])  # (outputs, taps, channels)
    if operator.kind == "DEPTHWISE_CONV_2D":
        return rows.transpose(2, 0, 1)
    return rows.reshape(1, len(rows), -1)


def matrices(operator: Operator, kernel: np.ndarray) -> np.ndarray:
    """The kernel of an operator as `(groups, weights of one output, output channels of the group)`.

    groups: 1, or the input channels of a depthwise convolution.
    """
    if operator.kind == "DEPTHWISE_CONV_2D":
        groups = kernel.shape[3] // operator.options["depth_multiplier"]
        return kernel.reshape(-1, groups, kernel.shape[3] // groups).transpose(1, 0, 2)
    if operator.kind == "TRANSPOSE_CONV":
        kernel = kernel[:, ::-1, ::-1]
    return kernel.reshape(1, len(kernel), -1).transpose(0, 2, 1)


def kernel_of(operator: Operator, matrices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The kernel, of `shape`, that `matrices` stands for."""
    if operator.kind == "DEPTHWISE_CONV_2D":
        return matrices.transpose(1, 0, 2).reshape(shape)
    kernel = matrices[0].T.reshape(shape)
    return kernel[:, ::-1, ::-1] if operator.kind == "TRANSPOSE_CONV" else kernel


def _upright(operator: Operator, size: tuple[int, int], inputs: np.ndarray) -> tuple[Operator, np.ndarray]:
    """A transposed convolution as one with the reversed kernel, of the image with zeros between its pixels."""
    strides = operator.options["stride_h"], operator.options["stride_w"]
    samples, height, width, channels = inputs.shape
    image = np.zeros((samples, (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1, channels), inputs.dtype)
    image[:, :: strides[0], :: strides[1]] = inputs
    pads = []
    for taps, stride in zip(size, strides, strict=True):
        crop = max(taps - stride, 0) if operator.options["padding"] == "SAME" else 0
        pads.append((taps - 1 - crop // 2, taps - 1 - (crop - crop // 2)))
    options = {"stride_h": 1, "stride_w": 1, "padding": "VALID"}
    return Operator("CONV_2D", (), 0, options=options), np.pad(image, [(0, 0), *pads, (0, 0)])
