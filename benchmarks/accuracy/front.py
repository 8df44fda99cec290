"""How accurate a network is at how few additions, by alphabet: one timestep, trained to budgets, in int8 files.

    python -m benchmarks.accuracy.front                          digits, 3 seeds: minutes on an idle core
    python -m benchmarks.accuracy.front --data fashion_mnist --epochs 20 --network wide      an hour a seed
    python -m benchmarks.accuracy.front --report                 the tables and the picture of what is there

Every training adds a line to runs/front/<data>-<network>-<epochs>.jsonl; what stands there is not trained again. The
ReLU network of a seed comes first: the others start from its kernels and normalizations, and learn from its classes
and from the labels alike (soft labels). Its accuracy is that of its floats, those of the others of their int8 files,
on all test images. Additions: weights that meet an activation other than 0, in shares of all that could, mean over test
images; the first layer, which reads the image, is left out of both.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np
from keras import layers, ops

import datasets
from keras_ternary_spike import BinaryLIF, MultiLevelLIF, SpikeBudget, TernaryLIF, models
from keras_ternary_spike.export import export_tflite, load
from keras_ternary_spike.models.blocks import conv, normalized
from keras_ternary_spike.models.plan import Plan, network
from keras_ternary_spike.training.spike_budget import layer_costs

BUDGETS = (None, 0.2, 0.1, 0.05)
SEEDS = 3
SOFT = 0.5  # of the label's probability, what the ReLU network says
TEMPERATURE = 2.0
LEARNING_RATE, BATCH = 4e-3, 64
CHANNELS, STRIDES = (16, 32, 32, 64), (1, 2, 1, 2)
GRADED = {"signed": False, "threshold": 0.25, "trainable_threshold": True}
ALPHABETS = {
    "{0..4}": (MultiLevelLIF, {"levels": 4, **GRADED}),
    "{0..15}": (MultiLevelLIF, {"levels": 15, **GRADED, "threshold": 0.125}),
    "{-2..2}": (MultiLevelLIF, {"levels": 2, "threshold": 0.25, "trainable_threshold": True}),
    "{0, 1}": (BinaryLIF, {"trainable_threshold": True}),
    "{-1, 0, 1}": (TernaryLIF, {"trainable_threshold": True}),
}
NO_DATA = "-"


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
    model.compile(keras.optimizers.Adam(schedule), keras.losses.CategoricalCrossentropy(from_logits=True))
    labels = np.eye(data.classes, dtype="float32")[data.train_labels]
    if teacher is not None:
        take_over(teacher, model)
        soft = ops.softmax(teacher.predict(data.train_images, verbose=0) / TEMPERATURE)
        labels = (1 - SOFT) * labels + SOFT * ops.convert_to_numpy(soft)
    callbacks = [] if point.budget is None else [SpikeBudget(point.budget)]
    model.fit(data.train_images, labels, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


def take_over(teacher: keras.Model, model: keras.Model) -> None:
    """Kernels and normalizations of layers of the same name and shapes."""
    for layer in model.layers:
        source = teacher.get_layer(layer.name)
        if [weight.shape for weight in source.weights] == [weight.shape for weight in layer.weights]:
            layer.set_weights(source.get_weights())


def measured(point: Point, model: keras.Model, data: datasets.Dataset) -> dict[str, float]:
    """accuracy of the file (of the floats with ReLU), additions as a share, bytes of the file."""
    if point.alphabet in RELU:
        logits, size = model.predict(data.test_images, verbose=0), 0
    else:
        content = export_tflite(model, samples=data.train_images[:200])
        logits, size = load(content).predict(data.test_images), len(content)
    accuracy = float(np.mean(np.reshape(logits, (len(data.test_labels), -1)).argmax(-1) == data.test_labels))
    return {"accuracy": accuracy, "additions": additions(point, model, data), "bytes": size}


def additions(point: Point, model: keras.Model, data: datasets.Dataset) -> float:
    """The share of `dense_additions` that the test images ask for."""
    names = [layer.name for layer in model.layers if layer.name.startswith("neuron")]
    costs = layer_costs(spiking(point, model, data), "additions")
    values = keras.Model(model.input, [model.get_layer(name).output for name in names])
    found = values.predict(data.test_images, verbose=0)
    return float(sum(costs[name] * np.mean(value != 0) for name, value in zip(names, found, strict=True)))


def spiking(point: Point, model: keras.Model, data: datasets.Dataset) -> keras.Model:
    """The same network of spiking layers, of which alone the costs are known."""
    if point.alphabet not in RELU:
        return model
    return BUILDS[model.name](data.train_images.shape[1:], data.classes, timesteps=1, width=RELU[point.alphabet])


BUILDS = {build.__name__: build for build in NETWORKS.values()}


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
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(row, flush=True)
        keras.backend.clear_session()
        teachers = {}


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def summary(found: list[dict]) -> list[tuple[str, float | None, np.ndarray, np.ndarray]]:
    """(alphabet, budget, additions, accuracies in percent), the last two by seed."""
    result = []
    for name in (*RELU, *ALPHABETS):
        for budget in BUDGETS:
            own = [row for row in found if (row["alphabet"], row["budget"]) == (name, budget)]
            if own:
                values = (np.array([row[key] for row in own]) for key in ("additions", "accuracy"))
                shares, accuracies = values
                result.append((name, budget, shares, 100 * accuracies))
    return result


def table(found: list[dict]) -> str:
    head = ("spikes", "budget", "additions", "accuracy, %", "lowest to highest", "seeds")
    lines = [
        (
            *(name, NO_DATA if budget is None else f"{budget:g}", f"{shares.mean():.3f}", f"{accuracies.mean():.2f}"),
            *(f"{accuracies.min():.2f} to {accuracies.max():.2f}", str(len(accuracies))),
        )
        for name, budget, shares, accuracies in summary(found)
    ]
    return setting.table([head, *lines])


def draw(found: list[dict], file: Path) -> None:
    """Accuracy against additions, one line an alphabet; bars from the lowest to the highest seed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in (*RELU, *ALPHABETS):
        own = sorted((shares.mean(), a.mean(), a.min(), a.max()) for n, _, shares, a in summary(found) if n == name)
        if own:
            shares, means, low, high = map(np.array, zip(*own, strict=True))
            axes.errorbar(shares, means, [means - low, high - means], marker="o", capsize=3, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("additions, share of all that could be")
    axes.set_ylabel("accuracy on test images, %")
    axes.legend()
    figure.savefig(file)


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
