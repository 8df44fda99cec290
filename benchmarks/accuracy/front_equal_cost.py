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
    """points: of accuracy above the other line; margin: half the 95 % interval; least: it takes less than all."""

    points: float
    margin: float
    least: bool

    def __str__(self) -> str:
        return f"{'at least ' * self.least}{self.points:+.2f} +-{self.margin:.2f}"


def spread(lines: Sequence[Line]) -> tuple[float, int]:
    """(standard deviation over seeds, its degrees of freedom), the same for all networks: some have one seed."""
    degrees = sum(len(line.accuracies) - 1 for line in lines)
    squares = sum(float(np.sum((line.accuracies - line.accuracies.mean()) ** 2)) for line in lines)
    return (math.sqrt(squares / degrees) if degrees else math.nan), degrees


def difference(own: Line, rivals: Sequence[Line], board: str, deviation: float, degrees: int) -> Difference | None:
    """`own` above the line through `rivals`, straight between two neighbours over the logarithm of their instructions.

    Above the cheapest of them if it takes less; None if it takes more than all.
    """
    parts = neighbours(own.cost(board), sorted(rivals, key=lambda line: line.cost(board)), board)
    if not parts:
        return None
    other = sum(weight * line.accuracies.mean() for weight, line in parts)
    error = deviation * math.sqrt(sum(weight**2 / len(line.accuracies) for weight, line in (*parts, (1.0, own))))
    return Difference(float(own.accuracies.mean() - other), t_quantile(degrees) * error, len(parts) == 1)


def neighbours(cost: float, ranked: Sequence[Line], board: str) -> tuple[tuple[float, Line], ...]:
    """Those with less and more instructions, and their weights; the cheapest alone if it takes more."""
    if ranked and cost < ranked[0].cost(board):
        return ((1.0, ranked[0]),)
    for less, more in itertools.pairwise(ranked):
        low, high = less.cost(board), more.cost(board)
        if low <= cost <= high and low < high:
            share = math.log(cost / low) / math.log(high / low)
            return ((1 - share, less), (share, more))
    return ()


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
        shown = (NO_DATA if one is None else str(one) for one in found)
        budget = NO_DATA if line.budget is None else f"{line.budget:g}"
        rows.append((line.name, budget, f"{line.cost(board) / MILLION:.2f} M", f"{line.accuracies.mean():.2f}", *shown))
    return setting.table(rows)
