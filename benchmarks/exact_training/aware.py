"""Integer-exact training: accuracy before and after fine-tuning, exactness of the file, and what a step costs.

    python -m benchmarks.exact_training.aware   digits, and Fashion-MNIST where it is installed; three seeds
    python -m benchmarks.exact_training.aware --datasets digits --seeds 0 --timesteps 1 2 4 --networks chain resnet
    python -m benchmarks.exact_training.aware --datasets fashion_mnist --seeds 0 --samples 12000

Trains the network of examples/train_and_export.py, or a small ResNet with identity shortcuts, once per seed (kept in
runs/aware/), then fine-tunes it on integers for two epochs. All test images; times are ratios of alternating training
steps. Wanted: no spike and no output of the file differs, on LiteRT either.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import datasets
import train_and_export as example
from benchmarks.exact_training.aware_files import exactness
from benchmarks.exact_training.aware_networks import CHAIN, NETWORKS, Case, trained
from keras_ternary_spike.export import quantize_aware

LEARNING_RATE = 1e-4  # at first; a cosine takes it to 0
FINE_TUNING_EPOCHS = 2
SEEDS = (0, 1, 2)
STEP_ROUNDS = 30
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model: keras.Model, data: datasets.Dataset, learning_rate: float = LEARNING_RATE) -> keras.Model:
    steps = FINE_TUNING_EPOCHS * -(-len(data.train_images) // example.BATCH_SIZE)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(keras.optimizers.Adam(schedule), LOSS, metrics=["accuracy"], jit_compile=False)
    return model


def accuracy(model: keras.Model, data: datasets.Dataset) -> float:
    """Percent of the test images, by `evaluate`."""
    return 100 * model.evaluate(data.test_images, data.test_labels, batch_size=500, verbose=0)[1]


def step_ratios(model: keras.Model, other: keras.Model, data: datasets.Dataset) -> np.ndarray:
    """Seconds of a training step of `other` over those of `model`, one pair after the other."""
    images, labels = data.train_images[: example.BATCH_SIZE], data.train_labels[: example.BATCH_SIZE]
    copies = [compiled(keras.models.clone_model(original), data) for original in (model, other)]
    for copy, original in zip(copies, (model, other), strict=True):
        copy.set_weights(original.get_weights())
    seconds = np.zeros((STEP_ROUNDS, 2))
    for index in range(-3, STEP_ROUNDS):  # the first ones compile
        for column, copy in enumerate(copies):
            start = time.perf_counter()
            copy.train_on_batch(images, labels)
            seconds[index, column] = time.perf_counter() - start
    return seconds[:, 1] / seconds[:, 0]


def measure(case: Case, output: Path) -> tuple[dict[str, float], bool]:
    """Accuracies in percent by stage, and whether the file is exact; prints exactness and the cost of a step."""
    data = case.data()
    model = compiled(trained(case, data, output), data)
    qat = compiled(quantize_aware(model), data)
    stages = {"float": accuracy(model, data), "file": accuracy(qat, data)}
    ratios = step_ratios(model, qat, data)
    print(f"seed {case.seed}: a training step on integers costs {setting.spread(ratios, digits=2)} float steps")
    for epoch in range(1, FINE_TUNING_EPOCHS + 1):
        keras.utils.set_random_seed(case.seed)
        qat.fit(data.train_images, data.train_labels, batch_size=example.BATCH_SIZE, epochs=1, verbose=0)
        stages[f"epoch {epoch}"] = accuracy(qat, data)
    found = exactness(qat, data.test_images, data.test_labels)
    print(f"seed {case.seed}: {found}", flush=True)
    return stages, found.holds


def print_table(results: Sequence[dict[str, float]], seeds: Sequence[int]) -> None:
    """One row a stage: its accuracy for each seed, mean and standard deviation."""
    rows = []
    for stage in results[0]:
        values = [result[stage] for result in results]
        rows.append((stage, *(f"{x:.2f}" for x in values), f"{np.mean(values):.2f} +- {np.std(values):.2f}"))
    print(setting.table([("", *(f"seed {seed}" for seed in seeds), "mean"), *rows]))


def command_line() -> argparse.Namespace:
    installed = ["digits", *(["fashion_mnist"] if setting.FASHION_MNIST.exists() else [])]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=datasets.NAMES, default=installed)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[CHAIN])
    parser.add_argument("--timesteps", nargs="+", type=example.positive, default=[example.TIMESTEPS])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--samples", type=example.positive, help="train on so many of the training samples")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where trained networks are kept")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    print(setting.describe())
    exact = True
    choices = [(d, n, t) for d in arguments.datasets for n in arguments.networks for t in arguments.timesteps]
    for dataset, network, timesteps in choices:
        print(f"\n{dataset}, {network}, T={timesteps}: accuracy in percent\n")
        cases = [Case(dataset, network, timesteps, arguments.samples, seed) for seed in arguments.seeds]
        results, held = zip(*(measure(case, arguments.output) for case in cases), strict=True)
        print_table(results, arguments.seeds)
        exact = exact and all(held)
    if not exact:
        sys.exit("Some of these files are not exact.")


if __name__ == "__main__":
    main(command_line())
