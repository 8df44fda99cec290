"""The tables and the picture of a front: accuracy against additions, by alphabet, with intervals over seeds."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_DATA = "-"
MILLION = 1e6
REFERENCES = ("ReLU, distilled", "ReLU")  # the first that is there: what others are below
LABELS = {
    "additions": "additions, share of all that could be",
    "m4": "instructions, Cortex-M4",
    "m7": "instructions, Cortex-M7",
}
TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
COLORS = [f"C{number}" for number in range(10)] + ["black", "gold", "navy", "lime", "skyblue", "salmon"]
# Of Student's t, 97.5 %, by degrees of freedom.
T_QUANTILES = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


@dataclass(frozen=True)
class Line:
    """A point of the front. shares, accuracies (percent): one a seed; budget: None without one.

    instructions: by board, one a seed that was counted.
    """

    name: str
    budget: float | None
    shares: np.ndarray
    accuracies: np.ndarray
    instructions: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The name of its line: networks of fewer channels share that of all channels."""
        return re.sub(r", [^,]* channels$", "", self.name)

    def cost(self, name: str) -> float:
        """Mean of the additions, or of a board's instructions; NaN where they were not counted."""
        values = self.shares if name == "additions" else self.instructions.get(name, np.array([]))
        return float(values.mean()) if values.size else math.nan

    @property
    def margin(self) -> float | None:
        """Half the 95 % interval of the mean accuracy, Student's t; None of one seed."""
        return interval(self.accuracies)


def interval(values: np.ndarray) -> float | None:
    """Half the 95 % interval of the mean, Student's t; None of one value."""
    if len(values) < 2:
        return None
    return t_quantile(len(values) - 1) * float(values.std(ddof=1)) / len(values) ** 0.5


def t_quantile(degrees: int) -> float:
    """Of Student's t, 97.5 %; from 9 degrees of freedom on that of 9, which is larger; NaN of 0."""
    return T_QUANTILES.get(min(degrees, max(T_QUANTILES)), math.nan)


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def add_row(file: Path, row: dict) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
    print(row, flush=True)


def summary(found: list[dict]) -> list[Line]:
    """In the order in which they were measured first."""
    kinds = dict.fromkeys((row["alphabet"], row["budget"]) for row in found)
    lines = []
    for name, budget in kinds:
        own = [row for row in found if (row["alphabet"], row["budget"]) == (name, budget)]
        own.sort(key=lambda row: row["seed"])
        shares, accuracies = (np.array([row[key] for row in own]) for key in ("additions", "accuracy"))
        counts = {board: np.array([row[board] for row in own if board in row]) for board in LABELS}
        lines.append(Line(name, budget, shares, 100 * accuracies, counts))
    return lines


def joined(found: list[dict], instructions: list[dict]) -> list[dict]:
    """Rows with the instructions of the same file."""
    keys = ("alphabet", "budget", "seed")
    counts = {tuple(row[key] for key in keys): row for row in instructions}
    return [{**counts.get(tuple(row[key] for key in keys), {}), **row} for row in found]


def table(found: list[dict], boards: Sequence[str] = ()) -> str:
    """boards: whose instructions are shown, in millions."""
    head = ("spikes", "budget", "additions", "accuracy, %", "95 %", "below ReLU", "95 %", "seeds", "bytes")
    head = (*head, *map(LABELS.get, boards))
    sizes = {(row["alphabet"], row["budget"]): row["bytes"] for row in found if "bytes" in row}
    lines = summary(found)
    reference = next((line for name in REFERENCES for line in lines if line.name == name), None)
    return setting.table([head, *(_cells(line, reference, sizes, boards) for line in lines)])


def _cells(line: Line, reference: Line | None, sizes: Mapping[tuple, int], boards: Sequence[str]) -> tuple[str, ...]:
    budget = NO_DATA if line.budget is None else f"{line.budget:g}"
    below, margins = NO_DATA, [line.margin, None]
    if reference is not None and len(line.accuracies) <= len(reference.accuracies):
        differences = reference.accuracies[: len(line.accuracies)] - line.accuracies  # of the same seeds
        below, margins[1] = f"{differences.mean():.2f}", interval(differences)
    margin, below_margin = (NO_DATA if each is None else f"+-{each:.2f}" for each in margins)
    means = (f"{line.shares.mean():.3f}", f"{line.accuracies.mean():.2f}")
    size = sizes.get((line.name, line.budget))
    counts = (NO_DATA if math.isnan(line.cost(board)) else f"{line.cost(board) / MILLION:.2f} M" for board in boards)
    seeds = str(len(line.accuracies))
    return (
        line.name,
        budget,
        *means,
        margin,
        below,
        below_margin,
        seeds,
        NO_DATA if size is None else f"{size:,}",
        *counts,
    )


def draw(found: list[dict], file: Path, costs: Sequence[str] = ("additions",)) -> None:
    """Accuracy against each cost, one line an alphabet; bars are 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 + 5 * len(costs), 5), layout="constrained")
    FigureCanvasAgg(figure)
    plots, lines = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0], summary(found)
    for axes, cost in zip(plots, costs, strict=True):
        _draw_lines(axes, lines, cost)
    plots[0].set_ylabel("accuracy on test images, %")
    figure.legend(*plots[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(file)


def _draw_lines(axes: Axes, lines: Sequence[Line], cost: str) -> None:
    for name, color in zip(dict.fromkeys(line.family for line in lines), itertools.cycle(COLORS), strict=False):
        own = sorted((line for line in lines if line.family == name), key=lambda line: line.cost(cost))
        values = [line.cost(cost) / (1 if cost == "additions" else MILLION) for line in own]
        means, margins = [float(line.accuracies.mean()) for line in own], [line.margin or 0.0 for line in own]
        axes.errorbar(values, means, margins, marker="o", capsize=3, label=name, color=color)
    axes.set_xlabel(LABELS[cost] + ("" if cost == "additions" else ", millions"))
    if cost != "additions":
        return
    axes.set_xscale("log")
    axes.minorticks_off()
    shown = [tick for tick in TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
