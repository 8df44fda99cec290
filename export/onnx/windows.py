"""Attributes of ONNX's convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..padding import same_padding
from .graph import Call


def window(call: Call, size: Sequence[int]) -> dict[str, list[int]]:
    """Of a window of `size` over the operator's first input. Pads: top, left, bottom, right."""
    options = call.operator.options
    strides = [options["stride_h"], options["stride_w"]]
    dilations = [options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)]
    pads = [(0, 0), (0, 0)]
    if options["padding"] == "SAME":
        sizes = call.inputs[0].shape[1:3]
        pads = [same_padding(*axis) for axis in zip(sizes, size, strides, dilations, strict=True)]
    begin, end = zip(*pads, strict=True)
    return {"kernel_shape": list(size), "strides": strides, "dilations": dilations, "pads": [*begin, *end]}


def weights(call: Call) -> np.ndarray:
    """The kernel, int8, as ONNX's convolutions have it: (out, in, kh, kw), of depthwise ones (out, 1, kh, kw)."""
    kernel, kind = call.inputs[1].data, call.operator.kind
    if kind == "FULLY_CONNECTED":
        return kernel[:, :, None, None]
    return kernel.transpose((3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2))


def groups(call: Call) -> int:
    return call.inputs[0].shape[-1] if call.operator.kind == "DEPTHWISE_CONV_2D" else 1


def cropped(call: Call) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a TRANSPOSE_CONV leaves off its full output: ((top, bottom), (left, right))."""
    strides = call.operator.options["stride_h"], call.operator.options["stride_w"]
    sizes, taps, written = call.inputs[2].shape[1:3], call.inputs[1].shape[1:3], call.output.shape[1:3]
    full = [(n - 1) * s + k for n, s, k in zip(sizes, strides, taps, strict=True)]
    off = [size - out for size, out in zip(full, written, strict=True)]
    return tuple((n // 2, n - n // 2) for n in off)
