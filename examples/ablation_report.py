"""Means over seeds with 95 % intervals (Student's t), differences of pairs of the same seed, and their picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
PAIRS = (
    ("trainable, layer", "ternary"),
    ("trainable, channel", "ternary"),
    ("ternary", "binary"),
    ("trainable, layer", "binary"),
    ("graded", "trainable, layer"),
)

Row = Mapping[str, Any]  # network, arm, timesteps, seed, accuracy; of spiking networks firing_rate and bits
Key = tuple[str, str, int, int, int]  # network, arm, timesteps, epochs, samples


def interval(values: Sequence[float]) -> tuple[float, float]:
    """(mean, half of the 95 % interval of the mean); the half is infinite for a single value."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), float("inf")
    error = values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error)


def by_key(rows: Sequence[Row]) -> dict[Key, dict[int, Row]]:
    """Rows by what was trained, then by seed."""
    groups: dict[Key, dict[int, Row]] = {}
    for row in rows:
        key = (row["network"], row["arm"], row["timesteps"], row["epochs"], row["samples"])
        groups.setdefault(key, {})[row["seed"]] = row
    return groups


def differences(rows: Sequence[Row]) -> Iterator[tuple[Key, str, list[float]]]:
    """(the key of the first, the second's name, accuracy of the first less that of the second, seed by seed)."""
    groups = by_key(rows)
    for key, seeds in groups.items():
        for one, other in PAIRS:
            others = groups.get((key[0], other, *key[2:]), {})
            shared = sorted({*seeds} & {*others})
            if key[1] == one and shared:
                yield key, other, [seeds[seed]["accuracy"] - others[seed]["accuracy"] for seed in shared]


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'network':9} {'spikes':19} {'T':>2} {'seeds':>5} {'accuracy, %':>18} {'firing':>7} {'bits':>5}"]
    for (network, arm, timesteps, _, _), seeds in by_key(rows).items():
        accuracy = shown(interval([row["accuracy"] for row in seeds.values()]))
        rates = [row["firing_rate"] for row in seeds.values() if "firing_rate" in row]
        bits = [row["bits"] for row in seeds.values() if "bits" in row]
        spiking = f"{np.mean(rates):7.1%} {np.mean(bits):5.2f}" if rates else f"{'-':>7} {'-':>5}"
        lines.append(f"{network:9} {arm:19} {timesteps:2} {len(seeds):5} {accuracy:>18} {spiking}")
    lines += ["", f"{'network':9} {'difference, points':40} {'T':>2} {'seeds':>5} {'mean':>18}"]
    for (network, arm, timesteps, _, _), other, values in differences(rows):
        mean, half = interval(values)
        verdict = "" if abs(mean) > half else "  not told apart"
        name = f"{arm} - {other}"
        lines.append(f"{network:9} {name:40} {timesteps:2} {len(values):5} {shown((mean, half)):>18}{verdict}")
    return "\n".join(lines)


def shown(mean_and_half: tuple[float, float]) -> str:
    mean, half = mean_and_half
    return f"{mean:.2f} +- {half:.2f}" if np.isfinite(half) else f"{mean:.2f} (one seed)"


def draw(file: Path, rows: Sequence[Row]) -> None:
    """Accuracy by timesteps, one panel a network, one line an alphabet, intervals as bars."""
    from matplotlib.figure import Figure

    groups = by_key(rows)
    networks = [*dict.fromkeys(key[0] for key in groups)]
    figure = Figure(figsize=(5 * len(networks), 3.6), layout="constrained")
    for axes, network in zip(np.atleast_1d(figure.subplots(1, len(networks), sharey=True)), networks, strict=True):
        for arm in dict.fromkeys(key[1] for key in groups):
            points = {
                key[2]: interval([row["accuracy"] for row in seeds.values()])
                for key, seeds in sorted(groups.items(), key=lambda group: group[0][2])
                if key[:2] == (network, arm)
            }
            means = [mean for mean, _ in points.values()]
            halves = [half if np.isfinite(half) else 0.0 for _, half in points.values()]
            axes.errorbar([*points], means, yerr=halves, marker="o", capsize=3, label=arm)
        axes.set(title=network, xlabel="timesteps", xticks=sorted({key[2] for key in groups}))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("accuracy, %")
    handles = figure.axes[-1].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right upper", fontsize="small")
    figure.savefig(file, dpi=100)
