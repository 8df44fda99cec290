"""The picture of a sweep: accuracy against each cost, the Pareto front marked."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .means import SETTINGS as KEYS
from .means import varied
from .points import GIVEN, short
from .table import AXES, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PANEL = (6.0, 4.2)  # inches
DPI = 110
FEW = 8  # points have labels whether they are on the front or not
WIDE = 5  # largest cost to smallest, from which on the axis is logarithmic
INK, POINT, FRONT = "#333333", "#b8bfc8", "#c2242f"
# Short in labels; a neuron's word says what it is.
SETTINGS = dict(zip(KEYS, ("T", "d", "w", "p", "k", ""), strict=True))


def check_matplotlib() -> None:
    """Raises: ImportError, naming the extra, if there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(
            "Drawing the fronts needs matplotlib. Install it with: pip install 'keras-ternary-spike[sweep]'"
        )


def draw(table: Sequence[Row]) -> bytes:
    """A PNG of four panels. table: as `means` returns it."""
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
    seeds = max((row["seeds"] for row in table), default=1)
    several = f"means of {seeds} seeds, bars: 95 % interval" if seeds > 1 else ""
    letters = ", ".join(f"{SETTINGS[key]}: {names[key]}" for key in keys if SETTINGS[key])
    common = ", ".join(f"{names[key]} {value}" for key, value in _common(table, keys).items())
    return "; ".join(part for part in (points, several, letters, common and f"all with {common}") if part)


def _common(table: Sequence[Row], keys: Sequence[str]) -> dict[str, str]:
    """The settings that all networks have in common."""
    values = {key: {short(row[key]) for row in table} - {"", GIVEN} for key in SETTINGS if key not in keys}
    return {key: found.pop() for key, found in values.items() if found}


def draw_panel(axes: Axes, table: Sequence[Row], axis: str, title: str) -> None:
    """Accuracy of the int8 files in percent over one cost."""
    table = [row for row in table if row[axis] != ""]
    best = sorted((row for row in table if row[f"{axis}_front"] == "yes"), key=lambda row: row[axis])
    axes.scatter([row[axis] for row in table], [100 * row["accuracy"] for row in table], color=POINT, s=24)
    for row in table:
        if row["accuracy_low"] != "":
            color = FRONT if row in best else POINT
            axes.vlines(row[axis], 100 * row["accuracy_low"], 100 * row["accuracy_high"], color=color, linewidth=1.2)
    costs, accuracies = [row[axis] for row in best], [100 * row["accuracy"] for row in best]
    axes.step(costs, accuracies, where="post", color=FRONT, linewidth=1)
    axes.scatter(costs, accuracies, color=FRONT, s=32, zorder=3)
    for place, text in labels(table if len(table) <= FEW else best, axis, varied(table)).items():
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


def labels(table: Sequence[Row], axis: str, keys: Sequence[str]) -> dict[tuple[float, float], str]:
    """By (cost, accuracy in percent) the points there: several may be equal."""
    found: dict[tuple[float, float], list[str]] = {}
    for row in table:
        found.setdefault((row[axis], 100 * row["accuracy"]), []).append(label(row, keys))
    return {place: "\n".join(texts) for place, texts in found.items()}


def label(row: Row, keys: Sequence[str]) -> str:
    """Such as "T2 w0.5 p0.8", or "T2 k ternary binary"."""
    values = {key: short(row[key]) for key in keys}
    words = (f"{SETTINGS[key]}{' ' if value.isalpha() else ''}{value}" for key, value in values.items())
    return " ".join(word.strip() for word in words)
