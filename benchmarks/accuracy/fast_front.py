"""The front of a larger network in minutes: trained by a C program with AMX tiles, measured as int8 files.

    python -m benchmarks.accuracy.fast_front              Fashion-MNIST, 3 seeds: about two hours of an idle core
    python -m benchmarks.accuracy.fast_front --report     the table and the picture of what is there

The network is `front.wide`: 3x3 convolutions of 16, 32, 32 and 64 channels, strides 1, 2, 1, 2, one timestep. A ReLU
network of each seed is trained first; every other one starts from its kernels and normalizations and learns from its
softened logits, the ReLU network that is compared with too. `trainer/` does what Keras does with this package's
neurons and SpikeBudget, ten times as fast (docs/silence.md). Weights go into Keras models, and those into int8 files,
ReLU by TensorFlow's converter; accuracy and additions are of the files' networks, on all test images. It needs gcc and
a processor with AMX. What stands in runs/fast_front is not trained again. `front_instructions` counts what the files
cost on Cortex-M.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np
from keras import layers

import datasets
from benchmarks.accuracy import front
from benchmarks.accuracy.front_networks import DEAD_ZONE, KINDS, NETWORKS, RELU, SOFT, Network
from benchmarks.accuracy.front_report import add_row, draw, rows, table
from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF
from keras_ternary_spike.models.blocks import classifier, conv, encoded, normalized

OUTPUT, ROWS = Path("runs/fast_front"), "fashion_mnist.jsonl"
TRAINER = Path(__file__).parent / "trainer" / "trainer.c"
COMPILE = ("gcc", "-O3", "-march=sapphirerapids", "-ffast-math")
SEEDS, EPOCHS = 3, (10, 10)
CLASS_ROW, CLASSES = 16, 10


class Epochs(NamedTuple):
    """Of the ReLU network, and of every other one, which starts from it."""

    relu: int
    others: int


@dataclass(frozen=True)
class Point:
    """A training."""

    alphabet: str
    budget: float | None
    seed: int

    @property
    def network(self) -> Network:
        return NETWORKS[self.alphabet]

    @property
    def trained(self) -> Point:
        """The training whose weights it has."""
        return replace(self, alphabet=self.network.weights_of or self.alphabet)

    @property
    def weights(self) -> str:
        """Their file's name in the folder."""
        return self.trained.name

    @property
    def name(self) -> str:
        return f"{KINDS.index((self.alphabet, self.budget))}-{self.seed}"


def options(point: Point, folder: Path, epochs: Epochs) -> dict[str, object]:
    """The trainer's."""
    common = {"seed": point.seed, "save": folder / point.weights, **point.network.neuron}
    if point.alphabet == RELU:
        return {**common, "epochs": epochs.relu}
    start = folder / Point(RELU, None, point.seed).weights
    taught = {"teacher": f"{start}.logits", "soft": SOFT}
    width = point.network.width
    # The trainer's share is of spikes that meet all channels, and weights that pruning takes.
    budget = {} if point.budget is None else {"budget": point.budget / width / point.network.keep}
    if width < 1:  # from random weights, for all epochs
        return {**common, **taught, "width": width, "epochs": sum(epochs), **budget}
    return {**common, **taught, "start": start, "epochs": epochs.others, "keep": point.network.keep, **budget}


def train(point: Point, folder: Path, epochs: Epochs, before: Future | None) -> None:
    """Unless it has been. before: the training of its ReLU network, or of its weights."""
    if before is not None:
        before.result()
    if trained(point, folder):
        return
    words = [f"{name}={value}" for name, value in options(point, folder, epochs).items()]
    subprocess.run([folder / "trainer", folder / "images", folder / "labels", *words], check=True, capture_output=True)


def trained(point: Point, folder: Path) -> bool:
    return (folder / f"{point.weights}.logits").exists()  # written last


