"""Additions that are left where neither the spike nor the weight is 0: what pruning and silence save together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..program.arithmetic import windows
from ..program.names import is_factor
from ..program.operators import Operator, source_position
from ..program.program import Program
from .operation_counts import APPLICATIONS, spike_bounds


def nonzero_additions(program: Program, trace: Mapping[str, np.ndarray]) -> float:
    """Kernel weights other than 0 applied to spikes, or sums of spikes, other than 0: mean over samples.

    trace: as `Program.trace` returns it, whole.
    """
    bounds, total, samples = spike_bounds(program), 0, 1
    for operator in program.operators:
        if operator.kind not in APPLICATIONS or is_factor(program, operator):
            continue
        source = operator.inputs[source_position(operator)]
        if source in bounds:
            spikes = trace[program.tensors[source].name] != program.tensors[source].zero_point
            kernel = program.tensors[operator.inputs[1]].data != 0
            total, samples = total + COUNTS[operator.kind](program, operator, spikes, kernel), len(spikes)
    return total / samples


def _convolution(program: Program, operator: Operator, spikes: np.ndarray, kernel: np.ndarray) -> int:
    weights = kernel.sum(axis=0)  # (height, width, input channels)
    return _over_windows(operator, spikes, weights)


def _depthwise(program: Program, operator: Operator, spikes: np.ndarray, kernel: np.ndarray) -> int:
    weights = kernel[0].reshape(*kernel.shape[1:3], spikes.shape[-1], -1).sum(axis=-1)
    return _over_windows(operator, spikes, weights)


def _over_windows(operator: Operator, spikes: np.ndarray, weights: np.ndarray) -> int:
    """weights: `(height, width, input channels)`, how many weights meet a value there."""
    taps = windows(operator, spikes, weights.shape[:2], 0)
    return sum(int(view.sum(axis=(0, 1, 2)) @ weights[row, column]) for row, column, view in taps)


def _transposed(program: Program, operator: Operator, spikes: np.ndarray, kernel: np.ndarray) -> int:
    """Taps that fall beyond the output's edges are cropped."""
    output, options, weights, total = program.tensors[operator.output], operator.options, kernel.sum(axis=0), 0
    for row, column in np.ndindex(*weights.shape[:2]):
        rows, columns = (
            _inside(spikes.shape[axis], output.shape[axis], weights.shape[axis - 1], stride, tap)
            for axis, stride, tap in ((1, options["stride_h"], row), (2, options["stride_w"], column))
        )
        kept = spikes[:, rows][:, :, columns]
        total += int(kept.sum(axis=(0, 1, 2)) @ weights[row, column])
    return total


def _inside(size: int, output: int, taps: int, stride: int, tap: int) -> np.ndarray:
    """Which of `size` positions of one axis a tap carries onto the output."""
    crop = ((size - 1) * stride + taps - output) // 2
    positions = np.arange(size) * stride + tap - crop
    return (positions >= 0) & (positions < output)


def _product(program: Program, operator: Operator, spikes: np.ndarray, kernel: np.ndarray) -> int:
    return int(spikes.sum(axis=0) @ kernel.sum(axis=0))


COUNTS = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _product,
}
