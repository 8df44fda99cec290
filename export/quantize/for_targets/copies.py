"""What programs that are written again share: tensors, operators and ends as they were."""

from __future__ import annotations

from dataclasses import replace

from ...program.builder import Builder
from ...program.grid import Grid
from ...program.operators import Operator, Tensor
from ...program.program import Program


def labels(tensor: Tensor) -> Grid:
    return Grid(float(tensor.scale), tensor.zero_point)


def copied(builder: Builder, tensor: Tensor) -> int:
    """A tensor in another program; a constant once."""
    if tensor.data is None:
        return builder.activation(tensor.name, tensor.shape[1:], labels(tensor))
    read = {"zero_point": tensor.zero_point, "channel_axis": tensor.channel_axis}
    return builder.constant(tensor.name, tensor.data, tensor.scale, **read)


def inputs_of(builder: Builder, program: Program) -> dict[int, int]:
    """The program's inputs in another, by what they were."""
    return {index: copied(builder, program.tensors[index]) for index in program.inputs}


def emit_again(builder: Builder, program: Program, operator: Operator, mapped: dict[int, int]) -> int:
    """The operator as it is. mapped: by the program's tensors, what stands for them; constants are added to it."""
    for index in operator.inputs:
        if index not in mapped:
            mapped[index] = copied(builder, program.tensors[index])
    inputs, output = tuple(mapped[index] for index in operator.inputs), program.tensors[operator.output]
    options = {"activation": operator.activation, "options": operator.options}
    return builder.emit(operator.kind, inputs, output.name, output.shape[1:], labels(output), **options)


def finished(builder: Builder, program: Program, mapped: dict[int, int]) -> Program:
    """What was built in the place of the program."""
    ends = {"inputs": program.inputs, "outputs": program.outputs}
    ends = {end: tuple(mapped[index] for index in indices) for end, indices in ends.items()}
    names = {mapped[index]: name for index, name in program.names.items()}
    return replace(program, tensors=tuple(builder.tensors), operators=tuple(builder.operators), names=names, **ends)
