"""What is known of the sums of an operator with a kernel, before anything fires."""

from __future__ import annotations

import numpy as np

from ...program.arithmetic import multiplier
from ...program.operators import Operator, source_position
from ...program.program import Program
from ..arithmetic.ranges import accumulators
from ..plain import Source
from .packing import Accumulators


def known_sums(source: Source, operator: Operator, *, halved: bool = True):
    """What is known of the sums, kernel `(channels, rows)`, bias, and 2 for channels halved as all of them is even."""
    program: Program = source.program
    kernel, bias = channel_rows(program, operator), program.tensors[operator.inputs[-1]].data.astype(np.int64)
    low, high = accumulators(program, operator, source.intervals)
    unit = np.maximum(np.gcd(np.gcd.reduce(kernel, axis=1), bias), 1)
    half = np.where(halved & (unit % 2 == 0), 2, 1)
    sums = Accumulators(low // half, high // half, unit // half, scale_of(source, operator) * half)
    return sums, kernel // half[:, None], bias // half, half


def channel_rows(program: Program, operator: Operator) -> np.ndarray:
    kernel = program.tensors[operator.inputs[1]].data.astype(np.int64)
    axis = 3 if operator.kind == "DEPTHWISE_CONV_2D" else 0
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def scale_of(source: Source, operator: Operator) -> np.ndarray:
    image = source.tensor(operator.inputs[source_position(operator)])
    scale = multiplier((image, source.tensor(operator.inputs[1])), source.tensor(operator.output))
    return np.broadcast_to(scale, source.tensor(operator.inputs[-1]).shape).astype(np.float64)


def layer_name(source: Source, operator: Operator) -> str:
    return source.tensor(operator.inputs[1]).name.rsplit("/kernel", 1)[0]
