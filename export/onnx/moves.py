"""Operators that move integers or choose among them, in either form of the file."""

from __future__ import annotations

import numpy as np

from .forms import Form
from .graph import CHANNELS_FIRST, CHANNELS_LAST, IMAGE_RANK, Call, axis_in, channels_first, lies_alike, shape_in
from .windows import window

ANY_BATCH = -1


def reshape(call: Call, form: Form) -> str:
    """Values keep the order that they have with channels last."""
    source, value = call.inputs[0], call.values[0]
    if not lies_alike(source.shape):
        value = call.node("Transpose", [value], "channels_last", perm=CHANNELS_LAST)
    if lies_alike(call.output.shape):
        shape = call.integers((ANY_BATCH, *shape_in(call.output.shape)[1:]), "shape")
        return call.node("Reshape", [value, shape])
    shape = call.integers((ANY_BATCH, *call.output.shape[1:]), "shape")
    value = call.node("Reshape", [value, shape], "channels_last")
    return call.node("Transpose", [value], perm=CHANNELS_FIRST)


def pad(call: Call, form: Form) -> str:
    pads = call.inputs[1].data
    pads = pads[list(CHANNELS_FIRST)] if len(pads) == IMAGE_RANK else pads
    amounts = call.integers(pads.T.ravel(), "pads")
    return call.node("Pad", [call.values[0], amounts, call.constant(form.zero(call.inputs[0]), "zero")])


def slice_(call: Call, form: Form) -> str:
    source, begin, size = call.inputs[0].shape, call.inputs[1].data, call.output.shape
    axes = [axis for axis in range(1, len(source)) if size[axis] != source[axis]]
    if not axes:
        return call.node("Identity", [call.values[0]])
    places = call.integers([axis_in(axis, len(source)) for axis in axes], "axes")
    starts = call.integers([begin[axis] for axis in axes], "begin")
    ends = call.integers([begin[axis] + size[axis] for axis in axes], "end")
    return call.node("Slice", [call.values[0], starts, ends, places])


def concatenation(call: Call, form: Form) -> str:
    rank = len(call.output.shape)
    values = [value or _constant(call, form, index) for index, value in enumerate(call.values)]
    return call.node("Concat", values, axis=axis_in(call.operator.options["axis"], rank))


def _constant(call: Call, form: Form, index: int) -> str:
    """A constant as often as there are samples."""
    tensor = call.inputs[index]
    array = channels_first(form.constant(tensor), len(tensor.shape))
    value = call.constant(array, f"constant{index}")
    source = next((value for value in call.values if value), None)
    if source is None:
        return value
    samples = call.node("Shape", [source], "samples", start=0, end=1)
    shape = call.node("Concat", [samples, call.integers(array.shape[1:], "rest")], "shape", axis=0)
    return call.node("Expand", [value, shape], f"constant{index}")


def max_pool(call: Call, form: Form) -> str:
    options = call.operator.options
    taps = options["filter_height"], options["filter_width"]
    return call.node("MaxPool", [call.values[0]], **window(call, taps))


def spread(call: Call, zero: np.ndarray) -> str:
    """The image of a TRANSPOSE_CONV with zeros between its pixels, (n - 1) * stride + 1 of them along each axis."""
    source, options = call.inputs[2], call.operator.options
    _, channels, height, width = shape_in(source.shape)
    down, right = options["stride_h"], options["stride_w"]
    if (down, right) == (1, 1):
        return call.values[2]
    apart = call.integers((ANY_BATCH, channels, height, 1, width, 1), "apart")
    value = call.node("Reshape", [call.values[2], apart], "apart")
    amounts = call.integers([*[0] * 6, 0, 0, 0, down - 1, 0, right - 1], "between")
    value = call.node("Pad", [value, amounts, call.constant(zero, "zero")], "padded")
    together = call.integers((ANY_BATCH, channels, height * down, width * right), "together")
    value = call.node("Reshape", [value, together], "together")
    ends = call.integers([(height - 1) * down + 1, (width - 1) * right + 1], "end")
    return call.node("Slice", [value, call.integers([0, 0], "begin"), ends, call.integers([2, 3], "axes")], "spread")
