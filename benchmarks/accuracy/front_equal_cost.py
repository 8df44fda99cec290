"""How far the networks of a front lie above or below narrower ReLU networks that take as many instructions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import setting
from benchmarks.accuracy.front_report import MILLION, NO_DATA, Line, t_quantile

RIVALS = {"ReLU, distilled": "CMSIS-NN, dense", "ReLU, distilled, own file": "own file, zeros skipped"}


@dataclass(frozen=True)
class Difference:
    """points: of accuracy above the other line; margin: half the 95 % interval."""

    points: float
    margin: float


def spread(lines: Sequence[Line]) -> tuple[float, int]:
    """(standard deviation over seeds, its degrees of freedom), the same for all networks: some have one seed."""
    degrees = sum(len(line.accuracies) - 1 for line in lines)
    squares = sum(float(np.sum((line.accuracies - line.accuracies.mean()) ** 2)) for line in lines)
    return (math.sqrt(squares / degrees) if degrees else math.nan), degrees


def difference(own: Line, rivals: Sequence[Line], board: str, deviation: float, degrees: int) -> Difference | None:
    """`own` above the line through `rivals`, straight between two neighbours over the logarithm of their instructions.

    None if no two of them lie on both sides.
    """
    cost, ranked = own.cost(board), sorted(rivals, key=lambda line: line.cost(board))
    for less, more in itertools.pairwise(ranked):
        low, high = less.cost(board), more.cost(board)
        if not low <= cost <= high or low == high:
            continue
        share = math.log(cost / low) / math.log(high / low)
        other = (1 - share) * less.accuracies.mean() + share * more.accuracies.mean()
        parts = ((1, own), (1 - share, less), (share, more))
        error = deviation * math.sqrt(sum(weight**2 / len(line.accuracies) for weight, line in parts))
        return Difference(float(own.accuracies.mean() - other), t_quantile(degrees) * error)
    return None


def table(lines: Sequence[Line], board: str) -> str:
    """A row for each network with spikes."""
    counted = [line for line in lines if not math.isnan(line.cost(board))]
    rivals = {family: [line for line in counted if line.family == family] for family in RIVALS}
    deviation, degrees = spread(counted)
    rows = [("spikes", "budget", "instructions", "accuracy, %", *(f"above {name}" for name in RIVALS.values()))]
    for line in counted:
        if line.name.startswith("ReLU"):
            continue
        found = (difference(line, others, board, deviation, degrees) for others in rivals.values())
        shown = (NO_DATA if one is None else f"{one.points:+.2f} +-{one.margin:.2f}" for one in found)
        budget = NO_DATA if line.budget is None else f"{line.budget:g}"
        rows.append((line.name, budget, f"{line.cost(board) / MILLION:.2f} M", f"{line.accuracies.mean():.2f}", *shown))
    return setting.table(rows)
