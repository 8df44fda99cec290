"""The picture of a sweep: accuracy against each cost, the Pareto front marked."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .points import short
from .table import AXES, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PANEL = (6.0, 4.2)  # inches
DPI = 110
WIDE = 5  # largest cost to smallest, from which on the axis is logarithmic
INK, POINT, FRONT = "#333333", "#b8bfc8", "#c2242f"
SETTINGS = {"timesteps": "T", "decay": "d", "width": "w", "pruning": "p", "kernel_bits": "k"}  # short in labels


def check_matplotlib() -> None:
    """Raises: ImportError, naming the extra, if there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(
            "Drawing the fronts needs matplotlib. Install it with: pip install 'keras-ternary-spike[sweep]'"
        )


def draw(table: Sequence[Row]) -> bytes:
    """A PNG of four panels. table: as `rows` returns it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    whole = [row for row in table if not row["error"]]
    figure = Figure(figsize=(2 * PANEL[0], 2 * PANEL[1]), layout="constrained", dpi=DPI)
    for axes, (axis, title) in zip(figure.subplots(2, 2).flat, AXES.items(), strict=True):
        draw_panel(axes, whole, axis, title)
    figure.suptitle(headline(table), color=INK)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()


def headline(table: Sequence[Row]) -> str:
    """How many points there are, what the letters of the labels mean, and what all points have in common."""
    names, keys = {key: key.replace("_", " ") for key in SETTINGS}, varied(table)
    failed = sum(bool(row["error"]) for row in table)
    points = f"{len(table)} points, " + (f"{failed} failed, " if failed else "") + "red: Pareto front"
    letters = ", ".join(f"{SETTINGS[key]}: {names[key]}" for key in keys)
    common = ", ".join(f"{names[key]} {short(table[0][key])}" for key in SETTINGS if table and key not in keys)
    return "; ".join(part for part in (points, letters, common and f"all with {common}") if part)


def draw_panel(axes: Axes, table: Sequence[Row], axis: str, title: str) -> None:
    """Accuracy of the int8 files in percent over one cost."""
    best = sorted((row for row in table if row[f"{axis}_front"] == "yes"), key=lambda row: row[axis])
    axes.scatter([row[axis] for row in table], [100 * row["accuracy"] for row in table], color=POINT, s=24)
    costs, accuracies = [row[axis] for row in best], [100 * row["accuracy"] for row in best]
    axes.step(costs, accuracies, where="post", color=FRONT, linewidth=1)
    axes.scatter(costs, accuracies, color=FRONT, s=32, zorder=3)
    for place, text in labels(best, axis, varied(table)).items():
        axes.annotate(
            text,
            place,
            textcoords="offset points",
            xytext=(-4, 4),  # above and left of a point on the front lies nothing
            horizontalalignment="right",
            rotation=-30,  # so that neighbours' labels lie side by side
            rotation_mode="anchor",
            fontsize=7,
            color=INK,
        )
    style(axes, title, [row[axis] for row in table])


def style(axes: Axes, title: str, costs: Sequence[float]) -> None:
    """Titles, and an axis of costs that is logarithmic where they differ much and none is 0."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    wide = bool(costs) and min(costs) > 0 and max(costs) >= WIDE * min(costs)
    axes.set_xscale("log" if wide else "linear")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:,.0f}" if cost >= 1000 else f"{cost:.4g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.25, y=0.15)
    axes.set_xlabel(title, color=INK)
    axes.set_ylabel("accuracy of the int8 file, %", color=INK)
    axes.grid(color="#eeeeee", which="both")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def varied(table: Sequence[Row]) -> list[str]:
    """The settings in which points differ."""
    return [key for key in SETTINGS if len({str(row[key]) for row in table}) > 1]


def labels(table: Sequence[Row], axis: str, keys: Sequence[str]) -> dict[tuple[float, float], str]:
    """By (cost, accuracy in percent) the points there: several may be equal."""
    found: dict[tuple[float, float], list[str]] = {}
    for row in table:
        found.setdefault((row[axis], 100 * row["accuracy"]), []).append(label(row, keys))
    return {place: "\n".join(texts) for place, texts in found.items()}


def label(row: Row, keys: Sequence[str]) -> str:
    """Such as "T2 w0.5 p0.8", or "T2 k ternary"."""
    values = {key: short(row[key]) for key in keys}
    return " ".join(f"{SETTINGS[key]}{' ' if value.isalpha() else ''}{value}" for key, value in values.items())
