"""Convolutions over wide pixels, several side by side as the channels of one, over single pixels again.

A wide kernel holds the narrow one once for each pixel that it writes, moved on by the stride, and zeros besides. The
sums are the same, tap for tap, if both begin their windows at the same pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...padding import same_padding
from ...program.operators import Operator, Tensor
from .reading import UNMOVED, Reading


@dataclass(frozen=True)
class Wide:
    """outputs, inputs: pixels that a wide one holds, of those written and of those read."""

    outputs: int
    inputs: int

    @property
    def stride(self) -> int:
        return self.inputs // self.outputs


def narrow_again(reading: Reading, operator: Operator) -> int | None:
    """A CONV_2D over wide pixels in the shape of the image that they are cut from; None for others."""
    source, (kernel, bias) = reading.written(operator.inputs[0]), map(reading.tensor, operator.inputs[1:])
    cut, output = reading.tensor(operator.inputs[0]), reading.tensor(operator.output)
    wide, options = _wide(reading, operator), operator.options
    same = options["padding"] == "SAME" and options["stride_w"] == options["dilation_w_factor"] == 1
    if wide is None or not same:
        return None
    narrow = next(_narrow(kernel, wide, source.shape[2], cut.shape[2]), None)
    weights = (narrow, _once(bias, wide.outputs))
    if None in weights or np.any(kernel.scale != np.tile(narrow.scale, wide.outputs)):
        return None
    batch, rows, columns, channels = output.shape
    shape = (batch, rows, columns * wide.outputs, channels // wide.outputs)
    inputs = (reading.read(operator.inputs[0], source.shape), *map(reading.constant, weights))
    options = {**options, "stride_w": wide.stride}
    return reading.emit(operator.kind, inputs, replace(output, shape=shape), operator, options=options)


def _wide(reading: Reading, operator: Operator) -> Wide | None:
    """How many pixels the wide ones hold: by the image in front, and by the one that readers make of the output."""
    source, cut = reading.written(operator.inputs[0]).shape, reading.tensor(operator.inputs[0]).shape
    written = reading.tensor(operator.output).shape
    readers = reading.readers.get(operator.output, ())
    made = {reading.tensor(one.output).shape if one.kind == UNMOVED else written for one in readers}
    image = made.pop() if len(made) == 1 else written
    if len(source) != 4 or len(image) != 4 or source[1] != cut[1] or image[1] != written[1]:
        return None
    outputs, inputs = image[2] // written[2], source[2] // cut[2]
    whole = outputs and inputs > 1 and inputs % outputs == 0
    return Wide(outputs, inputs) if whole and written[3] == outputs * image[3] else None


def _narrow(kernel: Tensor, wide: Wide, width: int, columns: int) -> Iterator[Tensor]:
    """The kernels of single pixels that are this one of wide ones, the smallest first."""
    out, rows, taps, channels = kernel.shape
    data = kernel.data.reshape(wide.outputs, out // wide.outputs, rows, taps * wide.inputs, channels // wide.inputs)
    before = same_padding(columns, taps, 1)[0] * wide.inputs
    for size in range(1, taps * wide.inputs + 1):
        offset = before - same_padding(width, size, wide.stride)[0]
        found = data[0, :, :, max(offset, 0) : offset + size]
        if found.shape[2] == size and np.array_equal(_repeated(found, wide, data.shape, offset), data):
            scale = kernel.scale[: out // wide.outputs] if kernel.scale.ndim else kernel.scale
            yield replace(kernel, data=np.ascontiguousarray(found), shape=found.shape, scale=scale)


def _repeated(narrow: np.ndarray, wide: Wide, shape: tuple[int, ...], offset: int) -> np.ndarray | None:
    """Once for each pixel that a wide one writes; None where it does not fit in."""
    result, size = np.zeros(shape, narrow.dtype), narrow.shape[2]
    for pixel in range(wide.outputs):
        first = offset + pixel * wide.stride
        if first < 0 or first + size > shape[3]:
            return None
        result[pixel, :, :, first : first + size] = narrow
    return result


def _once(bias: Tensor, count: int) -> Tensor | None:
    """The numbers of one pixel, where those of all are the same."""
    size = bias.data.size // count
    same = math.prod(bias.shape) == count * size and np.array_equal(bias.data, np.tile(bias.data[:size], count))
    scale = bias.scale[:size] if bias.scale.ndim else bias.scale
    return replace(bias, data=bias.data[:size], shape=(size,), scale=scale) if same else None
