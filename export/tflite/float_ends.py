"""Files whose inputs and outputs are float32: QUANTIZE in front of the program, DEQUANTIZE behind it.

The program stays what it is, int8 from end to end. A number on the input's grid becomes its integer whatever the
runtime, and so does every output: a float32 holds scale * (integer - zero_point), rounded, and 256 of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..program.names import part_of
from ..program.operators import Operator, Tensor
from ..program.program import Program


def with_float_ends(program: Program) -> Program:
    """The program of the file's own tensors and operators: float ends are the last tensors."""
    if program.io == "int8":
        return program
    ends = {index: len(program.tensors) + place for place, index in enumerate((*program.inputs, *program.outputs))}
    named = (*program.named_inputs.items(), *program.named_outputs.items())
    return replace(
        program,
        tensors=(*program.tensors, *(_float_end(program.tensors[index]) for index in ends)),
        operators=(
            *(Operator("QUANTIZE", (ends[index],), index) for index in program.inputs),
            *program.operators,
            *(Operator("DEQUANTIZE", (index,), ends[index]) for index in program.outputs),
        ),
        inputs=tuple(ends[index] for index in program.inputs),
        outputs=tuple(ends[index] for index in program.outputs),
        names={ends[index]: name for name, index in named},
        io="int8",
    )


def without_float_ends(program: Program) -> Program:
    """`with_float_ends` undone. A program with other QUANTIZE or DEQUANTIZE than at all its ends stays as it is."""
    quantized = {op.inputs[0]: op.output for op in program.operators if op.kind == "QUANTIZE" and op.inputs}
    dequantized = {op.output: op.inputs[0] for op in program.operators if op.kind == "DEQUANTIZE" and op.inputs}
    inner = tuple(op for op in program.operators if op.kind not in ("QUANTIZE", "DEQUANTIZE"))
    ends = quantized | dequantized
    at_all_ends = quantized.keys() == {*program.inputs} and dequantized.keys() == {*program.outputs}
    once = len(program.operators) == len(inner) + len(ends)
    read = {index for operator in inner for index in (*operator.inputs, operator.output)}
    if not (ends and at_all_ends and once and read.isdisjoint(ends) and _are_ends(program, ends)):
        return program
    left = [index for index in range(len(program.tensors)) if index not in ends]
    moved = {index: place for place, index in enumerate(left)}
    return replace(
        program,
        tensors=tuple(program.tensors[index] for index in left),
        operators=tuple(_moved(operator, moved) for operator in inner),
        inputs=tuple(moved[quantized[index]] for index in program.inputs),
        outputs=tuple(moved[dequantized[index]] for index in program.outputs),
        names={moved[ends[index]]: name for index, name in program.names.items() if index in ends},
        io="float32",
    )


def fed(program: Program, integers: Iterable[np.ndarray]) -> list[np.ndarray]:
    """What the file takes for these integers, an array for each input in order: they, or the numbers they stand for."""
    tensors = [program.tensors[index] for index in program.inputs]
    if program.io == "int8":
        return list(integers)
    return [_reals(tensor, values) for tensor, values in zip(tensors, integers, strict=True)]


def fetched(program: Program, values: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The integers of what the file gives, an array for each output in order."""
    tensors = [program.tensors[index] for index in program.outputs]
    if program.io == "int8":
        return list(values)
    return [_integers(tensor, array) for tensor, array in zip(tensors, values, strict=True)]


def _float_end(tensor: Tensor) -> Tensor:
    return Tensor(str(part_of(tensor.name, "float")), tensor.shape, np.array(1, np.float32), dtype="float32")


def _are_ends(program: Program, ends: Mapping[int, int]) -> bool:
    """Whether tensors are float32 of the shape of their integers. Indices may be those of a corrupt file."""
    known, tensors = range(len(program.tensors)), program.tensors
    if not {*ends, *ends.values()} <= {*known}:
        return False
    pairs = [(tensors[real], tensors[integer]) for real, integer in ends.items()]
    return all(one.dtype == "float32" and one.data is None and one.shape == other.shape for one, other in pairs)


def _moved(operator: Operator, places: Mapping[int, int]) -> Operator:
    """Indices that no tensor has stay what they are, for the check to refuse."""
    inputs = tuple(places.get(index, index) for index in operator.inputs)
    return replace(operator, inputs=inputs, output=places.get(operator.output, operator.output))


def _reals(tensor: Tensor, integers: np.ndarray) -> np.ndarray:
    return np.float32(tensor.scale) * (integers.astype(np.float32) - np.float32(tensor.zero_point))


def _integers(tensor: Tensor, reals: np.ndarray) -> np.ndarray:
    """Exact: what a runtime gives is a step of the grid, rounded to float32."""
    return (np.rint(reals / np.float64(tensor.scale)) + tensor.zero_point).astype(np.int8)
