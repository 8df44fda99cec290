"""The front of a run: what each file reaches, and how many weights met a value other than 0 for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import baseline
from datasets import Dataset
from keras_ternary_spike.export import energy

SAMPLES = 20  # test images on which operations are counted
INK, POINT = "#333333", "#c2242f"


@dataclass(frozen=True)
class Point:
    """A file. accuracy: in [0, 1]; additions, multiplications: of one image, those of values that are 0 left out;

    joules: of these, by Horowitz's table. size: in bytes.
    """

    name: str
    accuracy: float
    additions: float
    multiplications: float
    joules: float
    size: int

    @property
    def operations(self) -> float:
        """Weights that met a value other than 0."""
        return self.additions + self.multiplications


def measure(name: str, tflite_bytes: bytes, data: Dataset) -> Point:
    """On all test images, operations on the first of them."""
    right = baseline.predict(tflite_bytes, data.test_images).argmax(-1) == data.test_labels
    cost = energy(tflite_bytes, data.test_images[:SAMPLES])
    effective = cost.additions, cost.multiply_accumulates
    return Point(name, float(np.mean(right)), *effective, cost.event_driven, len(tflite_bytes))


def table(points: Sequence[Point]) -> str:
    lines = [f"{'':28}{'accuracy':>9}{'additions':>11}{'multiplications':>17}{'energy':>11}{'size':>14}"]
    for point in points:
        lines.append(
            f"{point.name:28}{point.accuracy:9.2%}{point.additions:11,.0f}{point.multiplications:17,.0f}"
            f"{1e9 * point.joules:8.2f} nJ{point.size:8,d} bytes"
        )
    return "\n".join(lines)


def draw(path: Path, points: Sequence[Point]) -> None:
    """Writes accuracy against operations as PNG."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for point in points:
        place = (point.operations, 100 * point.accuracy)
        axes.scatter(*place, color=POINT, s=45, zorder=2)
        axes.annotate(point.name, place, (0, 8), textcoords="offset points", ha="center", color=INK)
    axes.set_xlabel("weights that met a value other than 0, for one image", color=INK)
    axes.set_ylabel("accuracy on the test images, %", color=INK)
    axes.margins(0.25)
    axes.set_xlim(left=0)
    figure.savefig(path, dpi=110)
