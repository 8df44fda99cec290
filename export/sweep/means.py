"""Points that differ in their seed alone as one: means, and 95 % intervals of the accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..text import aligned
from .points import GIVEN, short
from .table import AXES, FRONTS, Row, mark_fronts

SETTINGS = ("timesteps", "decay", "width", "pruning", "kernel_bits", "neuron")
COSTS = (
    *("latency_ms", "ram_bytes", "flash_bytes", "gzip_bytes"),
    *("additions", "additions_measured", "additions_nonzero", "multiplications"),
)
COLUMNS = (
    *(*SETTINGS, "seeds", "failed", "accuracy", "accuracy_low", "accuracy_high", "keras_accuracy"),
    *(*COSTS, *(f"{axis}_front" for axis in FRONTS), "error"),
)
# Student's t, two-sided 95 %, for 1 to 20 degrees of freedom; more have at most the last.
STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)


def means(table: Sequence[Row]) -> list[Row]:
    """A row for every network of several seeds, in order, with its fronts.

    accuracy_low, _high: where the mean of ever more seeds lies with 95 % confidence, if accuracies are spread normally;
    empty of one seed. failed: how many seeds have no file; they are in no mean.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in table:
        groups.setdefault(tuple(row[key] for key in SETTINGS), []).append(row)
    found = [_mean(rows) for rows in groups.values()]
    mark_fronts([row for row in found if not row["error"]])
    return found


def _mean(rows: Sequence[Row]) -> Row:
    whole = [row for row in rows if not row["error"]]
    mean = dict.fromkeys(COLUMNS, "") | {key: rows[0][key] for key in SETTINGS}
    mean |= {"seeds": len(whole), "failed": len(rows) - len(whole)}
    if not whole:
        return mean | {"error": rows[0]["error"]}
    for key in ("accuracy", "keras_accuracy", *COSTS):
        values = [row[key] for row in whole]
        mean[key] = "" if "" in values else float(np.mean(values))
    half = half_interval([row["accuracy"] for row in whole])
    if half is not None:
        mean |= {"accuracy_low": mean["accuracy"] - half, "accuracy_high": mean["accuracy"] + half}
    return mean


def half_interval(values: Sequence[float]) -> float | None:
    """Half the 95 % interval of the mean of values; None of a single one."""
    if len(values) < 2:
        return None
    student = STUDENT[min(len(values) - 1, len(STUDENT)) - 1]
    return student * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def varied(table: Sequence[Row]) -> list[str]:
    """The settings in which networks differ."""
    return [key for key in SETTINGS if len({str(row[key]) for row in table} - {""}) > 1]


def means_text(table: Sequence[Row]) -> str:
    """The rows of `means` for people."""
    keys = [key for key in varied(table) if key != "neuron"]
    keys += ["neuron"] if any(row["neuron"] != GIVEN for row in table) else []
    heads = [*(key.replace("_", " ") for key in keys), "seeds", "accuracy, %", "95 % interval"]
    rows = [(*heads, *(AXIS_HEADS[axis] for axis in AXES))]
    for row in table:
        settings = [short(row[key]) for key in keys]
        numbers = ("failed", "", *[""] * len(AXES)) if row["error"] else _numbers(row)
        rows.append((*settings, str(row["seeds"]), *numbers))
    return "\n".join(aligned(rows, left=len(keys)))


AXIS_HEADS = {
    **{"latency_ms": "latency, ms", "ram_bytes": "RAM, bytes", "flash_bytes": "flash, bytes"},
    "additions_nonzero": "additions",
}


def _numbers(row: Row) -> tuple[str, ...]:
    half = row["accuracy_high"] and f"+-{100 * (row['accuracy_high'] - row['accuracy']):.2f}"
    costs = ("-" if row[axis] == "" else _cost(row[axis]) for axis in AXES)
    return (f"{100 * row['accuracy']:.2f}", half or "-", *costs)


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
