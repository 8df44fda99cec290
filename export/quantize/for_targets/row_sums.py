"""Which sums a program for a target computes otherwise: as two rows of a convolution, or over windows first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass

from ...program.names import parse
from ...program.operators import ELEMENTWISE, Operator
from ...program.program import Program
from .factor_convolutions import joins_two
from .recurrences import Recurrence

FEWER = 4  # values that a window leaves one of, to be summed over first
MOVING = ("RESHAPE", "SLICE", "CONCATENATION")  # without computing anything


def joined_sums(program: Program, neurons: Mapping[str, Recurrence], *, in_place: bool) -> Set[int]:
    """The sums and differences that a convolution computes.

    For CMSIS-NN, which has no kernel for SUB, differences and the currents of neurons: rows of other sums would cost
    more RAM than time is saved. On an NPU all of which no row has to be copied: an operator computes it, and it is
    nobody else's. Spikes of neurons are computed for their stack once more.
    """
    sums = [operator for operator in program.operators if joins_two(operator, program.tensors)]
    if not in_place:
        currents = {index for neuron in neurons.values() for index in neuron.currents.values()}
        return {operator.output for operator in sums if operator.kind == "SUB" or operator.output in currents}
    inside, outside = _readers(program, neurons)
    spikes = {operator.output for neuron in neurons.values() for operator in neuron.spikes.values()}
    computed = {op.output for op in program.operators if op.kind not in MOVING}
    alone = {index for index in computed if outside[index] == 1 and (index in spikes or not inside[index])}
    return {operator.output for operator in sums if set(operator.inputs) <= alone and len(set(operator.inputs)) == 2}


def first_currents(program: Program, neurons: Mapping[str, Recurrence]) -> dict[int, Recurrence]:
    """The neurons whose first current nothing else reads, by that current."""
    _, outside = _readers(program, neurons)
    readers = Counter(neuron.currents[0] for neuron in neurons.values())
    firsts = {neuron.currents[0]: neuron for neuron in neurons.values()}
    return {index: neuron for index, neuron in firsts.items() if readers[index] == 1 and not outside[index]}


def _readers(program: Program, neurons: Mapping[str, Recurrence]) -> tuple[Counter[int], Counter[int]]:
    """How many elementwise operators of these neurons read a tensor, and how many others and outputs."""
    inside, outside = Counter[int](), Counter(program.outputs)
    for operator in program.operators:
        layer = parse(program.tensors[operator.output].name).layer
        (inside if layer in neurons and operator.kind in ELEMENTWISE else outside).update(set(operator.inputs))
    return inside, outside


@dataclass(frozen=True)
class WindowSums:
    """Sums over windows of sums of several tensors.

    terms: by the tensor written, those tensors. between: what is not computed if the windows come first.
    """

    terms: Mapping[int, tuple[int, ...]]
    between: Set[int]


def window_sums(program: Program) -> WindowSums:
    """Those that leave few values, as a pool behind a sum over time does: sums over windows may come first."""
    writers = {operator.output: operator for operator in program.operators}
    readers = Counter((*program.outputs, *(index for one in program.operators for index in set(one.inputs))))
    terms: dict[int, tuple[int, ...]] = {}
    between: set[int] = set()
    for operator in program.operators:
        source, output = (program.tensors[index] for index in (operator.inputs[0], operator.output))
        few = FEWER * math.prod(output.shape) <= math.prod(source.shape)
        if operator.kind == "DEPTHWISE_CONV_2D" and _is_of_ones(program, operator) and few and not output.zero_point:
            found, passed = _terms(program, operator.inputs[0], writers, readers)
            if len(found) > 1:
                terms[operator.output] = found
                between |= passed
    return WindowSums(terms, between)


def _is_of_ones(program: Program, operator: Operator) -> bool:
    return parse(program.tensors[operator.inputs[1]].name).role == "ones"


def _terms(
    program: Program, index: int, writers: Mapping[int, Operator], readers: Mapping[int, int]
) -> tuple[tuple[int, ...], set[int]]:
    """What a chain of sums adds up, and the tensors of that chain, which nobody else reads."""
    operator, found, passed = writers.get(index), [], {index}
    if operator is None or readers[index] > 1 or operator.activation != "NONE":
        return (index,), set()
    adds = operator.kind == "ADD" and joins_two(operator, program.tensors)
    if not adds and operator.kind != "RESHAPE":
        return (index,), set()
    for source in operator.inputs if adds else operator.inputs[:1]:
        terms, others = _terms(program, source, writers, readers)
        found.extend(terms)
        passed |= others
    return tuple(found), passed
