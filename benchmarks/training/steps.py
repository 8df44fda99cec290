"""What a training step costs: this package, ReLU, and other spiking libraries, in alternating runs.

    python -m benchmarks.training.steps                 # leaves out whose library is not installed
    python -m benchmarks.training.steps --networks 4conv --rounds 20 --output runs/training
    python -m benchmarks.training.steps --backend jax   # the Keras contestants elsewhere, on a GPU if there is one

The others need `pip install torch spikingjelly snntorch` in the same environment. Each contestant is a process of its
own that waits for its turn, so that two never run at once; PyTorch's memory layout (with --compile also torch.compile)
is tried first, and each library keeps what is fastest. Written: training.csv and training.png.

    steps     seconds a step, and per round the ratio to this package's; wanted: others at least 1.5, ReLU at least 0.8
    memory    peak of the process in the first two steps at T=8, beyond what it had before: compilers and all
    tensors   what of that grows with the batch: less the peak of the same steps with one sample; wanted: at most 0.6 of
              the plain loop's
    layer     forward and backward of one layer on (64, T, 28, 28, 32) float32, against a floor: reading and writing
              those tensors once each; wanted: at most 2, and the same time a timestep from T=2 to T=64
    norm      forward and backward of Keras's batch normalization, and per round the ratio to this package's
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import numpy as np

from benchmarks.training import contestants
from benchmarks.training.contestant_task import TORCH

ROUNDS, STEPS, WARM_UP = 15, 2, 3
BATCH = {"4conv": 64, "resnet20": 16}
TIMESTEPS, MEMORY_TIMESTEPS, LAYER_TIMESTEPS = 4, 8, (2, 4, 8, 16, 32, 64)
NORM_SHAPES = ((256, 28, 28, 32), (256, 14, 14, 64), (64, 8, 8, 256))  # time in the batch
OURS, RELU, PLAIN = "keras_ternary_spike", "keras_relu", "keras_plain"
LIBRARIES = {"spikingjelly": "spikingjelly", "snntorch": "snntorch", "torch_loop": "torch"}
SETTINGS = (("contiguous",), ("channels_last",), ("contiguous", "compile"), ("channels_last", "compile"))
WANTED_PEERS, WANTED_RELU, WANTED_MEMORY, WANTED_LAYER = 1.5, 1.25, 0.6, 2.0
COLORS = {OURS: "#0b6e4f", RELU: "#8a8a8a", PLAIN: "#c9a227"}


class Contestant:
    """A process that takes training steps when it is told to."""

    def __init__(
        self, name: str, network: str, *options: str, timesteps: int = TIMESTEPS, batch: int | None = None
    ) -> None:
        self.name, self.options = name, options
        command = [sys.executable, "-m", contestants.__name__, name, network, "--batch", str(batch or BATCH[network])]
        command += ["--timesteps", str(timesteps), *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def run(self, steps: int) -> dict[str, float]:
        """Its answer; raises RuntimeError if it has died."""
        if self.process.poll() is None:
            print(steps, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
            if answer:
                return json.loads(answer)
        raise RuntimeError(f"{self.name} {' '.join(self.options)} failed: run {contestants.__name__} to see why")

    def seconds(self, steps: int = STEPS) -> float:
        return self.run(steps)["seconds"] / steps

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def names() -> list[str]:
    installed = [name for name, module in LIBRARIES.items() if importlib.util.find_spec(module)]
    missing = sorted(LIBRARIES.keys() - set(installed))
    if missing:
        print(f"left out, not installed: {', '.join(missing)}")
    return [OURS, RELU, PLAIN, *installed]


def settings(name: str, *, compiled: bool) -> Iterator[tuple[str, ...]]:
    """The options of a contestant that are worth a try."""
    if name not in TORCH:
        yield ()
        return
    for layout, *more in SETTINGS:
        if compiled or not more:
            yield ("--layout", layout, *(f"--{option}" for option in more))


def fastest(name: str, network: str, *, compiled: bool) -> Contestant:
    """The contestant in the setting in which its steps are fastest, warmed up."""
    best, best_seconds = None, np.inf
    for options in settings(name, compiled=compiled):
        contestant = Contestant(name, network, *options)
        try:
            contestant.run(WARM_UP)
            seconds = min(contestant.seconds(1) for _ in range(3))
        except RuntimeError as error:  # torch.compile needs a C++ compiler, and does not take every library
            print(error)
            continue
        if seconds < best_seconds:
            if best:
                best.stop()
            best, best_seconds = contestant, seconds
        else:
            contestant.stop()
    if best is None:
        raise RuntimeError(f"{name} failed in every setting")
    return best


def time_steps(network: str, rounds: int, *, compiled: bool) -> list[dict[str, object]]:
    """One row a contestant: its steps in every round, alternating."""
    field = [fastest(name, network, compiled=compiled) for name in names()]
    times = [[contestant.seconds() for contestant in field] for _ in range(rounds)]
    for contestant in field:
        contestant.stop()
    return [
        {
            "what": "steps",
            "case": network,
            "name": contestant.name,
            "setting": " ".join(contestant.options).replace("--", ""),
            "seconds": list(column),
            "ratio": [seconds / row[0] for seconds, row in zip(column, times, strict=True)],
        }
        for contestant, column in zip(field, zip(*times, strict=True), strict=True)
    ]


def measure_memory(network: str) -> Iterator[dict[str, object]]:
    """MiB at T=8, of the process and of what grows with the batch, as "ratio" over those of the plain loop."""
    names = (PLAIN, OURS, RELU)
    peaks = {name: peak_mib(name, network, BATCH[network]) for name in names}
    tensors = {name: peaks[name] - peak_mib(name, network, 1) for name in names}
    for what, found in (("memory", peaks), ("tensors", tensors)):
        for name, mib in found.items():
            yield {"what": what, "case": network, "name": name, "mib": mib, "ratio": [mib / found[PLAIN]]}


def peak_mib(name: str, network: str, batch: int) -> float:
    """Of the first two steps, beyond what the process had before."""
    contestant = Contestant(name, network, timesteps=MEMORY_TIMESTEPS, batch=batch)
    peak = contestant.run(2)["peak_mib"]
    contestant.stop()
    return peak


def time_layers(all_timesteps: Iterable[int], rounds: int) -> Iterator[dict[str, object]]:
    """One row for each number of timesteps, and for each shape of a batch normalization."""
    from benchmarks.training import layer_times  # which imports TensorFlow

    for timesteps in all_timesteps:
        yield {"what": "layer", "case": f"T={timesteps}", "name": OURS, **layer_times.neurons(timesteps, rounds)}
    for shape in NORM_SHAPES:
        case = "x".join(map(str, shape))
        yield {"what": "norm", "case": case, "name": "keras", **layer_times.normalization(shape, rounds)}


def report(rows: list[dict[str, object]]) -> str:
    lines = [("", "", "", "time or memory", "ratio", "wanted")]
    for row in rows:
        figure = f"{row['mib']:.0f} MiB" if "mib" in row else setting.spread(np.multiply(row["seconds"], 1e3), " ms", 1)
        label = f"{row['name']} {row.get('setting', '')}".strip()
        lines.append((row["what"], row["case"], label, figure, setting.spread(row["ratio"], digits=2), wanted(row)))
    return setting.table(lines)


def wanted(row: dict[str, object]) -> str:
    """What the ratio should be. Every ratio of steps is the other's time over ours."""
    if row["what"] == "layer":
        return f"at most {WANTED_LAYER}"
    if row["name"] == OURS:
        return f"at most {WANTED_MEMORY}" if row["what"] == "tensors" else ""
    if row["what"] == "steps" and row["name"] == RELU:
        return f"at least {1 / WANTED_RELU}"
    return f"at least {WANTED_PEERS}" if row["what"] == "steps" and row["name"] in LIBRARIES else ""


