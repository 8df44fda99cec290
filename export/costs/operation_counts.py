"""How much arithmetic one sample costs: additions where spikes meet kernels, multiplications where real values do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from ..padding import same_padding
from ..program.names import STATE_IN, is_factor, is_state, layer_of, read, spike_level
from ..program.operators import ELEMENTWISE, Operator, Tensor, literal, source_position
from ..program.program import Program, kernel_rows

INT8_BOUND = 128
Nonzero = Mapping[str, np.ndarray]  # by tensor name, `shape without batch`: the share of samples that are not 0


@dataclass(frozen=True)
class LayerCounts:
    """Counts for one sample, all timesteps. A pixel of zero padding costs nothing.

    layer: the Keras layer's name, or that of the node made from it; "total" for the sum.
    operators: of all kinds, those that only move or compare integers among them.
    multiply_accumulates: kernel weights applied to real values (the first layer).
    additions: kernel weights applied to spikes or sums of spikes, each counted once: a spike adds its weight,
        subtracts it or leaves it out.
    additions_bound: as if a sum of n spikes added its weight n times, and every spike fired.
    additions_measured: additions whose spike or sum is not 0, mean over samples; None where nothing was measured.
    rescalings: accumulators that become int8, one fixed-point multiplication each.
    elementwise: int8 values that ADD, SUB and MUL write, or convolutions in their place: the neurons, and sums.
    """

    layer: str
    operators: int = 0
    multiply_accumulates: int = 0
    additions: int = 0
    additions_bound: int = 0
    additions_measured: float | None = None
    rescalings: int = 0
    elementwise: int = 0


@dataclass(frozen=True)
class OperationCounts:
    """layers: in order of execution; total: their sum."""

    layers: tuple[LayerCounts, ...]
    total: LayerCounts


def count_operations(program: Program, activity: Nonzero | None = None) -> OperationCounts:
    """Counts the arithmetic of a program.

    activity: what `measure` returns, to count additions without those of zeros.
    """
    bounds = spike_bounds(program)
    layers: dict[str, LayerCounts] = {}
    for operator in program.operators:
        counts = count_operator(program, operator, bounds, activity)
        layers[counts.layer] = plus(layers.get(counts.layer, LayerCounts(counts.layer)), counts)
    total = LayerCounts("total")
    for counts in layers.values():
        total = plus(total, counts)
    return OperationCounts(tuple(layers.values()), total)


def measure(program: Program, trace: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The share of samples in which each value is not 0, for the tensors of a trace that hold spikes or their sums."""
    zeros = {program.tensors[index].name: program.tensors[index].zero_point for index in spike_bounds(program)}
    return {name: np.mean(values != zeros[name], axis=0) for name, values in trace.items() if name in zeros}


def plus(one: LayerCounts, other: LayerCounts) -> LayerCounts:
    """The sum of two counts, under the name of the first."""
    sums = {}
    for key in (field.name for field in fields(LayerCounts) if field.name != "layer"):
        parts = [part for part in (getattr(one, key), getattr(other, key)) if part is not None]
        sums[key] = sum(parts) if parts else None
    return LayerCounts(one.layer, **sums)


def count_operator(
    program: Program, operator: Operator, bounds: Mapping[int, int], activity: Nonzero | None
) -> LayerCounts:
    output = program.tensors[operator.output]
    name, size = layer_of(program, operator), int(np.prod(output.shape))
    if operator.kind in ELEMENTWISE or is_factor(program, operator):
        return LayerCounts(name, operators=1, elementwise=size)
    if operator.kind not in APPLICATIONS:
        return LayerCounts(name, operators=1)
    source = operator.inputs[source_position(operator)]
    applied = APPLICATIONS[operator.kind](program, operator)
    count = int(applied.sum())
    if source not in bounds:
        return LayerCounts(name, operators=1, multiply_accumulates=count, rescalings=size)
    shares = None if activity is None else activity[program.tensors[source].name]
    measured = None if shares is None else float((applied * shares).sum())
    return LayerCounts(name, 1, 0, count, count * bounds[source], measured, size)


@dataclass(frozen=True, eq=False)
class SpikeReader:
    """A kernel that reads spikes, or sums of them.

    tensor: index of what it reads. applied: `shape without batch`, how many weights each of its values meets.
    """

    layer: str
    tensor: int
    applied: np.ndarray


def spike_readers(program: Program) -> list[SpikeReader]:
    """The kernels whose applications `count_operations` calls additions, in order of execution."""
    bounds = spike_bounds(program)
    applying = [op for op in program.operators if op.kind in APPLICATIONS and not is_factor(program, op)]
    read = [(operator, operator.inputs[source_position(operator)]) for operator in applying]
    return [
        SpikeReader(layer_of(program, operator), index, APPLICATIONS[operator.kind](program, operator))
        for operator, index in read
        if index in bounds
    ]


