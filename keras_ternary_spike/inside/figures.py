"""Pictures of recordings, as matplotlib figures: show them in a notebook, save them, write them to TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .recording import Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = (3.2, 2.4)  # inches
COLUMNS, BINS, NEURONS, MAPS = 4, 80, 200, 16
NEGATIVE, SILENT, POSITIVE = "#2f6db3", "#ffffff", "#c2242f"
BAR, BOUND = "#b8bfc8", "#333333"


def draw_membranes(recordings: Mapping[str, Recording]) -> Figure:
    """A histogram of the membranes of each layer, and where they fire: lines, bands where thresholds differ by channel.

    Args:
        recordings: of `record(model, samples)`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there are none.
    """
    figure, panels = _panels(recordings)
    for axes, (name, recording) in zip(panels, recordings.items(), strict=True):
        axes.hist(recording.membranes.ravel(), bins=BINS, color=BAR)
        for threshold in recording.thresholds:
            color = POSITIVE if threshold.max() > 0 else NEGATIVE
            axes.axvspan(threshold.min(), threshold.max(), color=color, alpha=0.5 if np.ptp(threshold) else 1.0)
        axes.set_title(f"{name}: {recording.firing_rate:.0%} fire", fontsize="small")
        axes.set_yticks([])
        axes.set_xlabel("membrane before the reset", fontsize="small")
    return figure


def draw_raster(recordings: Mapping[str, Recording], *, sample: int = 0, neurons: int = NEURONS) -> Figure:
    """Spikes of one sample: a row a neuron, a column a timestep; red above 0, blue below.

    Args:
        recordings: of `record(model, samples)`.
        sample: Integer, which of the samples. Default: 0.
        neurons: Integer >= 1, how many of each layer, evenly taken. Default: 200.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there are no recordings.
    """
    figure, panels = _panels(recordings)
    for axes, (name, recording) in zip(panels, recordings.items(), strict=True):
        rows = recording.spikes[sample].reshape(recording.spikes.shape[1], -1).T
        chosen = np.linspace(0, len(rows) - 1, min(neurons, len(rows))).round().astype(int)
        axes.imshow(rows[chosen], aspect="auto", interpolation="nearest", **_colors(recording))
        axes.set_title(f"{name}: {len(chosen)} of {len(rows)} neurons", fontsize="small")
        axes.set_xlabel("timestep", fontsize="small")
        axes.set_xticks(range(rows.shape[1]))
        axes.set_yticks([])
    return figure


def draw_firing_maps(recordings: Mapping[str, Recording], *, maps: int = MAPS) -> Figure:
    """How often neurons fire where: mean |spike| over samples and timesteps, of the first channels of each layer.

    Args:
        recordings: of `record(model, samples)`. Layers of features without a place are one row.
        maps: Integer >= 1, channels of each layer. Default: 16.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there are no recordings.
    """
    figure, panels = _panels(recordings)
    for axes, (name, recording) in zip(panels, recordings.items(), strict=True):
        image = axes.imshow(_mosaic(firing_map(recording), maps), cmap="magma", vmin=0, interpolation="nearest")
        figure.colorbar(image, ax=axes)
        axes.set_title(name, fontsize="small")
        axes.set_axis_off()
    return figure


def draw_information(recordings: Mapping[str, Recording]) -> Figure:
    """Entropy of each layer's spikes as bars, below lines at the most that its levels allow.

    Args:
        recordings: of `record(model, samples)`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there are none.
    """
    figure = _figure(len(recordings), (1.1 * len(recordings) + 2, 3.2))
    axes = figure.subplots()
    for place, recording in enumerate(recordings.values()):
        axes.bar(place, recording.bits, color=BAR, width=0.7)
        axes.hlines(recording.most_bits, place - 0.4, place + 0.4, color=BOUND)
        axes.text(
            place, recording.bits, f"{recording.firing_rate:.0%} fire", ha="center", va="bottom", fontsize="small"
        )
    axes.set_xticks(range(len(recordings)), recordings, rotation=20, ha="right", fontsize="small")
    axes.set_ylabel("bits of a neuron and timestep")
    axes.margins(y=0.15)
    return figure


def firing_map(recording: Recording) -> np.ndarray:
    """Mean |spike| over samples and timesteps, `features`."""
    return np.abs(recording.spikes).mean(axis=(0, 1))


def _panels(recordings: Mapping[str, Recording]) -> tuple[Figure, list[Any]]:
    """A figure with a place for each layer."""
    columns = min(COLUMNS, max(1, len(recordings)))
    rows = -(-len(recordings) // columns)
    figure = _figure(len(recordings), (PANEL[0] * columns, PANEL[1] * rows))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[len(recordings) :]:
        unused.set_axis_off()
    return figure, list(axes[: len(recordings)])


def _figure(count: int, size: tuple[float, float]) -> Figure:
    """A figure of its own, which no pyplot of the user's knows of."""
    if not count:
        raise ValueError("`recordings` must hold at least one layer's. Received: none")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Figures need matplotlib: pip install 'keras-ternary-spike[figures]'") from error
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _colors(recording: Recording) -> dict[str, Any]:
    from matplotlib.colors import LinearSegmentedColormap

    highest = max(recording.levels)
    colors = LinearSegmentedColormap.from_list("spikes", [NEGATIVE, SILENT, POSITIVE])
    return {"cmap": colors, "vmin": -highest, "vmax": highest}


def _mosaic(values: np.ndarray, maps: int) -> np.ndarray:
    """The first channels side by side, NaN between them. values: `(height, width, channels)`, or fewer axes."""
    if values.ndim < 3:
        return np.atleast_2d(values)
    values = values.reshape(-1, *values.shape[-2:])[..., :maps]  # further axes below each other
    height, width, channels = values.shape
    side = int(np.ceil(np.sqrt(channels)))
    gap = max(1, height // 8)
    result = np.full((-(-channels // side) * (height + gap) - gap, side * (width + gap) - gap), np.nan)
    for channel in range(channels):
        row, column = channel // side * (height + gap), channel % side * (width + gap)
        result[row : row + height, column : column + width] = values[..., channel]
    return result
