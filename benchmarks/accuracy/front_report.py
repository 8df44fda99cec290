"""The tables and the picture of a front: accuracy against additions, by alphabet, with intervals over seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import setting

NO_DATA = "-"
TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
# Of Student's t, 97.5 %, by degrees of freedom.
T_QUANTILES = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


@dataclass(frozen=True)
class Line:
    """A point of the front. shares, accuracies (percent): one a seed; budget: None without one."""

    name: str
    budget: float | None
    shares: np.ndarray
    accuracies: np.ndarray

    @property
    def margin(self) -> float | None:
        """Half the 95 % interval of the mean accuracy, Student's t; None of one seed."""
        seeds = len(self.accuracies)
        if seeds < 2:
            return None
        return T_QUANTILES[min(seeds - 1, max(T_QUANTILES))] * float(self.accuracies.std(ddof=1)) / seeds**0.5


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
        shares, accuracies = (np.array([row[key] for row in own]) for key in ("additions", "accuracy"))
        lines.append(Line(name, budget, shares, 100 * accuracies))
    return lines


def table(found: list[dict]) -> str:
    head = ("spikes", "budget", "additions", "accuracy, %", "95 %", "seeds")
    return setting.table([head, *map(_cells, summary(found))])


def _cells(line: Line) -> tuple[str, ...]:
    budget = NO_DATA if line.budget is None else f"{line.budget:g}"
    margin = NO_DATA if line.margin is None else f"+-{line.margin:.2f}"
    means = (f"{line.shares.mean():.3f}", f"{line.accuracies.mean():.2f}")
    return (line.name, budget, *means, margin, str(len(line.accuracies)))


def draw(found: list[dict], file: Path) -> None:
    """Accuracy against additions, one line an alphabet; bars are 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes, lines = figure.subplots(), summary(found)
    for name in dict.fromkeys(line.name for line in lines):
        own = sorted((line for line in lines if line.name == name), key=lambda line: line.shares.mean())
        shares, means = ([float(values.mean()) for values in column] for column in _columns(own))
        axes.errorbar(shares, means, [line.margin or 0 for line in own], marker="o", capsize=3, label=name)
    axes.set_xscale("log")
    axes.minorticks_off()
    shown = [tick for tick in TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.set_xlabel("additions, share of all that could be")
    axes.set_ylabel("accuracy on test images, %")
    axes.legend()
    figure.savefig(file)


def _columns(lines: list[Line]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [line.shares for line in lines], [line.accuracies for line in lines]
