"""Sums of two tensors that a convolution computes, as two rows, where `stacked_neurons` writes a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set

from ..program.names import parse
from ..program.operators import ELEMENTWISE
from ..program.program import Program
from .factor_convolutions import joins_two
from .recurrences import Recurrence

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
