"""Do ternary spikes win? Trains every alphabet on the same data from the same seeds, and prints means and intervals.

    python examples/ablation.py --data digits                                 a first look
    python examples/ablation.py --data-dir /usr/share/datasets/fashion-mnist  half an hour of two cores
    python examples/ablation.py --data-dir ... --samples 60000 --epochs 20 --seeds 10 --timesteps 1 2 4 \\
        --networks plain wider residual                                       the long run: days
    python examples/ablation.py --report                                      what is there so far

First each alphabet is tuned on each network: threshold, surrogate and the norms' first gamma, on images that are held
out of the training set, with a seed of its own. Then all seeds, networks and timesteps follow. Every training adds a
line to <output>/<data>.jsonl; what stands there is not trained again. Writes <data>.png beside it.
`python -m benchmarks.accuracy.fast_ablation` takes the same options and trains by a C program, some six times as fast.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import ablation_report
import datasets
from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF, inside, models
from keras_ternary_spike.data import Dataset, split_by_class

ARMS: dict[str, tuple[type[keras.layers.Layer], dict[str, Any]]] = {
    "binary": (BinaryLIF, {"trainable_amplitude": False}),
    "ternary": (TernaryLIF, {"trainable_amplitude": False}),
    "trainable, layer": (TernaryLIF, {"amplitude_per": "layer"}),
    "trainable, channel": (TernaryLIF, {"amplitude_per": "channel"}),
    "graded": (MultiLevelLIF, {"levels": 4, "signed": False, "trainable_amplitude": False}),
    "ReLU": (keras.layers.ReLU, {}),
}
# (network, width)
NETWORKS = {"plain": (models.tiny, 1.0), "wider": (models.tiny, 2.0), "residual": (models.resnet8, 0.5)}
HALVED = ("residual",)  # see images of half the size: a fourth of the work
THRESHOLDS, SURROGATES, GAMMAS = (0.25, 0.5, 1.0, 2.0), ("rectangular", "triangular"), (1.0, 2.0)
TUNING_SEED, TUNING_TIMESTEPS, HELD_OUT = 1000, 1, 0.2
LEARNING_RATE, BATCH = 4e-3, 64
RECORDED = 64  # test images whose spikes are counted


@dataclass(frozen=True)
class Setting:
    """What an alphabet is tuned in. Of a ReLU only gamma."""

    threshold: float = 0.5
    surrogate: str = "rectangular"
    gamma: float = 1.0


@dataclass(frozen=True)
class Training:
    """One training: a line of the results. kind: "tuning" on held-out images, or "test" on the test's."""

    kind: str
    network: str
    arm: str
    timesteps: int
    seed: int
    epochs: int
    samples: int
    setting: Setting


def grid(arm: str) -> list[Setting]:
    if arm == "ReLU":
        return [Setting(gamma=gamma) for gamma in GAMMAS]
    return [Setting(*values) for values in itertools.product(THRESHOLDS, SURROGATES, GAMMAS)]


