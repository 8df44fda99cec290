"""Integers for a kernel and a bias that fit what a layer computes, instead of the integers nearest to each weight.

With the inputs of every output as rows of X (and a 1 for the bias) and the wanted accumulators Y, integers W are looked
for with a small

    sum over the rows of (X W - Y)^2 + damping * |W - W0|^2         W0: the integers before

Every weight in turn moves to the integer that is best while the others stay; the bias comes last and takes what is left
of the mean. Where the wanted value saturates, only saturation is wanted: where it is reached, Y is what is reached. So
all channels share one X^T X. Float64, in a fixed order: the same integers each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..program.grid import INT8_MAX

LARGEST_BIAS = 2**30  # with the largest kernel that is calibrated, accumulators stay within int32
DAMPING = 0.05  # of the mean square of the inputs: how much fit it takes to move a weight by a step
ROUNDS = 8


@dataclass(frozen=True)
class Problem:
    """Outputs of a layer that share their inputs.

    inputs: `(rows, weights)`; the last column is 1, for the bias.
    wanted: `(rows, channels)`, in accumulator steps.
    edge: `(channels,)`: the output saturates at this accumulator, and at its negative.
    step: `(channels,)`: integers are multiples of it.
    free: `(weights, channels)`, booleans: which integers may change.
    """

    inputs: np.ndarray
    wanted: np.ndarray
    edge: np.ndarray
    step: np.ndarray
    free: np.ndarray


def fitted(problem: Problem, start: np.ndarray) -> np.ndarray:
    """Integers that fit better than `start`, or `start`: `(weights, channels)`, the bias in the last row."""
    inputs = problem.inputs.astype(np.float64)
    gram = inputs.T @ inputs / len(inputs)
    strength = np.full((len(gram), 1), DAMPING * np.diag(gram)[:-1].mean())
    strength[-1] = 0
    gram[np.diag_indices_from(gram)] += strength[:, 0]
    integers = start
    for _ in range(ROUNDS):
        cross = inputs.T @ wanted_accumulators(problem, inputs @ integers) / len(inputs) + strength * start
        before, integers = integers, descended(problem, gram, cross, integers)
        if np.array_equal(integers, before):
            break
    return integers


def wanted_accumulators(problem: Problem, reached: np.ndarray) -> np.ndarray:
    """What `reached`, the accumulators so far, should become: the wanted values, or itself where it saturates alike."""
    edge, wanted = problem.edge, np.clip(problem.wanted, -problem.edge, problem.edge)
    done = ((wanted >= edge) & (reached >= edge)) | ((wanted <= -edge) & (reached <= -edge))
    return np.where(done, reached, wanted)


def descended(problem: Problem, gram: np.ndarray, cross: np.ndarray, integers: np.ndarray) -> np.ndarray:
    """Every weight in turn at the integer for which W^T gram W - 2 W^T cross is smallest."""
    integers = integers.copy()
    for row in range(len(gram)):
        if gram[row, row] > 0:
            slope = gram[row] @ integers - cross[row]
            most = INT8_MAX if row < len(gram) - 1 else LARGEST_BIAS
            better = rounded(integers[row] - slope / gram[row, row], problem.step, most)
            integers[row] = np.where(problem.free[row], better, integers[row])
    return integers


def rounded(weights: np.ndarray, step: np.ndarray, most: int) -> np.ndarray:
    """The nearest multiples of `step` that are not larger than `most`."""
    most = most // step * step
    return np.clip(np.rint(weights / step) * step, -most, most)
