"""The check that a Program uses builtin operators as a file can hold them, and as every runtime computes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .labels import check_labels, check_zero_point
from .operators import ACTIVATIONS, DTYPES, KINDS, Operator, Tensor
from .program import Program, batched, check_batch, check_io, check_resizable
from .shapes import check_shape, check_sizes, check_work
from .ties import check_ties

SCALE_MIN, SCALE_MAX = 2.0**-62, 2.0**30  # what the runtimes can turn into a multiplier


def check(program: Program) -> None:
    """Raises ValueError unless operators are known, read what exists and write what nothing else writes."""
    known = {i for i, tensor in enumerate(program.tensors) if tensor.data is not None} | set(program.inputs)
    _check_indices(program)
    check_batch(program.batch)
    check_io(program.io)
    check_resizable(program)
    check_sizes(batched(program).tensors)
    for tensor in program.tensors:
        _check_tensor(tensor)
    _check_inputs(program)
    for operator in program.operators:
        _check_operator(operator, program.tensors)
        if not known.issuperset(operator.inputs) or operator.output in known:
            name = program.tensors[operator.output].name
            raise ValueError(
                "Operators must come after those whose outputs they read, and write a tensor of their own. "
                f"Received: {operator.kind} that writes {name!r}"
            )
        known.add(operator.output)
    if not {operator.output for operator in program.operators}.issuperset(program.outputs):
        raise ValueError("Every output of the program must be written by an operator.")
    _check_names(program)
    check_work(program.operators, batched(program).tensors)
    check_ties(program.operators, program.tensors)


def _check_inputs(program: Program) -> None:
    for tensor in (program.tensors[index] for index in program.inputs):
        if tensor.dtype != "int8" or tensor.data is not None or tensor.shape[:1] != (1,) or np.ndim(tensor.scale):
            raise ValueError(
                "An input must be int8 with a batch axis of 1, one scale and no data. "
                f"Received: {tensor.name!r}, {tensor.dtype} of shape {tensor.shape}"
            )


def _check_names(program: Program) -> None:
    if not program.inputs or not program.outputs:
        raise ValueError(
            "A program must have inputs and outputs. "
            f"Received: {len(program.inputs)} inputs, {len(program.outputs)} outputs"
        )
    for role, named, indices in (
        ("input", program.named_inputs, program.inputs),
        ("output", program.named_outputs, program.outputs),
    ):
        if len(named) != len(indices):
            names = [program.names.get(index, program.tensors[index].name) for index in indices]
            raise ValueError(f"Every {role} must be a tensor of its own, under a name of its own. Received: {names}")


def _check_indices(program: Program) -> None:
    used = [*program.inputs, *program.outputs]
    for operator in program.operators:
        used += [*operator.inputs, operator.output]
    wrong = [index for index in used if not 0 <= index < len(program.tensors)]
    if wrong:
        raise ValueError(
            f"Tensor indices must lie in 0 to {len(program.tensors) - 1}. Received: {wrong[0]}. "
            "The file is corrupt, or uses optional inputs that are not supported."
        )
    names = [tensor.name for tensor in program.tensors]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Tensor names must be unique. Received twice: {twice!r}")


def _check_tensor(tensor: Tensor) -> None:
    if tensor.dtype not in DTYPES:
        raise ValueError(f"Tensor {tensor.name!r} has dtype {tensor.dtype}. Supported: {', '.join(DTYPES)}")
    if any(size < 1 for size in tensor.shape):
        raise ValueError(f"Every size must be positive. Received: tensor {tensor.name!r}, shape {tensor.shape}")
    data = tensor.data
    if data is not None and (data.shape != tuple(tensor.shape) or data.dtype.name != tensor.dtype):
        raise ValueError(
            f"Constant {tensor.name!r} must be {tensor.dtype} of shape {tensor.shape}. "
            f"Received: {data.dtype.name} of shape {data.shape}"
        )
    if not np.all((tensor.scale > SCALE_MIN) & (tensor.scale < SCALE_MAX)):
        raise ValueError(
            f"Scales must lie between {SCALE_MIN:g} and {SCALE_MAX:g}. "
            f"Received: {np.min(tensor.scale)} to {np.max(tensor.scale)} for tensor {tensor.name!r}"
        )
    check_zero_point(tensor)
    if np.ndim(tensor.scale) and np.shape(tensor.scale) != tuple(tensor.shape[tensor.channel_axis :][:1]):
        raise ValueError(
            f"Tensor {tensor.name!r} of shape {tensor.shape} must have one scale, or one per entry of axis "
            f"{tensor.channel_axis}. Received: {np.size(tensor.scale)} scales"
        )


def _check_operator(operator: Operator, tensors: Sequence[Tensor]) -> None:
    name = tensors[operator.output].name
    if operator.kind not in KINDS:
        raise ValueError(
            f"Operator {operator.kind} (it writes {name!r}) is not supported. Supported: {', '.join(KINDS)}"
        )
    kind = KINDS[operator.kind]
    if (kind.arity and len(operator.inputs) != kind.arity) or not operator.inputs:
        raise ValueError(
            f"{operator.kind} must have {kind.arity or 'some'} inputs. Received: {len(operator.inputs)} for {name!r}"
        )
    if set(operator.options) != set(kind.options):
        raise ValueError(
            f"{operator.kind} must state the options {kind.options}. Received: {tuple(operator.options)} for {name!r}"
        )
    if operator.activation not in ACTIVATIONS or (operator.activation != "NONE" and not kind.fuses):
        raise ValueError(f"{operator.kind} cannot have the activation {operator.activation!r} ({name!r}).")
    inputs, output = [tensors[index] for index in operator.inputs], tensors[operator.output]
    check_shape(operator, inputs, output)
    check_labels(operator, inputs, output)
