"""One picture of a run: samples, their spikes in every layer at every timestep, and how the files compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import keras
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from keras_ternary_spike import TernaryLIF

SAMPLES = 3
CHANNELS = 16  # of each layer are shown, as a mosaic of 4 x 4
ZOOM = 4  # pixels of the mosaic for one neuron
CELL = 1.7  # inches
TERNARY = ("#2f6db3", "#ffffff", "#c2242f")  # spikes -1, 0, +1
BEHIND = {"color": "white", "pad": 1}  # of a label that lies on a line
INK, BAR, HIGHLIGHT = "#333333", "#b8bfc8", "#c2242f"


def spikes_of(folded: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes in {-1, 0, 1} of a folded model, `(samples, timesteps, *features)`, by the name of the layer."""
    spiking = [layer for layer in folded.layers if isinstance(layer, TernaryLIF)]
    outputs = keras.Model(folded.inputs, [layer.output for layer in spiking])([images], training=False)
    return {layer.name: np.asarray(output) for layer, output in zip(spiking, outputs, strict=True)}


def draw(path: Path, *, images: np.ndarray, spikes: Mapping[str, np.ndarray], rows: Mapping[str, Mapping]) -> None:
    """Writes the picture as PNG.

    Args:
        path: of the file.
        images: in [0, 1], `(samples, height, width, channels)`; the first three are shown.
        spikes: by layer, as `spikes_of` returns them, of the same images.
        rows: by the name of a file, a mapping with "accuracy" in [0, 1] and "latency_ms";
            Keras has no latency bar: it would dwarf those of the files.
    """
    matplotlib.use("Agg")
    images, timesteps = images[:SAMPLES], next(iter(spikes.values())).shape[1]
    heights = [1.0] * (len(images) * timesteps) + [0.9]
    figure = Figure(figsize=(CELL * (len(spikes) + 1), CELL * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), len(spikes) + 1, height_ratios=heights)
    for sample, image in enumerate(images):
        top = sample * timesteps
        _draw_image(figure.add_subplot(grid[top : top + timesteps, 0]), image)
        _draw_sample(figure, grid, top, {name: values[sample] for name, values in spikes.items()})
    bars = grid[-1, :].subgridspec(1, 2, wspace=0.05)
    accuracy = {name: 100 * row["accuracy"] for name, row in rows.items()}
    _draw_accuracy(figure.add_subplot(bars[0]), accuracy)
    latency = {name: row["latency_ms"] for name, row in rows.items() if "Keras" not in name}
    _draw_latency(figure.add_subplot(bars[1]), latency)
    figure.suptitle("Spikes: red +1, blue -1, white 0, of the first channels of each layer", color=INK)
    figure.savefig(path, dpi=110)


def mosaic(spikes: np.ndarray) -> np.ndarray:
    """The first channels side by side, NaN between. spikes: `(height, width, channels)` or `(features,)`."""
    maps = spikes.reshape(-1, *spikes.shape[-3:])[0] if spikes.ndim >= 3 else spikes.reshape(1, 1, -1)
    maps = maps.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    height, width, channels = maps.shape
    side = min(int(np.ceil(np.sqrt(channels))), int(np.sqrt(CHANNELS)))
    gap = max(1, height // 8)
    picture = np.full((side * (height + gap) - gap, side * (width + gap) - gap), np.nan)
    for channel in range(min(channels, side * side)):
        row, column = channel // side * (height + gap), channel % side * (width + gap)
        picture[row : row + height, column : column + width] = maps[..., channel]
    return picture


def _draw_image(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray_r", vmin=0, vmax=1)
    _plain(axes)


def _draw_sample(figure: Figure, grid: GridSpec, top: int, spikes: Mapping[str, np.ndarray]) -> None:
    colors = ListedColormap(TERNARY).with_extremes(bad="#dcdcdc")
    for column, (name, values) in enumerate(spikes.items(), start=1):
        for timestep, value in enumerate(values):
            axes = figure.add_subplot(grid[top + timestep, column])
            axes.imshow(mosaic(value), cmap=colors, vmin=-1, vmax=1, interpolation="nearest")
            _plain(axes)
            if top == timestep == 0:
                axes.set_title(name, fontsize=9, color=INK)
            if column == 1:
                axes.set_ylabel(f"timestep {timestep + 1}", fontsize=8, color=INK)


def accuracy_range(percents: Iterable[float]) -> tuple[float, float]:
    """An axis on which the values differ: half of their spread around them, at least 0.5 %, inside 0 to 100."""
    percents = list(percents)
    margin = max(0.5, (max(percents) - min(percents)) / 2)
    return max(0.0, min(percents) - margin), min(100.0, max(percents) + margin)


def duration(milliseconds: float) -> str:
    """Three digits and the unit, microseconds below 0.1 ms."""
    value, unit = (1000 * milliseconds, "µs") if milliseconds < 0.1 else (milliseconds, "ms")
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:#.3g} {unit}"


def _draw_accuracy(axes: Axes, percents: Mapping[str, float]) -> None:
    """Points, not bars: the axis does not begin at 0, which lengths would pretend."""
    low, high = accuracy_range(percents.values())
    names, values, colors = list(percents), list(percents.values()), _colors(percents)
    axes.hlines(range(len(names)), low, high, color="#e6e9ed", linewidth=1, zorder=1)
    axes.scatter(values, range(len(names)), color=colors, s=45, zorder=2)
    for row, value in enumerate(values):
        inwards = ("right", -9) if value > (low + high) / 2 else ("left", 9)
        place = {"ha": inwards[0], "va": "center", "xytext": (inwards[1], 0), "textcoords": "offset points"}
        axes.annotate(f"{value:.2f} %", (value, row), fontsize=9, color=INK, bbox=BEHIND, **place)
    _label_rows(axes, names, "accuracy on the test images")
    axes.set_xlim(low, high)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.xaxis.set_major_formatter("{x:g} %")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="x", labelsize=8, labelcolor=INK)


def _draw_latency(axes: Axes, milliseconds: Mapping[str, float]) -> None:
    names, values = list(milliseconds), list(milliseconds.values())
    bars = axes.barh(range(len(names)), values, color=_colors(milliseconds), height=0.5)
    axes.bar_label(bars, [duration(value) for value in values], padding=3, fontsize=9, color=INK)
    _label_rows(axes, names, "latency of the files, one image, one thread")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.3 * max(values))
    axes.set_xticks([])


def _colors(rows: Mapping[str, float]) -> list[str]:
    return [BAR] * (len(rows) - 1) + [HIGHLIGHT]


def _label_rows(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=9, color=INK)
    axes.set_title(title, fontsize=9, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _plain(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#d9d9d9")
