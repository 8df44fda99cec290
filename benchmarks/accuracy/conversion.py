"""What conversion costs: ReLU networks trained on Fashion-MNIST, converted, trained on, and exported.

    python -m benchmarks.accuracy.conversion                     3 seeds; an hour on an idle core
    python -m benchmarks.accuracy.conversion --seeds 1
    python -m benchmarks.accuracy.conversion --report            the tables of what is there

Every measurement adds a line to runs/conversion/<data>.jsonl; what stands there is not measured again. Accuracies are
those of all test images: of the ReLU network in floats, of the others in their int8 files. Scales and corrections are
read from the first 500 training images.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np
from keras import layers

import datasets
from keras_ternary_spike import convert
from keras_ternary_spike.export import export_tflite, load, verify

SEEDS, EPOCHS, FURTHER_EPOCHS = 3, 3, 2
BATCH, LEARNING_RATE = 64, 4e-3
SAMPLES, VERIFIED = 500, 50
SETTINGS = {
    "7 levels, T=1": {"levels": 7},
    "4 levels, T=1": {"levels": 4},
    "4 levels, T=4": {"timesteps": 4, "levels": 4},
    "binary, T=4": {"timesteps": 4},
    "binary, T=8": {"timesteps": 8},
}
TAKEN_APART = ("7 levels, T=1", "binary, T=4")
LESS = {
    ", biases alone moved": {"correct": "biases"},
    ", weights as copied": {"correct": None},
    ", one scale a layer": {"correct": None, "scale_per": "layer"},
}
VARIANTS = {name + how: SETTINGS[name] | options for name in TAKEN_APART for how, options in LESS.items()}
RELU = "ReLU, float32"


@dataclass(frozen=True)
class Point:
    """A measurement. epochs: of training, after the conversion."""

    setting: str
    epochs: int
    seed: int


def network(classes: int, shape: tuple[int, ...]) -> keras.Model:
    """Three convolutions with batch normalization, one pooling of maxima, one of means."""
    model = keras.Sequential([keras.Input(shape)])
    for number, (channels, strides) in enumerate(((16, 1), (32, 2), (64, 1)), start=1):
        convolution = layers.Conv2D(channels, 3, strides, padding="same", use_bias=False, name=f"conv{number}")
        model.add(convolution)
        model.add(layers.BatchNormalization(name=f"norm{number}"))
        model.add(layers.ReLU(name=f"relu{number}"))
        if number == 1:
            model.add(layers.MaxPooling2D(name="maxima"))
    model.add(layers.GlobalAveragePooling2D(name="means"))
    model.add(layers.Dense(classes, activation="softmax", name="classes"))
    return model


def train(model: keras.Model, data: datasets.Dataset, epochs: int) -> keras.Model:
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * -(-len(data.train_images) // BATCH))
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    model.fit(data.train_images, data.train_labels, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def relu_network(seed: int, data: datasets.Dataset, folder: Path) -> keras.Model:
    file = folder / f"{data.name}-relu-{seed}.keras"
    if not file.exists():
        keras.utils.set_random_seed(seed)
        train(network(data.classes, data.train_images.shape[1:]), data, EPOCHS).save(file)
    return keras.models.load_model(file)


def points(seeds: int) -> Iterator[Point]:
    for seed in range(seeds):
        yield Point(RELU, 0, seed)
        yield from (Point(name, 0, seed) for name in SETTINGS | VARIANTS)
        yield from (Point(name, FURTHER_EPOCHS, seed) for name in TAKEN_APART)


def measured(point: Point, relu: keras.Model, data: datasets.Dataset) -> dict[str, object]:
    """accuracy; exact: whether the file computes the same integers on every runtime; bytes."""
    if point.setting == RELU:
        return {"accuracy": accuracy(relu.predict(data.test_images, verbose=0), data)}
    samples = data.train_images[:SAMPLES]
    keras.utils.set_random_seed(point.seed)
    model = convert(relu, samples, **(SETTINGS | VARIANTS)[point.setting])
    if point.epochs:
        train(model, data, point.epochs)
    content = export_tflite(model)
    found = {"accuracy": accuracy(load(content).predict(data.test_images), data), "bytes": len(content)}
    return {**found, "exact": verify(model, content, data.test_images[:VERIFIED]).exact}


def accuracy(numbers: np.ndarray, data: datasets.Dataset) -> float:
    return float(np.mean(np.reshape(numbers, (len(data.test_labels), -1)).argmax(-1) == data.test_labels))


def run(seeds: int, data: datasets.Dataset, file: Path) -> None:
    done = {Point(**{key: row[key] for key in ("setting", "epochs", "seed")}) for row in rows(file)}
    for point in points(seeds):
        if point in done:
            continue
        row = {**asdict(point), **measured(point, relu_network(point.seed, data, file.parent), data)}
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(row, flush=True)
        keras.backend.clear_session()


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def table(found: list[dict]) -> str:
    """Points of accuracy lost, mean over the seeds and the worst of them."""
    floats = {row["seed"]: row["accuracy"] for row in found if row["setting"] == RELU}
    lines = [("spikes", "epochs", "accuracy, %", "points lost", "at worst", "seeds", "files exact")]
    accuracies = 100 * np.array(list(floats.values()))
    lines.append((RELU, str(EPOCHS), f"{accuracies.mean():.2f}", "", "", str(len(floats)), ""))
    for key in dict.fromkeys((row["setting"], row["epochs"]) for row in found):
        own = [row for row in found if (row["setting"], row["epochs"]) == key and key[0] != RELU]
        if own:
            lost = np.array([100 * (floats[row["seed"]] - row["accuracy"]) for row in own])
            mean = 100 * np.mean([row["accuracy"] for row in own])
            exact = f"{sum(row['exact'] for row in own)} of {len(own)}"
            numbers = (f"{mean:.2f}", f"{lost.mean():.2f}", f"{lost.max():.2f}", str(len(own)), exact)
            lines.append((key[0], str(key[1]), *numbers))
    return setting.table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=datasets.NAMES, default="fashion_mnist")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--report", action="store_true", help="print what is there, measure nothing")
    arguments = parser.parse_args()
    file = Path("runs/conversion") / f"{arguments.data}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        folder = setting.FASHION_MNIST if arguments.data == "fashion_mnist" and setting.FASHION_MNIST.exists() else None
        run(arguments.seeds, datasets.load(arguments.data, data_dir=folder), file)
    print(setting.describe(), table(rows(file)), sep="\n\n")


if __name__ == "__main__":
    main()
