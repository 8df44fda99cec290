"""Every operator of a Program as one call of a plain C kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..padding import same_padding
from ..program.arithmetic import KERNELS, limits, multiplier
from ..program.grid import INT8_MAX, INT8_MIN
from ..program.names import is_factor, layer_of
from ..program.operators import ELEMENTWISE, Operator, Tensor
from ..program.program import Program, kernel_rows
from .arithmetic.ranges import Interval, accumulators
from .arithmetic.rescaling import LARGEST_SHIFT, TIES, rescaling
from .c_text import Constants
from .steps import Facts, Step

ALL_INT8 = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int8)
MOVES = ("PAD", "SLICE", "CONCATENATION", "RESHAPE")
WINDOW_BYTES, OPERANDS_BYTES, BOX_BYTES = 72, 32, 40  # of the structs in kernels/


@dataclass(frozen=True)
class Source:
    """What steps are made from: a program, the intervals of its tensors, and the constants of the C file so far."""

    program: Program
    intervals: Mapping[int, Interval]
    constants: Constants

    def tensor(self, index: int) -> Tensor:
        return self.program.tensors[index]


def plain_steps(source: Source, operator: Operator) -> list[Step]:
    """The calls for one operator: one, or one for each part that a CONCATENATION joins."""
    return EMITTERS[operator.kind](source, operator)


def _step(source: Source, operator: Operator, kernel: str, *arguments: str | int) -> Step:
    output = source.tensor(operator.output)
    sizes = "x".join(map(str, output.shape[1:]))
    variable = tuple(_constant(source, value) if isinstance(value, int) else value for value in arguments)
    return Step(
        note=f"{output.name}: {operator.kind}, {sizes}",
        kernel=kernel,
        arguments=variable,
        reads=tuple(value for value in variable if isinstance(value, int) and value != operator.output),
        writes=(operator.output,),
        layer=layer_of(source.program, operator),
        facts=Facts("memory" if operator.kind in MOVES else "dense", _why(source, operator)),
    )


def _why(source: Source, operator: Operator) -> str:
    """Why an operator is computed value by value."""
    if operator.kind in MOVES:
        return "it moves bytes"
    if operator.kind in ELEMENTWISE or is_factor(source.program, operator):
        return "its operands are values, or those of a neuron that no equation of one table stands for"
    return "its input holds no spikes, or its sums or scales exceed what the event-driven kernels hold"


def _constant(source: Source, index: int) -> str | int:
    """The name in C of a tensor with data; any other as it is."""
    tensor = source.tensor(index)
    return index if tensor.data is None else source.constants.array(tensor.name, tensor.data)


def _weighted(source: Source, operator: Operator) -> list[Step]:
    kernel, image = operator.inputs[1], operator.inputs[2 if operator.kind == "TRANSPOSE_CONV" else 0]
    name = source.tensor(kernel).name.removesuffix("/kernel")
    window = source.constants.struct("window_t", f"{name}_window", window_of(source, operator, image), WINDOW_BYTES)
    multipliers, shifts = _rescaling(source, operator, image)
    call = (
        f"&{window}",
        image,
        source.constants.array(f"{name}_kernel", source.tensor(kernel).data),
        source.constants.array(f"{name}_bias", source.tensor(operator.inputs[-1]).data),
        source.constants.array(f"{name}_multiplier", multipliers.astype(np.int32)),
        source.constants.array(f"{name}_shift", shifts.astype(np.uint8)),
        operator.output,
    )
    kind = "CONV_2D" if operator.kind == "FULLY_CONNECTED" else operator.kind
    return [_step(source, operator, kind.lower(), *call)]


def _rescaling(source: Source, operator: Operator, image: int) -> tuple[np.ndarray, np.ndarray]:
    output, bias = source.tensor(operator.output), source.tensor(operator.inputs[-1]).data.astype(np.int64)
    scale = multiplier((source.tensor(image), source.tensor(operator.inputs[1])), output)
    low, high = accumulators(source.program, operator, source.intervals)
    unit = np.gcd(np.gcd.reduce(kernel_rows(source.program, operator), axis=0), bias)
    found = rescaling(output.name, np.broadcast_to(scale, low.shape), low, high, np.maximum(unit, 1))
    return found.multiplier, found.shift


def window_of(source: Source, operator: Operator, image: int) -> tuple[int, ...]:
    """The members of window_t."""
    tensor, output, options = source.tensor(image), source.tensor(operator.output), operator.options
    ends = (tensor.zero_point, output.zero_point, *limits(output, operator.activation))
    if operator.kind == "FULLY_CONNECTED":
        return (1, 1, math.prod(tensor.shape), 1, 1, math.prod(output.shape), *(1,) * 6, 0, 0, *ends)
    taps = _taps(source, operator)
    strides = options["stride_h"], options["stride_w"]
    dilation = options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)
    top, left = _before(operator, tensor.shape, output.shape, taps, strides, dilation)
    return (*tensor.shape[1:], *output.shape[1:], *taps, *strides, *dilation, top, left, *ends)


def _taps(source: Source, operator: Operator) -> tuple[int, int]:
    if operator.kind == "MAX_POOL_2D":
        return operator.options["filter_height"], operator.options["filter_width"]
    return source.tensor(operator.inputs[1]).shape[1:3]


def _before(operator, shape, out_shape, taps, strides, dilation) -> tuple[int, int]:
    """Pixels of padding above and left of the image; of TRANSPOSE_CONV, pixels cropped off its full output."""
    if operator.kind == "TRANSPOSE_CONV":
        full = ((n - 1) * s + k for n, s, k in zip(shape[1:3], strides, taps, strict=True))
        return tuple((size - out) // 2 for size, out in zip(full, out_shape[1:3], strict=True))
    if operator.options["padding"] == "VALID":
        return 0, 0
    return tuple(same_padding(*axis)[0] for axis in zip(shape[1:3], taps, strides, dilation, strict=True))


def _max_pool(source: Source, operator: Operator) -> list[Step]:
    name = f"{source.tensor(operator.output).name}_window"
    window = source.constants.struct("window_t", name, window_of(source, operator, operator.inputs[0]), WINDOW_BYTES)
    return [_step(source, operator, "max_pool_2d", f"&{window}", operator.inputs[0], operator.output)]


def _elementwise(source: Source, operator: Operator) -> list[Step]:
    constants = [index for index in operator.inputs if source.tensor(index).data is not None]
    if constants and source.tensor(constants[0]).data.size == 1:
        return [_look_up(source, operator)]
    return [_product(source, operator) if operator.kind == "MUL" else _weighted_sum(source, operator)]


def _look_up(source: Source, operator: Operator) -> Step:
    """Of one operand, or one and a number: all 256 results."""
    values = [ALL_INT8 if source.tensor(i).data is None else source.tensor(i).data.reshape(1) for i in operator.inputs]
    results = evaluated(source, operator, values)
    variable = next((index for index in operator.inputs if source.tensor(index).data is None), None)
    output = source.tensor(operator.output)
    table = source.constants.array(f"{output.name}_table", results)
    return _step(source, operator, "look_up", str(math.prod(output.shape)), variable, table, operator.output)


def evaluated(source: Source, operator: Operator, values: list[np.ndarray]) -> np.ndarray:
    """What Program.run computes for these operands."""
    tensors = [source.tensor(index) for index in operator.inputs]
    return KERNELS[operator.kind](operator, tensors, source.tensor(operator.output), values)


def _weighted_sum(source: Source, operator: Operator) -> Step:
    output = source.tensor(operator.output)
    scales = np.array([float(source.tensor(index).scale) for index in operator.inputs]) / float(output.scale)
    if operator.kind == "SUB":
        scales[1] = -scales[1]
    shift = int(np.clip(29 - np.floor(np.log2(np.abs(scales).max())), 1, LARGEST_SHIFT))
    factors = np.rint(scales * 2.0**shift).astype(np.int64)
    _check_pairs(
        source, operator, lambda first, second: (first * factors[0] + second * factors[1] + 2 ** (shift - 1)) >> shift
    )
    first, second = operator.inputs
    operands = _operands(source, operator)
    return _step(
        source,
        operator,
        "weighted_sum",
        operands,
        first,
        str(factors[0]),
        second,
        str(factors[1]),
        str(shift),
        operator.output,
    )


def _product(source: Source, operator: Operator) -> Step:
    output = source.tensor(operator.output)
    scale = float(multiplier([source.tensor(index) for index in operator.inputs], output))
    shift = int(np.clip(29 - np.floor(np.log2(scale)), 1, LARGEST_SHIFT))
    factor = round(scale * 2.0**shift)
    _check_pairs(source, operator, lambda first, second: (first * second * factor + 2 ** (shift - 1)) >> shift)
    first, second = operator.inputs
    operands = _operands(source, operator)
    return _step(source, operator, "product", operands, first, second, str(factor), str(shift), operator.output)


def _check_pairs(source: Source, operator: Operator, formula: Callable) -> None:
    """Raises ValueError unless a formula of integers is what Program.run computes, on all pairs that can occur."""
    spans = [source.intervals[index] for index in operator.inputs]
    zeros = [source.tensor(index).zero_point for index in operator.inputs]
    first, second = np.meshgrid(*(np.arange(low, high + 1) for low, high in spans), indexing="ij")
    stored = [np.asarray(values + zero, np.int8) for values, zero in zip((first, second), zeros, strict=True)]
    output = source.tensor(operator.output)
    steps = formula(first.astype(np.int64), second.astype(np.int64)) + output.zero_point
    made = np.clip(steps, *limits(output, operator.activation))
    if np.any(made != evaluated(source, operator, stored)):
        raise ValueError(f"No result may lie midway between two steps of {output.name!r}, but one does: {TIES}")


def _operands(source: Source, operator: Operator) -> str:
    output = source.tensor(operator.output)
    tensors = [source.tensor(index) for index in operator.inputs]
    ends = (*(tensor.zero_point for tensor in tensors), output.zero_point, *limits(output, operator.activation))
    members = (math.prod(output.shape), *(_period(tensor, output) for tensor in tensors), *ends)
    return "&" + source.constants.struct("operands_t", f"{output.name}_operands", members, OPERANDS_BYTES)


def _period(tensor: Tensor, output: Tensor) -> int:
    """After how many values of the output an operand begins again. Raises: ValueError if it does not."""
    sizes = (*(1,) * (len(output.shape) - len(tensor.shape)), *tensor.shape)
    size = math.prod(sizes)
    behind = [n for n in range(len(sizes) + 1) if math.prod(output.shape[n:]) == size and sizes[n:] == output.shape[n:]]
    if not behind and size != 1:
        raise ValueError(
            f"An operand must have the shape of the output, or of its last axes. Received: {tensor.name!r} of shape "
            f"{tensor.shape} for {output.name!r} of shape {output.shape}"
        )
    return size


def _box(source: Source, name: str, sizes, outer_in, outer_out) -> str:
    """box_t: a box of `sizes` inside arrays of two shapes, all without the batch axis."""
    (*sizes,), (*outer_in,), (*outer_out,) = (
        ((1,) * (4 - len(shape))) + tuple(shape) for shape in (sizes, outer_in, outer_out)
    )
    members = (sizes, strides(outer_in)[:3], strides(outer_out)[:3])
    return "&" + source.constants.struct("box_t", f"{name}_box", members, BOX_BYTES)


def strides(shape) -> list[int]:
    """Bytes from one entry to the next, by axis."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _pad(source: Source, operator: Operator) -> list[Step]:
    tensor, output = source.tensor(operator.inputs[0]), source.tensor(operator.output)
    pads = source.tensor(operator.inputs[1]).data[1:]
    box = _box(source, output.name, tensor.shape[1:], tensor.shape[1:], output.shape[1:])
    first = int(np.dot(pads[:, 0], strides(output.shape[1:])))
    size = math.prod(output.shape)
    call = (box, operator.inputs[0], str(tensor.zero_point), str(size), str(first), operator.output)
    return [_step(source, operator, "pad", *call)]


