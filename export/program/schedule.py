"""The order of operators: layer by layer or timestep by timestep, whichever needs less RAM. Same bits either way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .operators import Operator
from .program import Program


def with_small_peak(program: Program) -> Program:
    """The program in the order whose activations need the fewest bytes at a time."""
    orders = (program.operators, depth_first(program))
    return min((replace(program, operators=tuple(order)) for order in orders), key=peak_bytes)


def depth_first(program: Program) -> list[Operator]:
    """Everything an output needs, its first input first: sums over time make that timestep by timestep."""
    writers = {operator.output: operator for operator in program.operators}
    order: dict[int, Operator] = {}
    for output in program.outputs:
        _visit(output, writers, order)
    return [*order.values(), *(operator for operator in program.operators if operator.output not in order)]


def peak_bytes(program: Program) -> int:
    """The most bytes of activations alive at once: what an arena must hold at least."""
    last_use = dict.fromkeys(program.outputs, len(program.operators))
    for step, operator in reversed(list(enumerate(program.operators))):
        for index in operator.inputs:
            last_use.setdefault(index, step)
    alive = sum(_bytes(program, [index]) for index in program.inputs)
    peak = alive
    for step, operator in enumerate(program.operators):
        alive += _bytes(program, [operator.output])
        peak = max(peak, alive)
        done = {i for i in (*operator.inputs, operator.output) if last_use.get(i, step) == step}
        alive -= _bytes(program, [index for index in done if index not in program.inputs])
    return peak


def _visit(target: int, writers: dict[int, Operator], order: dict[int, Operator]) -> None:
    """Post-order walk with a stack of its own: networks are deeper than Python's."""
    stack = [target]
    while stack:
        index = stack[-1]
        operator = writers.get(index)
        waiting = [i for i in operator.inputs if i in writers and i not in order] if operator else []
        if waiting and index not in order:
            stack.append(waiting[0])
            continue
        stack.pop()
        if operator and index not in order:
            order[index] = operator


def _bytes(program: Program, indices: Sequence[int]) -> int:
    tensors = (program.tensors[index] for index in indices)
    return sum(math.prod(tensor.shape) for tensor in tensors if tensor.data is None)