def spike_bounds(program: Program) -> dict[int, int]:
    """The tensors that hold spikes or sums of spikes, by index, with the largest |value| that may occur."""
    states = [i for i in program.inputs if is_state(program.tensors[i].name, STATE_IN)]
    bounds = {index: INT8_BOUND for index in states if literal(program.tensors[index])}
    for operator in program.operators:
        bound = _bound(program, operator, bounds)
        if bound is not None and _keeps_unit(program, operator, bounds):
            bounds[operator.output] = min(bound, INT8_BOUND - program.tensors[operator.output].zero_point)
    return bounds


def _keeps_unit(program: Program, operator: Operator, bounds: Mapping[int, int]) -> bool:
    """Whether the integers of the output are spikes or sums, in ones or in the levels of what it reads."""
    output = program.tensors[operator.output]
    scales = {float(program.tensors[index].scale) for index in operator.inputs if index in bounds}
    return literal(output) or _is_spike(output) or scales == {float(output.scale)}


def _bound(program: Program, operator: Operator, bounds: Mapping[int, int]) -> int | None:
    output = program.tensors[operator.output]
    if _is_spike(output):
        writers = {operator.output: operator for operator in program.operators}
        return spike_level(program, writers, operator.output)
    if operator.activation == "RELU_N1_TO_1" and literal(output):
        return 1
    sources = [index for index in operator.inputs if program.tensors[index].data is None]
    if any(index not in bounds for index in sources):
        return None
    below = [bounds[index] for index in sources]
    if operator.kind in APPLICATIONS:
        kernel = program.tensors[operator.inputs[1]]
        return below[0] * int(np.abs(kernel_rows(program, operator)).sum(axis=0).max()) if literal(kernel) else None
    if operator.kind in ("ADD", "SUB"):
        added = [index for index in operator.inputs if not _is_zero(program.tensors[index])]
        return sum(below) if len(below) == len(added) else None
    return None if operator.kind == "MUL" else max(below)


def _is_spike(tensor: Tensor) -> bool:
    name = read(tensor.name)
    return name is not None and name.role == "spike"


def _is_zero(tensor: Tensor) -> bool:
    """Whether a tensor is a constant of zeros: a state before the first timestep."""
    return tensor.data is not None and not np.any(tensor.data != tensor.zero_point)


def axis_uses(size: int, outputs: int, taps: int, *, stride: int, dilation: int = 1, before: int = 0) -> np.ndarray:
    """How many taps of a window read each of the `size` positions of one axis, over all windows."""
    positions = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - before
    inside = positions[(positions >= 0) & (positions < size)]
    return np.bincount(inside, minlength=size)


def _image_uses(program: Program, operator: Operator) -> np.ndarray:
    """`(height, width, 1)`: windows that read each pixel."""
    source, kernel = (program.tensors[index] for index in operator.inputs[:2])
    options, uses = operator.options, []
    for axis, letter in ((1, "h"), (2, "w")):
        size, taps = source.shape[axis], kernel.shape[axis]
        stride, dilation = options[f"stride_{letter}"], options.get(f"dilation_{letter}_factor", 1)
        before = same_padding(size, taps, stride, dilation)[0] if options["padding"] == "SAME" else 0
        outputs = program.tensors[operator.output].shape[axis]
        uses.append(axis_uses(size, outputs, taps, stride=stride, dilation=dilation, before=before))
    return np.multiply.outer(*uses)[:, :, None]


def _convolution(program: Program, operator: Operator) -> np.ndarray:
    source, kernel = (program.tensors[index] for index in operator.inputs[:2])
    return np.broadcast_to(_image_uses(program, operator) * kernel.shape[0], source.shape[1:])


def _depthwise(program: Program, operator: Operator) -> np.ndarray:
    source = program.tensors[operator.inputs[0]]
    return np.broadcast_to(_image_uses(program, operator) * operator.options["depth_multiplier"], source.shape[1:])


def _transposed(program: Program, operator: Operator) -> np.ndarray:
    """A window of taps around each pixel; those cropped away cost nothing."""
    kernel, source = (program.tensors[index] for index in operator.inputs[1:3])
    uses = []
    for axis, letter in ((1, "h"), (2, "w")):
        size, taps, outputs = source.shape[axis], kernel.shape[axis], program.tensors[operator.output].shape[axis]
        stride = operator.options[f"stride_{letter}"]
        crop = ((size - 1) * stride + taps - outputs) // 2
        positions = np.arange(size)[:, None] * stride + np.arange(taps) - crop
        uses.append(((positions >= 0) & (positions < outputs)).sum(axis=1))
    return np.broadcast_to(np.multiply.outer(*uses)[:, :, None] * kernel.shape[0], source.shape[1:])


def _product(program: Program, operator: Operator) -> np.ndarray:
    source, kernel = (program.tensors[index] for index in operator.inputs[:2])
    return np.full(source.shape[1:], kernel.shape[0])


# By kind: how many kernel weights each value of the input meets, `shape of the input without batch`.
APPLICATIONS = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _product,
}
