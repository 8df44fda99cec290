"""How accurate a network is at how few additions, by alphabet: one timestep, trained to budgets, in int8 files.

    python -m benchmarks.accuracy.front                          digits, 3 seeds: minutes on an idle core
    python -m benchmarks.accuracy.front --data fashion_mnist --epochs 20 --network wide      an hour a seed
    python -m benchmarks.accuracy.front --report                 the tables and the picture of what is there

Every training adds a line to runs/front/<data>-<network>-<epochs>.jsonl; what stands there is not trained again. The
ReLU network of a seed comes first: the others start from its kernels and normalizations, and learn from its softened
logits and from the labels. Accuracy is that of int8 files, ReLU's by TensorFlow's converter, on all test images.
Additions: weights that meet an activation other than 0, in shares of all that could, mean over test images; the first
layer, which reads the image, is left out of both. `fast_front` does the same for one network, far faster.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np
from keras import layers, ops

import baseline
import datasets
from benchmarks.accuracy.front_report import add_row, draw, rows, table
from keras_ternary_spike import BinaryLIF, MultiLevelLIF, Rectangular, SpikeBudget, TernaryLIF, models
from keras_ternary_spike.export import export_tflite, load
from keras_ternary_spike.models.blocks import conv, normalized
from keras_ternary_spike.models.plan import Plan, network
from keras_ternary_spike.training.fan_out import dense_additions
from keras_ternary_spike.training.quantities import layer_costs

BUDGETS = (None, 0.2, 0.1, 0.05)
SEEDS = 3
SOFT = 0.7  # of the loss, what the ReLU network teaches
TEMPERATURE = 2.0
LEARNING_RATE, BATCH = 16e-3, 64
WARM_UP, ANNEALED = 0.02, 0.3  # of the training, when the budget begins and is the target: networks start trained
CHANNELS, STRIDES = (16, 32, 32, 64), (1, 2, 1, 2)
SHIFT = 1.5  # of the currents of ternary neurons: few fire below 0 at first, as if they were binary
TRAINED = {"trainable_threshold": True}


def graded(levels: int, step: float, *, signed: bool = False) -> tuple[type, dict[str, object]]:
    """A level every step, each worth a step."""
    return MultiLevelLIF, {"levels": levels, "signed": signed, "threshold": step / 2, **worth(step), **TRAINED}


def worth(step: float) -> dict[str, object]:
    return {"amplitude_initializer": keras.initializers.Constant(step)}


ALPHABETS = {
    "{0..4}": graded(4, 0.5),
    "{0..15}": graded(15, 0.25),
    "{-2..2}": graded(2, 0.5, signed=True),
    "{0, 1}": (BinaryLIF, {"threshold": 0.5, **TRAINED}),
    "{-1, 0, 1}": (TernaryLIF, {"threshold": 2.0, "surrogate": Rectangular(width=1 / 4), **TRAINED}),
}


@dataclass(frozen=True)
class Point:
    """A training. alphabet: one of ALPHABETS or a width of the ReLU network; budget: of additions, None without."""

    alphabet: str
    budget: float | None
    seed: int


@network
def wide(plan: Plan) -> object:
    """Four 3x3 convolutions of 16, 32, 32 and 64 channels, strides 1, 2, 1, 2."""
    x = plan.image
    for number, (channels, strides) in enumerate(zip(CHANNELS, STRIDES, strict=True), start=1):
        current = normalized(conv(plan.channels(channels), f"conv{number}", strides=strides), x)
        x = plan.fire(f"neuron{number}", plan.encoded(current) if x is plan.image else current)
    return plan.logits(x)


NETWORKS = {"tiny": models.tiny, "wide": wide}
RELU = {"ReLU": 1.0, "ReLU, half the channels": 0.5}


def points(seeds: int) -> Iterator[Point]:
    """The ReLU network of a seed before all others."""
    for seed in range(seeds):
        yield from (Point(name, None, seed) for name in RELU)
        yield from (Point(name, budget, seed) for name in ALPHABETS for budget in BUDGETS)


def train(point: Point, build, data: datasets.Dataset, epochs: int, teacher: keras.Model | None) -> keras.Model:
    keras.utils.set_random_seed(point.seed)
    relu = point.alphabet in RELU
    neuron, options = (layers.ReLU, {}) if relu else ALPHABETS[point.alphabet]
    shape, width = data.train_images.shape[1:], RELU.get(point.alphabet, 1.0)
    model = build(shape, data.classes, timesteps=1, width=width, neuron=neuron, **options)
    steps = epochs * -(-len(data.train_images) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if teacher is None else taught
    model.compile(keras.optimizers.Adam(schedule), loss)
    wanted = data.train_labels
    if teacher is not None:
        take_over(teacher, model, SHIFT if neuron is TernaryLIF else 0.0)
        labels = np.eye(data.classes, dtype="float32")[wanted]
        wanted = np.concatenate([labels, teacher.predict(data.train_images, verbose=0)], axis=-1)
    budget = {} if point.budget is None else {"additions": point.budget, "warm_up": WARM_UP, "annealed": ANNEALED}
    callbacks = [SpikeBudget(**budget)] if budget else []
    model.fit(data.train_images, wanted, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


def taught(wanted: object, logits: object) -> object:
    """(1 - SOFT) * cross entropy + SOFT * TEMPERATURE^2 * that with the teacher's softened classes.

    wanted: labels, one-hot, and behind them the teacher's logits.
    """
    labels, teacher = ops.split(wanted, 2, axis=-1)
    soft = ops.categorical_crossentropy(ops.softmax(teacher / TEMPERATURE), logits / TEMPERATURE, from_logits=True)
    hard = ops.categorical_crossentropy(labels, logits, from_logits=True)
    return (1 - SOFT) * hard + SOFT * TEMPERATURE**2 * soft


def take_over(teacher: keras.Model, model: keras.Model, shift: float) -> None:
    """Kernels and normalizations of layers of the same name and shapes, these with `shift` on their offsets."""
    for layer in model.layers:
        source = teacher.get_layer(layer.name)
        if [weight.shape for weight in source.weights] == [weight.shape for weight in layer.weights]:
            layer.set_weights(source.get_weights())
            for weight in layer.weights:
                weight.assign(weight + shift if weight.name == "beta" else weight)


def measured(point: Point, model: keras.Model, data: datasets.Dataset) -> dict[str, float]:
    """accuracy of the file, additions as a share, bytes of the file."""
    content, accuracy = int8_file(model, data, stock=point.alphabet in RELU)
    return {"accuracy": accuracy, "additions": additions(model, data), "bytes": len(content)}


def int8_file(model: keras.Model, data: datasets.Dataset, *, stock: bool) -> tuple[bytes, float]:
    """(a file, its accuracy on the test images). stock: TensorFlow's converter's; else rounded for training images."""
    if stock:
        content = baseline.convert_int8(model, data.train_images)
        logits = baseline.predict(content, data.test_images)
    else:
        content = export_tflite(model, samples=data.train_images[:200])
        logits = load(content).predict(data.test_images)
    classes = np.reshape(logits, (len(data.test_labels), -1)).argmax(-1)
    return content, float(np.mean(classes == data.test_labels))


def additions(model: keras.Model, data: datasets.Dataset) -> float:
    """The share of `dense_additions` that the test images ask for: weights and values that are not 0."""
    names = [layer.name for layer in model.layers if layer.name.startswith("neuron")]
    kernels = [*(f"conv{number}" for number in range(2, len(names) + 1)), "classifier"]
    costs = layer_costs(spiking(model, data), "additions")
    values = keras.Model(model.input, [model.get_layer(name).output for name in names])
    found = values.predict(data.test_images, verbose=0)
    weights = [model.get_layer(name).get_weights()[0] for name in kernels]
    return sum(costs[name] * met(*each) for name, *each in zip(names, found, weights, strict=True))


def met(values: np.ndarray, kernel: np.ndarray) -> float:
    """The share of products of neither 0. values: `(samples, ..., channels)`; kernel: `(..., channels, filters)`."""
    fired, kept = (
        np.mean(array != 0, axis=tuple(range(array.ndim - 1))) for array in (values, kernel.swapaxes(-1, -2))
    )
    return float(np.mean(fired * kept))


def spiking(model: keras.Model, data: datasets.Dataset, width: float | None = None) -> keras.Model:
    """The same network of spiking layers, of which alone the costs are known. width: its own if not another."""
    own = model.get_layer("conv1").kernel.shape[-1] / FIRST_CHANNELS[model.name]
    return BUILDS[model.name](data.train_images.shape[1:], data.classes, timesteps=1, width=width or own)


def share_of_width(model: keras.Model, data: datasets.Dataset) -> float:
    """Additions that all its neurons would ask for, over those of the network with all channels."""
    own, whole = (sum(dense_additions(spiking(model, data, width)).values()) for width in (None, 1.0))
    return own / whole


BUILDS = {build.__name__: build for build in NETWORKS.values()}
FIRST_CHANNELS = {"tiny": 8, "wide": CHANNELS[0]}


def run(arguments: argparse.Namespace, data: datasets.Dataset, file: Path) -> None:
    done = {Point(**{key: row[key] for key in ("alphabet", "budget", "seed")}) for row in rows(file)}
    teachers: dict[int, keras.Model] = {}
    for point in points(arguments.seeds):
        folder = file.parent / f"{file.stem}-relu-{point.seed}.keras"
        if point in done:
            continue
        if point.alphabet not in RELU and point.seed not in teachers:
            teachers[point.seed] = keras.models.load_model(folder)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The budget")  # the table shows the share that was reached
            teacher = None if point.alphabet in RELU else teachers[point.seed]
            model = train(point, NETWORKS[arguments.network], data, arguments.epochs, teacher)
        if point.alphabet == "ReLU":
            model.save(folder)
        row = {**asdict(point), **measured(point, model, data)}
        add_row(file, row)
        keras.backend.clear_session()
        teachers = {}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("digits", "fashion_mnist"), default="digits")
    parser.add_argument("--network", choices=tuple(NETWORKS), default="tiny")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--samples", type=int, help="train and test on so many images only")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--output", type=Path, default=Path("runs/front"))
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    arguments.output.mkdir(parents=True, exist_ok=True)
    size = f"-{arguments.samples}" if arguments.samples else ""
    file = arguments.output / f"{arguments.data}-{arguments.network}-{arguments.epochs}{size}.jsonl"
    if not arguments.report:
        folder = setting.FASHION_MNIST if arguments.data == "fashion_mnist" and setting.FASHION_MNIST.exists() else None
        data = datasets.load(arguments.data, data_dir=folder)
        run(arguments, data.first(arguments.samples) if arguments.samples else data, file)
    print(setting.describe())
    print(table(rows(file)))
    draw(rows(file), file.with_suffix(".png"))


if __name__ == "__main__":
    main()
