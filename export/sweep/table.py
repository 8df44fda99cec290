"""The table of a sweep, and which of its points are on a Pareto front."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from .points import RELU, Point

Row = dict[str, Any]

# What accuracy is held against, by column.
AXES = {
    "latency_ms": "latency, ms, one XNNPACK thread",
    "ram_bytes": "RAM, bytes",
    "flash_bytes": "flash, bytes of the file",
    "additions_nonzero": "additions a sample, neither spike nor weight 0",
}
FRONTS = (*AXES, "gzip_bytes")  # the last in the CSV only
COLUMNS = (
    *("timesteps", "decay", "width", "pruning", "kernel_bits", "neuron", "seed"),
    *("accuracy", "keras_accuracy", "test_images"),
    *("latency_ms", "latency_low_ms", "latency_high_ms", "ram_bytes", "flash_bytes", "gzip_bytes"),
    *("additions", "additions_measured", "additions_nonzero", "multiplications", "operators", "training_seconds"),
    *(f"{axis}_front" for axis in FRONTS),
    *("file", "error"),
)


def rows(points: Sequence[Point], results: Mapping[Point, Mapping[str, Any]]) -> list[Row]:
    """The columns of every finished point, in the order of the grid, "yes" or "no" for each front.

    A latency is the point's ratio to the reference file, times the median of all times of that file: what the machine
    did meanwhile falls on all points alike.
    """
    times = [result["reference_ms"] for result in results.values() if "error" not in result]
    reference = float(np.median(times)) if times else 0.0
    table = [row(point, results[point], reference) for point in points if point in results]
    mark_fronts([line for line in table if not line["error"]])
    return table


def mark_fronts(table: Sequence[Row]) -> None:
    """Fills in the columns of all fronts; ReLU networks, which have no additions alone, are on none of these."""
    for axis in FRONTS:
        costed = [line for line in table if line[axis] != ""]
        for line, is_on in zip(costed, front(costed, axis), strict=True):
            line[f"{axis}_front"] = "yes" if is_on else "no"


def row(point: Point, result: Mapping[str, Any], reference: float) -> Row:
    named = {column: result.get(column, "") for column in COLUMNS} | asdict(point)
    if point.neuron == RELU:
        named["decay"] = ""  # it has none
    if named["error"]:
        return named
    named["file"] = f"points/{point.name}.tflite"
    named["latency_ms"] = result["latency_ratio"] * reference
    named["latency_low_ms"] = result["latency_ratio_low"] * reference
    named["latency_high_ms"] = result["latency_ratio_high"] * reference
    return named


def front(table: Sequence[Row], axis: str) -> list[bool]:
    """Of each row whether no other is at least as accurate and costs no more, and is better in one of the two."""
    return [not any(dominates(other, one, axis) for other in table) for one in table]


def dominates(one: Row, other: Row, axis: str) -> bool:
    as_good = one["accuracy"] >= other["accuracy"] and one[axis] <= other[axis]
    return as_good and (one["accuracy"] > other["accuracy"] or one[axis] < other[axis])


def to_csv(table: Sequence[Row], columns: Sequence[str] = COLUMNS) -> str:
    """One line a row under the names of the columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
