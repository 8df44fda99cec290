"""Elementwise operators again: of depthwise convolutions over stacked rows, and in the shape of what they read.

    taps [k] over one row            MUL(x, k)           the same product and scale
    taps [-k] and a bias over one    SUB(bias, x)        if equal for every integer that x can be
    taps [1, 1] or [-1, 1] over two  ADD or SUB(y, x)    the same sum; its label is that of x and y
    MUL(x, 1), clipped               x                   where only neurons read it

A sum that is clipped is read back where only neurons read it. What they fire does not depend on the clipping:
`events.neurons.agrees` tries all currents unclipped against the clipped ones of the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...program.arithmetic import limits, multiplier, requantize
from ...program.grid import INT8_MAX, INT8_MIN
from ...program.names import is_factor
from ...program.operators import Operator, Tensor
from .reading import UNMOVED, Reading

PLAIN = dict.fromkeys(("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor", "depth_multiplier"), 1)
SUMS = {1: "ADD", -1: "SUB"}  # by the tap of what is added or taken off
EXACT = 1e-4  # a multiplier this near to 1 moves no sum of int8 numbers by half a step


def elementwise_again(reading: Reading, operator: Operator) -> int | None:
    """A DEPTHWISE_CONV_2D over rows of one pixel each; None where no elementwise operator is the same."""
    source, kernel = reading.tensor(operator.inputs[0]), reading.tensor(operator.inputs[1])
    plain = all(operator.options[name] == value for name, value in PLAIN.items())
    moved = source.zero_point or reading.tensor(operator.output).zero_point
    if not is_factor(reading.program, operator) or not plain or moved or kernel.shape[2] != 1:
        return None
    if kernel.shape[1] > 1:
        return _sum(reading, operator)
    biased = bool(reading.tensor(operator.inputs[2]).data.any())
    return _difference(reading, operator) if biased else _product(reading, operator)


def in_shape_of_operand(reading: Reading, operator: Operator) -> int | None:
    """ADD, SUB or MUL value by value as its first tensor lies; constants of one number repeated as that number."""
    variable = [index for index in operator.inputs if reading.tensor(index).data is None]
    output = reading.tensor(operator.output)
    if not variable or any(reading.tensor(index).shape != output.shape for index in variable):
        return None
    home, operands = reading.written(variable[0]).shape, []
    for index in operator.inputs:
        fitted = None if index in variable else _fitted(reading.tensor(index), output.shape, home)
        if index not in variable and fitted is None:
            return None
        operands.append(reading.read(index, home) if fitted is None else reading.constant(fitted))
    return reading.emit(operator.kind, tuple(operands), replace(output, shape=home), operator)


def unclipped(reading: Reading, operator: Operator) -> int | None:
    """MUL by 1, which clips a current for neurons alone: what it clips; None for others."""
    source, factor = (reading.tensor(index) for index in operator.inputs)
    if factor.data is None or source.zero_point or not _only_neurons_read(reading, operator.output):
        return None
    products = multiplier([source, factor], reading.tensor(operator.output)) * factor.data
    if np.any(np.abs(products - 1) >= EXACT):
        return None
    reading.written(operator.inputs[0])
    return reading.mapped[operator.inputs[0]]


def pixel_by_pixel(reading: Reading, operator: Operator) -> int | None:
    """A CONV_2D of one tap in the rows of pixels that it reads; None for others."""
    source, kernel = reading.tensor(operator.inputs[0]), reading.tensor(operator.inputs[1])
    home, steps = reading.written(operator.inputs[0]).shape, ("stride_h", "stride_w")
    single = kernel.shape[1:3] == (1, 1) and all(operator.options[name] == 1 for name in steps)
    if not single or len(home) != len(source.shape) or home[-1] != source.shape[-1]:
        return None
    inputs = (reading.read(operator.inputs[0], home), *map(reading.read, operator.inputs[1:]))
    output = reading.tensor(operator.output)
    return reading.emit(operator.kind, inputs, replace(output, shape=(*home[:-1], output.shape[-1])), operator)


def _product(reading: Reading, operator: Operator) -> int | None:
    kernel = reading.tensor(operator.inputs[1])
    factor = replace(kernel, data=kernel.data.reshape(-1), shape=(kernel.data.size,))
    return _of_one(reading, operator, "MUL", factor, first=False)


def _difference(reading: Reading, operator: Operator) -> int | None:
    tensors = [reading.tensor(index) for index in operator.inputs]
    (source, kernel, bias), output = tensors, reading.tensor(operator.output)
    step, (low, high) = float(source.scale) * float(kernel.scale), reading.bounds[operator.inputs[0]]
    values, taps = np.arange(low, high + 1)[:, None], kernel.data.reshape(-1).astype(np.int64)
    expected = (values * taps + bias.data) * multiplier(tensors, output)
    found = (bias.data * step - values * float(source.scale)) / float(output.scale)
    integers = [requantize(one, output, operator.activation) for one in (expected, found)]
    if np.abs(bias.data).max() > INT8_MAX or np.any(integers[0] != integers[1]):
        return None
    label = {"scale": np.float64(step), "dtype": "int8", "data": bias.data.astype(np.int8)}
    return _of_one(reading, operator, "SUB", replace(bias, **label), first=True)


def _of_one(reading: Reading, operator: Operator, kind: str, constant: Tensor, *, first: bool) -> int | None:
    """An elementwise operator of one tensor and one number, or one for each channel. first: the constant is."""
    home, output = reading.written(operator.inputs[0]).shape, reading.tensor(operator.output)
    fitted = _fitted(constant, output.shape, home)
    if fitted is None:
        return None
    operands = (reading.read(operator.inputs[0], home), reading.constant(fitted))
    output = replace(output, shape=home)
    return reading.emit(kind, operands[::-1] if first else operands, output, operator, options={})


def _sum(reading: Reading, operator: Operator) -> int | None:
    """Rows lie in the stack in the reverse order of the operands."""
    tensors, output = [reading.tensor(index) for index in operator.inputs], reading.tensor(operator.output)
    taps, parts = tensors[1].data[0, :, 0], _stacked(reading, operator.inputs[0])
    sign = int(taps[0, 0])
    whole = np.all(np.abs(multiplier(tensors, output) - 1) < EXACT) and not tensors[2].data.any()
    if (len(parts), len(taps)) != (2, 2) or sign not in SUMS or np.any(taps != [[sign], [1]]) or not whole:
        return None
    clips = limits(output, operator.activation) != (INT8_MIN, INT8_MAX)
    if clips and not _only_neurons_read(reading, operator.output):
        return None
    home = reading.written(parts[1]).shape
    operands = tuple(reading.read(part, home) for part in parts[::-1])
    summed = replace(output, shape=home, scale=tensors[0].scale)
    return reading.emit(SUMS[sign], operands, summed, operator, activation="NONE", options={})


def _only_neurons_read(reading: Reading, index: int) -> bool:
    inside = all(
        reader.output in reading.inside or (reader.kind == UNMOVED and _only_neurons_read(reading, reader.output))
        for reader in reading.readers.get(index, ())
    )
    return inside and index not in reading.program.outputs


def _stacked(reading: Reading, index: int) -> tuple[int, ...]:
    """The images that a tensor holds one behind the other, each as one row; empty where it holds something else."""
    writer, rows = reading.source(index), reading.tensor(index).shape[1]
    if writer is None or writer.kind != "CONCATENATION" or writer.options["axis"] != 1:
        return ()
    tensors = [reading.tensor(part) for part in writer.inputs]
    alike = len({(tensor.shape, float(tensor.scale), tensor.zero_point) for tensor in tensors}) == 1
    return writer.inputs if alike and len(tensors) == rows and all(one.data is None for one in tensors) else ()


def _fitted(constant: Tensor, shape: Sequence[int], home: tuple[int, ...]) -> Tensor | None:
    """A constant that broadcasts against `shape`, for the same values in shape `home`; None where there is none."""
    data = constant.data
    if np.all(data == data.flat[0]):
        data = data.reshape(-1)[:1].reshape([1] * len(home))
    elif data.size == data.shape[-1] == shape[-1] == home[-1]:
        data = data.reshape([*[1] * (len(home) - 1), -1])
    elif data.size == math.prod(home):
        data = data.reshape(home)
    elif shape != home:
        return None
    return constant if data.shape == constant.shape else replace(constant, data=data, shape=data.shape)
