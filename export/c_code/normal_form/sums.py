"""Sums over windows of two tensors as those of their sum, where nothing is clipped: addition is linear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...program.grid import INT8_MAX, INT8_MIN
from ...program.operators import Operator, Tensor
from .reading import Reading


def windows_of_sum(reading: Reading, operator: Operator) -> int | None:
    """ADD of two sums by equal depthwise kernels, all on one grid, that nobody else reads; None for others."""
    one, other = (_summed(reading, index) for index in operator.inputs)
    output, (low, high) = reading.tensor(operator.output), reading.bounds[operator.output]
    if one is None or other is None or one.options != other.options or one.inputs[1:] != other.inputs[1:]:
        return None
    images = [reading.tensors[part.inputs[0]] for part in (one, other)]
    clips = operator.activation != "NONE" or low == INT8_MIN or high == INT8_MAX
    if images[0].shape != images[1].shape or clips or len({*map(_grid, images), _grid(output)}) > 1:
        return None
    total = replace(images[0], name=f"{output.name}/full")
    inputs = (reading.emit("ADD", (one.inputs[0], other.inputs[0]), total, operator), *one.inputs[1:])
    return reading.emit(one.kind, inputs, replace(output, shape=reading.tensors[one.output].shape), one)


def _summed(reading: Reading, index: int) -> Operator | None:
    """The operator of the normal form that sums integers for this reader alone, as they are."""
    alone = len(reading.readers[index]) == 1 and index not in reading.program.outputs
    writer = next((one for one in reversed(reading.operators) if one.output == reading.mapped.get(index)), None)
    if not alone or writer is None or writer.kind != "DEPTHWISE_CONV_2D" or writer.activation != "NONE":
        return None
    image, kernel, bias = (reading.tensors[source] for source in writer.inputs)
    unscaled = _grid(image) == _grid(reading.tensors[writer.output]) == (float(image.scale), 0) and np.all(
        kernel.scale == 1
    )
    return writer if unscaled and not bias.data.any() else None


def _grid(tensor: Tensor) -> tuple[float, int]:
    return float(tensor.scale), tensor.zero_point