def _slice(source: Source, operator: Operator) -> list[Step]:
    tensor, output = source.tensor(operator.inputs[0]), source.tensor(operator.output)
    begin = source.tensor(operator.inputs[1]).data[1:]
    box = _box(source, output.name, output.shape[1:], tensor.shape[1:], output.shape[1:])
    first = int(np.dot(begin, strides(tensor.shape[1:])))
    return [_step(source, operator, "copy_box", box, operator.inputs[0], str(first), operator.output, "0")]


def _concatenation(source: Source, operator: Operator) -> list[Step]:
    output, axis = source.tensor(operator.output), operator.options["axis"] % len(source.tensor(operator.output).shape)
    steps, begin = [], 0
    for index in operator.inputs:
        tensor = source.tensor(index)
        box = _box(source, output.name, tensor.shape[1:], tensor.shape[1:], output.shape[1:])
        first = begin * math.prod(output.shape[axis + 1 :])
        steps.append(_step(source, operator, "copy_box", box, index, "0", operator.output, str(first)))
        begin += tensor.shape[axis]
    return steps


EMITTERS: Mapping[str, Callable[[Source, Operator], list[Step]]] = {
    "CONV_2D": _weighted,
    "DEPTHWISE_CONV_2D": _weighted,
    "TRANSPOSE_CONV": _weighted,
    "FULLY_CONNECTED": _weighted,
    "ADD": _elementwise,
    "SUB": _elementwise,
    "MUL": _elementwise,
    "MAX_POOL_2D": _max_pool,
    "PAD": _pad,
    "SLICE": _slice,
    "CONCATENATION": _concatenation,
}
