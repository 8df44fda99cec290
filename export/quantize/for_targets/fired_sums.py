"""A program for XNNPACK in which the last sum of a neuron fires: one operator less, the same integers.

    membrane = ADD(state, current)                   @ step
    spike    = MUL(membrane, 4) + RELU_N1_TO_1       @ 1

are ADD(state, current) on a grid on which 2 * threshold is 1: it rounds to a spike, and no sum is large enough to round
to two. That grid's label is not 1, `step` being worth what the reset needs, so whoever reads these spikes divides by
it: a kernel, or a factor, with other scales and the same integers. Where others read them too, nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...program.grid import INT8_MIN, SMALLEST_ADD_RATIO
from ...program.names import numbered, parse
from ...program.operators import WEIGHTED, Operator, Tensor
from ...program.program import Program
from .recurrences import Recurrence, recurrences

PASSING = ("RESHAPE", "MAX_POOL_2D")  # integers, with the label that they have
NEAREST_TWO = 1.5


def with_fired_sums(program: Program) -> Program:
    """The program with as many sums that fire as can."""
    found = [(neuron, _unit(program, neuron)) for neuron in recurrences(program).values()]
    firing = {neuron.spikes[neuron.last].output: (neuron, unit) for neuron, unit in found if unit is not None}
    units = {index: unit for spike, (_, unit) in firing.items() for index in (spike, *_passed(program, spike))}
    sums = {neuron.membranes[neuron.last].output: spike for spike, (neuron, _) in firing.items()}
    labelled = [
        _labelled(tensor, units[index]) if index in units else tensor for index, tensor in enumerate(program.tensors)
    ]
    operators, copies = [], {}
    for operator in program.operators:
        if operator.output in firing:
            continue  # its product, which the sum makes superfluous
        operator = replace(operator, output=sums.get(operator.output, operator.output))
        constant = _constant(program, operator)
        unit = next((units[index] for index in operator.inputs if index in units), None)
        if constant is not None and unit is not None:
            if (constant, unit) not in copies:
                copies[constant, unit] = len(labelled)
                labelled.append(_divided(program.tensors[constant], unit))
            inputs = tuple(copies[constant, unit] if index == constant else index for index in operator.inputs)
            operator = replace(operator, inputs=inputs)
        operators.append(operator)
    return _with(program, labelled, operators, {copy: index for (index, _), copy in copies.items()})


def _unit(program: Program, neuron: Recurrence) -> float | None:
    """The label of the spikes that the last sum may fire; None if it must not."""
    total, spike = neuron.membranes[neuron.last], neuron.spikes[neuron.last].output
    state, current = (float(program.tensors[index].scale) for index in total.inputs)
    unit = float(np.float32((2 * neuron.quiet_steps + 1) * current))
    rounds = -INT8_MIN * (state + current) < NEAREST_TWO * unit and state >= SMALLEST_ADD_RATIO * unit
    tensors = (spike, *_passed(program, spike))
    alone = all(_divides(program, one, index) for index in tensors for one in _readers(program, index))
    return unit if rounds and alone and not set(tensors) & set(program.outputs) else None


def _readers(program: Program, index: int) -> Iterator[Operator]:
    return (operator for operator in program.operators if index in operator.inputs)


def _passed(program: Program, index: int) -> Iterator[int]:
    """The tensors that hold what a tensor holds, or the largest of it."""
    for operator in _readers(program, index):
        if operator.kind in PASSING:
            yield operator.output
            yield from _passed(program, operator.output)


def _divides(program: Program, operator: Operator, index: int) -> bool:
    """Whether an operator passes a tensor on, or has a constant that can be labelled otherwise."""
    return operator.kind in PASSING or _constant(program, operator) is not None


def _constant(program: Program, operator: Operator) -> int | None:
    """The kernel or factor that an operator multiplies by. None of ones, which counts spikes."""
    if operator.kind not in (*WEIGHTED, "MUL"):
        return None
    constants = [index for index in operator.inputs[:2] if program.tensors[index].data is not None]
    single = len(constants) == 1 and operator.kind != "TRANSPOSE_CONV"
    return constants[0] if single and parse(program.tensors[constants[0]].name).role != "ones" else None


def _labelled(tensor: Tensor, unit: float) -> Tensor:
    return replace(tensor, scale=np.float32(unit))


def _divided(tensor: Tensor, unit: float) -> Tensor:
    return replace(tensor, scale=(tensor.scale / np.float64(unit)).astype(np.float32))


def _with(
    program: Program, tensors: Sequence[Tensor], operators: Sequence[Operator], copied: dict[int, int]
) -> Program:
    """The program with other tensors and operators, without those that nobody uses. copied: copies of constants."""
    used = {*program.inputs, *program.outputs} | {i for one in operators for i in (*one.inputs, one.output)}
    kept = {index: position for position, index in enumerate(sorted(used))}
    beside = {copy: numbered(tensors[copy].name, 1) for copy, index in copied.items() if index in used}
    named = (replace(tensors[i], name=beside.get(i, tensors[i].name)) for i in kept)
    moved = (replace(one, inputs=_at(kept, one.inputs), output=kept[one.output]) for one in operators)
    ends = {"inputs": _at(kept, program.inputs), "outputs": _at(kept, program.outputs)}
    names = {kept[index]: name for index, name in program.names.items()}
    return replace(program, tensors=tuple(named), operators=tuple(moved), names=names, **ends)


def _at(positions: dict[int, int], indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(positions[index] for index in indices)