def write(folder: Path, rows: list[dict[str, object]], device: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "training.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("device", "what", "case", "name", "setting", "median", "quartile_1", "quartile_3", "ratio"))
        for row in rows:
            values = [row["mib"]] if "mib" in row else row["seconds"]
            low, median, high = np.percentile(values, (25, 50, 75))
            figures = (f"{value:.6g}" for value in (median, low, high, np.median(row["ratio"])))
            writer.writerow((device, row["what"], row["case"], row["name"], row.get("setting", ""), *figures))
    draw(folder / "training.png", [row for row in rows if row["what"] == "steps"], device)


def draw(path: Path, rows: list[dict[str, object]], device: str) -> None:
    """Bars: the median ratio of every contestant's step to ours, with quartiles."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    networks = list(dict.fromkeys(row["case"] for row in rows))
    figure, axes = plt.subplots(1, len(networks), figsize=(5.5 * len(networks), 3.6), squeeze=False)
    for axis, network in zip(axes[0], networks, strict=True):
        bars = [row for row in rows if row["case"] == network][::-1]
        low, median, high = np.percentile([row["ratio"] for row in bars], (25, 50, 75), axis=1)
        labels = [row["name"] for row in bars]
        colors = [COLORS.get(name, "#3d5a80") for name in labels]
        axis.barh(labels, median, color=colors, xerr=(median - low, high - median), ecolor="#222222", capsize=3)
        axis.axvline(1, color="#222222", linewidth=0.8)
        axis.set_title(f"{network}, T={TIMESTEPS}, batch {BATCH[network]}")
        axis.set_xlabel("time of a training step, times ours")
    figure.suptitle(device, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def device() -> str:
    """The accelerator, or the processor."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return f"{jax.devices()[0].device_kind}, JAX"
    return f"{setting.describe().splitlines()[0].removeprefix('machine').strip()}, {keras.backend.backend()}"


def main(arguments: argparse.Namespace) -> None:
    os.environ["KERAS_BACKEND"] = arguments.backend
    print(setting.describe(*LIBRARIES.values()), flush=True)
    rows = []
    for network in arguments.networks:
        rows += time_steps(network, arguments.rounds, compiled=arguments.compile)
    if arguments.backend == "tensorflow":
        rows += [row for network in arguments.networks for row in measure_memory(network)]
        rows += time_layers(arguments.layer_timesteps, arguments.rounds)
    print(report(rows))
    write(arguments.output, rows, device())
    print(f"Written to {arguments.output}: training.csv, training.png")


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=tuple(BATCH), default=["4conv", "resnet20"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--backend", choices=("tensorflow", "jax", "torch"), default="tensorflow")
    parser.add_argument("--layer-timesteps", nargs="*", type=int, default=LAYER_TIMESTEPS)
    parser.add_argument("--compile", action="store_true", help="try torch.compile too; it takes minutes")
    parser.add_argument("--output", type=Path, default=Path("runs/training"))
    return parser.parse_args()


if __name__ == "__main__":
    main(command_line())
