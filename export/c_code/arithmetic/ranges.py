"""Which integers every tensor of a program can hold, from its kernels and activations alone: interval arithmetic.

Intervals are of the integer less the zero point, and contain 0 wherever padding can bring one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...program.arithmetic import limits, multiplier
from ...program.grid import INT8_MAX, INT8_MIN
from ...program.operators import WEIGHTED, Operator, Tensor, source_position
from ...program.program import Program, kernel_rows

Interval = tuple[int, int]


def intervals(program: Program, known: Mapping[int, Interval] | None = None) -> dict[int, Interval]:
    """(low, high) of every int8 tensor, by index. known: those of tensors that other reasoning bounds more narrowly."""
    known = known or {}
    found = {index: _int8(program.tensors[index]) for index in program.inputs} | dict(known)
    for index, tensor in enumerate(program.tensors):
        if tensor.data is not None and tensor.dtype == "int8":
            found[index] = _of_data(tensor)
    for operator in program.operators:
        found[operator.output] = known.get(operator.output) or _written(program, operator, found)
    return found


def accumulators(program: Program, operator: Operator, found: Mapping[int, Interval]) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest accumulator, with its bias, of every output channel: int64 `(channels,)` each."""
    low, high = found[operator.inputs[source_position(operator)]]
    low, high = min(low, 0), max(high, 0)  # windows reach over edges, where 0 is
    kernel, bias = kernel_rows(program, operator), program.tensors[operator.inputs[-1]].data.astype(np.int64)
    positive, negative = np.maximum(kernel, 0).sum(axis=0), np.minimum(kernel, 0).sum(axis=0)
    return bias + positive * low + negative * high, bias + positive * high + negative * low


def _written(program: Program, operator: Operator, found: Mapping[int, Interval]) -> Interval:
    tensors, output = [program.tensors[index] for index in operator.inputs], program.tensors[operator.output]
    if operator.kind in WEIGHTED:
        source = tensors[source_position(operator)]
        factor = multiplier((source, tensors[operator.inputs.index(operator.inputs[1])]), output)
        return _clipped(np.array(accumulators(program, operator, found)) * factor, output, operator.activation)
    parts = [found[index] for index in operator.inputs if index in found]
    if operator.kind in ("ADD", "SUB"):
        first, second = (np.array(p) * float(t.scale) for p, t in zip(parts, tensors, strict=True))
        sums = np.add.outer(first, second if operator.kind == "ADD" else -second) / float(output.scale)
        return _clipped(sums, output, operator.activation)
    if operator.kind == "MUL":
        products = np.multiply.outer(*parts)
        if operator.inputs[0] == operator.inputs[1]:
            products = np.append(np.diag(products), 0)  # no square is less
        return _clipped(products * multiplier(tensors, output), output, operator.activation)
    if operator.kind == "PAD":
        parts.append((0, 0))
    return min(low for low, _ in parts), max(high for _, high in parts)


def _clipped(values: np.ndarray, output: Tensor, activation: str) -> Interval:
    low, high = limits(output, activation)
    rounded = np.clip(np.rint(values) + output.zero_point, low, high) - output.zero_point
    return int(rounded.min()), int(rounded.max())


def _int8(tensor: Tensor) -> Interval:
    return INT8_MIN - tensor.zero_point, INT8_MAX - tensor.zero_point


def _of_data(tensor: Tensor) -> Interval:
    return int(tensor.data.min()) - tensor.zero_point, int(tensor.data.max()) - tensor.zero_point