def network(point: Point, weights: np.ndarray, shape: tuple[int, ...]) -> keras.Model:
    """The trained network as a Keras model. weights: as the trainer has written them."""
    values, relu, kept, width = Reader(weights), point.network.relu, {}, point.network.width
    x = image = keras.Input(shape)
    inputs = shape[-1]
    for number, (filters, strides) in enumerate(zip(front.CHANNELS, front.STRIDES, strict=True), start=1):
        used, channels = x.shape[-1], round(width * filters)
        kept[f"conv{number}"] = [values.take(3, 3, inputs, filters)[:, :, :used, :channels]]
        kept[f"conv{number}_norm"] = [values.take(filters)[:channels] for _ in range(4)]
        step, inputs = float(np.exp(values.take(1)[0])), filters
        current = normalized(conv(channels, f"conv{number}", strides=strides), x)
        current = current if relu or x is not image else encoded(current, 1)
        x = (
            layers.ReLU(name=f"neuron{number}")(current)
            if relu
            else neuron(point.network.neuron, step, f"neuron{number}")(current)
        )
    kernel, bias = values.take(inputs, CLASS_ROW), values.take(CLASS_ROW)
    kept["classifier"] = [kernel[: x.shape[-1], :CLASSES], bias[:CLASSES]]
    if relu:
        outputs = layers.Dense(CLASSES, name="classifier")(layers.GlobalAveragePooling2D()(x))
    else:
        outputs = classifier(x, CLASSES)
    model = keras.Model(image, outputs, name="wide")
    for name, arrays in kept.items():
        model.get_layer(name).set_weights(arrays)
    return model


def neuron(own: Mapping[str, object], step: float, name: str) -> keras.layers.Layer:
    """Fires as the trainer's does: a level every step, each worth a step. own: the trainer's options of it."""
    options = {"amplitude_initializer": keras.initializers.Constant(step), "name": name}
    levels, signed = own["levels"], own["alphabet"] == "s"
    if levels > 1:
        threshold = step * own.get("threshold", own["step"] / 2) / own["step"]
        return MultiLevelLIF(levels, signed=signed, threshold=threshold, **options)
    return TernaryLIF(threshold=DEAD_ZONE * step, **options) if signed else BinaryLIF(threshold=step / 2, **options)


class Reader:
    """Takes arrays off a file of floats, one behind the other."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def take(self, *shape: int) -> np.ndarray:
        size = int(np.prod(shape))
        taken, self.values = self.values[:size], self.values[size:]
        return taken.reshape(shape)


def measured(point: Point, folder: Path, data: datasets.Dataset) -> dict[str, float]:
    """accuracy of the int8 file, additions as a share of the whole width's, bytes of the file, which is kept."""
    model = network(point, np.fromfile(folder / point.weights, "float32"), data.train_images.shape[1:])
    content, accuracy = front.int8_file(model, data, stock=not point.network.own_file)
    (folder / f"{point.name}.tflite").write_bytes(content)
    additions = front.additions(model, data) * front.share_of_width(model, data)
    return {"accuracy": accuracy, "additions": additions, "bytes": len(content)}


def prepare(folder: Path, data: datasets.Dataset) -> None:
    """The trainer, compiled, and what it reads."""
    images = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    np.rint(255 * images).astype("uint8").tofile(folder / "images")
    labels.astype("uint8").tofile(folder / "labels")
    subprocess.run([*COMPILE, "-o", folder / "trainer", TRAINER, "-lm"], check=True)


def run(arguments: argparse.Namespace, folder: Path, file: Path) -> None:
    installed = setting.FASHION_MNIST if setting.FASHION_MNIST.exists() else None
    data = datasets.load("fashion_mnist", data_dir=installed)
    prepare(folder, data)
    done = {Point(row["alphabet"], row["budget"], row["seed"]) for row in rows(file)}
    points = [Point(*kind, seed) for seed in range(arguments.seeds) for kind in KINDS]
    with ThreadPoolExecutor(arguments.processes) as pool:
        trainings: dict[Point, Future] = {}
        for point in points:
            before = trainings.get(Point(RELU, None, point.seed) if point == point.trained else point.trained)
            trainings[point] = pool.submit(train, point, folder, Epochs(*arguments.epochs), before)
        for point in sorted(points, key=lambda point: not trained(point, folder)):
            trainings[point].result()
            if point not in done:
                add_row(file, {**asdict(point), **measured(point, folder, data)})
                keras.backend.clear_session()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, nargs=2, default=EPOCHS, metavar=("RELU", "OTHERS"))
    parser.add_argument("--processes", type=int, default=1, help="so many trainings at a time")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


def folder_of(output: Path, epochs: Sequence[int]) -> Path:
    return (output / "-".join(map(str, epochs))).absolute()


def main() -> None:
    arguments = parse()
    folder = folder_of(arguments.output, arguments.epochs)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ROWS
    if not arguments.report:
        run(arguments, folder, file)
    print(setting.describe())
    print(table(rows(file)))
    draw(rows(file), folder / "fashion_mnist.png")


if __name__ == "__main__":
    main()