def images_for(network: str, images: np.ndarray) -> np.ndarray:
    """What a network sees: of images of 2 n x 2 n pixels perhaps the means of four."""
    count, height, width, channels = images.shape
    if network not in HALVED or height % 2 or width % 2:
        return images
    return images.reshape(count, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def build(training: Training, data: Dataset) -> keras.Model:
    network, width = NETWORKS[training.network]
    neuron, options = ARMS[training.arm]
    if training.arm != "ReLU":
        options = options | {"threshold": training.setting.threshold, "surrogate": training.setting.surrogate}
    shape = images_for(training.network, data.train_images[:1]).shape[1:]
    model = network(shape, data.classes, timesteps=training.timesteps, width=width, neuron=neuron, **options)
    for weight in model.trainable_weights:
        if weight.name == "gamma":
            weight.assign(np.full(weight.shape, training.setting.gamma))
    return model


def measured(training: Training, data: Dataset) -> dict[str, float]:
    """Accuracy in percent; of tests of spiking networks the firing rate and the entropy in bits, means over layers."""
    keras.utils.clear_session()  # or hundreds of models stay in memory
    keras.utils.set_random_seed(training.seed)
    model = build(training, data)
    steps = training.epochs * -(-len(data.train_images) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"], jit_compile=False)
    train, test = (images_for(training.network, images) for images in (data.train_images, data.test_images))
    model.fit(train, data.train_labels, batch_size=BATCH, epochs=training.epochs, verbose=0)
    accuracy = model.evaluate(test, data.test_labels, verbose=0, return_dict=True)["accuracy"]
    found = {"accuracy": 100 * float(accuracy)}
    if training.kind == "test" and training.arm != "ReLU":
        recordings = inside.record(model, test[:RECORDED]).values()
        found["firing_rate"] = float(np.mean([recording.firing_rate for recording in recordings]))
        found["bits"] = float(np.mean([recording.bits for recording in recordings]))
    return found


def held_out(data: Dataset) -> Dataset:
    """The training set, a part of which is tested on: the test set sees no tuning."""
    train, test = split_by_class(data.train_labels, test_share=HELD_OUT, seed=TUNING_SEED)
    images, labels = data.train_images, data.train_labels
    return Dataset(data.name, images[train], labels[train], images[test], labels[test])


Measure = Callable[[Training, Dataset], dict[str, float]]


class Results:
    """The lines of a file: what each training has found. measure: trains what does not stand there."""

    def __init__(self, file: Path, measure: Measure = measured) -> None:
        self.file, self.measure, self.found = file, measure, {}
        file.parent.mkdir(parents=True, exist_ok=True)
        for line in file.read_text().splitlines() if file.exists() else []:
            entry = json.loads(line)
            setting = Setting(**entry["training"].pop("setting"))
            self.found[Training(**entry["training"], setting=setting)] = entry["found"]

    def add(self, training: Training, data: Dataset) -> dict[str, float]:
        """What a training finds, from the file if it stands there."""
        if training not in self.found:
            self.found[training] = self.measure(training, data)
            with self.file.open("a") as file:
                file.write(json.dumps({"training": asdict(training), "found": self.found[training]}) + "\n")
            print(f"{training.kind} {training.network} {training.arm} T={training.timesteps} seed {training.seed}: "
                  f"{self.found[training]['accuracy']:.2f} %", flush=True)  # fmt: skip
        return self.found[training]


def timesteps_of(arm: str, given: tuple[int, ...]) -> tuple[int, ...]:
    """A ReLU has no time."""
    return (1,) if arm == "ReLU" else given


def tuned(network: str, arm: str, results: Results, data: Dataset, arguments: argparse.Namespace) -> Setting:
    """The setting most accurate on the held-out images; of equals the first."""
    data = data.first(arguments.tuning_samples)
    kind, epochs, samples = "tuning", arguments.tuning_epochs, len(data.train_labels)
    trial = Training(kind, network, arm, TUNING_TIMESTEPS, TUNING_SEED, epochs, samples, Setting())
    trials = {setting: results.add(replace(trial, setting=setting), held_out(data)) for setting in grid(arm)}
    return max(trials, key=lambda setting: trials[setting]["accuracy"])


def trainings(arguments: argparse.Namespace, data: Dataset, results: Results) -> Iterator[Training]:
    """Every test, seed by seed, so that a run that is stopped has whole seeds."""
    settings = {
        (network, arm): tuned(network, arm, results, data, arguments)
        for network in arguments.networks
        for arm in arguments.arms
    }
    for seed in range(arguments.seeds):
        for (network, arm), setting in settings.items():
            for timesteps in timesteps_of(arm, tuple(arguments.timesteps)):
                yield Training(
                    *("test", network, arm, timesteps, seed, arguments.epochs),
                    len(data.train_labels),
                    setting,
                )


def main(arguments: argparse.Namespace, measure: Measure = measured) -> None:
    results = Results(arguments.output / f"{arguments.data}.jsonl", measure)
    if not arguments.report:
        data = datasets.load(arguments.data, data_dir=arguments.data_dir).first(arguments.samples)
        for training in trainings(arguments, data, results):
            results.add(training, data)
    rows = [asdict(training) | found for training, found in results.found.items() if training.kind == "test"]
    if not rows:
        raise SystemExit(f"{results.file} has no tests yet: run without --report first.")
    print(ablation_report.table(rows))
    picture = results.file.with_suffix(".png")
    ablation_report.draw(picture, rows)
    print(f"Written to {results.file.parent}: {results.file.name}, {picture.name}")


def command_line(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=datasets.NAMES, default="fashion_mnist")
    parser.add_argument("--data-dir", help="folder of IDX files, or of tensorflow-datasets")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=24000, help="of training and test images, at most")
    parser.add_argument("--tuning-epochs", type=int, default=3)
    parser.add_argument("--tuning-samples", type=int, default=12000, help="of training images, at most")
    parser.add_argument("--timesteps", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["plain"])
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--report", action="store_true", help="train nothing: print what is there")
    arguments = parser.parse_args(words)
    for name in ("epochs", "seeds", "samples", "tuning_epochs", "tuning_samples"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1. Received: {getattr(arguments, name)}")
    if min(arguments.timesteps) < 1:
        parser.error(f"--timesteps must be at least 1. Received: {min(arguments.timesteps)}")
    return arguments


if __name__ == "__main__":
    main(command_line())
