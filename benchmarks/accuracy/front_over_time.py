"""The front of spikes on a residual stream, and of spikes over several timesteps: trained in C, measured as int8 files.

    python -m benchmarks.accuracy.front_over_time residual    its ReLU networks too: an hour and a half of an idle core
    python -m benchmarks.accuracy.front_over_time plain       starts from the ReLU networks of fast_front, run before
    python -m benchmarks.accuracy.front_over_time residual --report       the table of what is there

Fashion-MNIST, as `fast_front` has it: a ReLU network of each seed, and every other one from its kernels and
normalizations, with its softened logits. "residual" is a stream of currents (MS-ResNet): a convolution of 16 channels,
three blocks of (neuron, 3x3 convolution, normalization, neuron, 3x3 convolution, normalization) of 16, 32 and 64
channels, strides 2, 2 and 1, each added to the stream, which a normalized 1x1 convolution takes along, and neurons
behind the last. "plain" is the network of `fast_front`. `trainer_over_time/` does what Keras does with this package's
neurons and SpikeBudget; it needs gcc and a processor with AMX. What stands in
runs/front_over_time is not trained again.

Additions: what spikes meet in the layers with kernels that read them, in shares of what spikes of all neurons at one
timestep would meet. A budget is SpikeBudget's, a share of all timesteps. What reads the image or the stream itself,
as the 1x1 convolutions do, adds no spikes and is in neither.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np
from keras import layers

import datasets
from benchmarks.accuracy import fast_front, front
from benchmarks.accuracy.front_networks import BINARY, DISTILLED, RELU, SOFT, TERNARY
from benchmarks.accuracy.front_report import add_row, interval, rows, table
from benchmarks.accuracy.trainer_over_time.layers import (
    Layer,
    amplitudes,
    arrays,
    described,
    norm_of,
    set_weights,
    taken,
    written,
)
from benchmarks.accuracy.trainer_over_time.studies import STUDIES, Point
from keras_ternary_spike.export.program.grid import INT8_MAX
from keras_ternary_spike.export.quantize.current_grids import headroom_quiet_steps
from keras_ternary_spike.training.quantities import layer_costs

OUTPUT = Path("runs/front_over_time")
TRAINER = Path(__file__).parent / "trainer_over_time" / "trainer.c"
COMPILE = ("gcc", "-O3", "-march=sapphirerapids", "-mprefer-vector-width=512", "-ffast-math", "-DTILES")
MOMENTUM = 0.98


def built(point: Point, shape: Sequence[int], steps: Mapping[str, float] | None = None) -> keras.Model:
    """steps: what fires, of ReLU or in levels of so much each, by neuron; None: ReLU."""
    options = point.neuron

    def neuron(name: str) -> keras.layers.Layer:
        relu = steps is None or point.relu
        return layers.ReLU(name=name) if relu else fast_front.neuron(options, steps[name], name)

    return point.study.build(tuple(shape), fast_front.CLASSES, timesteps=point.timesteps, neuron=neuron)


def first_weights(point: Point, folder: Path, shape: Sequence[int]) -> tuple[keras.Model, np.ndarray]:
    """(a ReLU model of the network's shapes, what the trainer starts from).

    Random, or the teacher's with the currents shifted and steps as amplitudes.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(point.seed)
    model = built(replace(point, timesteps=1), shape)
    values = list(arrays(model, point.study.layers))
    if point.teacher is not None:
        values = taken(np.fromfile(folder / point.teacher.name, "float32"), values)
        set_weights(model, point.study.layers, values)
        shift(model, point.study.layers, point.neuron.get("shift", 0.0))
        values = list(arrays(model, point.study.layers, point.neuron.get("step", 1.0)))
    return model, written(values)


def shift(model: keras.Model, network: Sequence[Layer], offset: float) -> None:
    """The current of every neuron: of a sum the offset of its shortcut."""
    for layer in network:
        if layer.convolution and not layer.addend:
            norm = norm_of(model, layer)
            gamma, beta, *statistics = norm.get_weights()
            norm.set_weights([gamma, beta + offset, *statistics])


def options(point: Point, model: keras.Model, folder: Path, data: datasets.Dataset, epochs: Sequence[int]) -> dict:
    """The trainer's."""
    own = point.neuron
    step = float(own.get("step", 1.0))
    found = {
        "layers": described(model, point.study.layers),
        "size": model.input_shape[1],
        "train": len(data.train_labels),
        "test": len(data.test_labels),
        "seed": point.seed,
        "timesteps": point.timesteps,
        "momentum": MOMENTUM,
        "kind": own["alphabet"],
        "levels": own.get("levels", 1),
        "threshold": own.get("threshold", step / 2),
        "width": own.get("width", 1.0),
        "dead_zone": 2 * float(own.get("dead", 0.5)),
        "amplitude": step,
        "headroom": 0.0 if point.relu else headroom(own),
        "trained": "n" if point.relu else "f",
        "epochs": epochs[point.teacher is not None],
    }
    if point.teacher is None:
        return {**found, "logits": folder / f"{point.name}.logits"}
    budget = {} if point.budget is None else {"budget": point.budget}
    return {**found, **budget, "soft": SOFT, "teacher": folder / f"{point.teacher.name}.logits"}


def headroom(neuron: Mapping[str, object]) -> float:
    """Where an int8 file's streams saturate, in steps: the trainer's do so too. neuron: `fast_front`'s options."""
    levels = int(neuron["levels"])
    unit = 2 * float(neuron.get("dead", 0.5)) if levels == 1 else 1.0  # what 2 * threshold is
    return unit * INT8_MAX / (2 * headroom_quiet_steps(levels) + 1)


def train(point: Point, folder: Path, data: datasets.Dataset, epochs: Sequence[int]) -> None:
    """Unless it has been."""
    if (folder / f"{point.name}.json").exists():
        return
    model, weights = first_weights(point, folder, data.train_images.shape[1:])
    started = folder / f"{point.name}.started"
    weights.tofile(started)
    words = [f"{name}={value}" for name, value in options(point, model, folder, data, epochs).items()]
    done = subprocess.run([folder / "trainer", folder / "data", started, *words], check=True, capture_output=True)
    started.rename(folder / point.name)
    (folder / f"{point.name}.json").write_bytes(done.stdout)  # written last


def network_of(point: Point, folder: Path, shape: Sequence[int]) -> keras.Model:
    """The trained network as a Keras model."""
    own, relu = point.study.layers, built(replace(point, timesteps=1), shape)
    values = taken(np.fromfile(folder / point.name, "float32"), list(arrays(relu, own)))
    model = built(point, shape, amplitudes(own, relu, values))
    set_weights(model, own, values)
    return model


def measured(point: Point, folder: Path, data: datasets.Dataset) -> dict[str, float]:
    """accuracy of the int8 file, which is kept, and of the trainer's network; additions; bytes of the file."""
    model = network_of(point, folder, data.train_images.shape[1:])
    content, accuracy = front.int8_file(model, data, stock=point.relu)
    (folder / f"{point.name}.tflite").write_bytes(content)
    found = json.loads((folder / f"{point.name}.json").read_text())
    return {
        "accuracy": accuracy,
        "trained": found["accuracy"],
        "additions": point.timesteps * share_of_additions(point, model, data),
        "bytes": len(content),
    }


def share_of_additions(point: Point, model: keras.Model, data: datasets.Dataset) -> float:
    """Of what spikes of all neurons at all timesteps would ask for, on the test images."""
    spiking = point.study.build(data.train_images.shape[1:], data.classes, timesteps=point.timesteps)
    costs = layer_costs(spiking, "additions")
    values = keras.Model(model.input, [model.get_layer(name).output for name in costs])
    found = values.predict(data.test_images, verbose=0)
    return sum(cost * float(np.mean(value != 0)) for cost, value in zip(costs.values(), found, strict=True))


def prepare(network: str, folder: Path, data: datasets.Dataset, seeds: Sequence[int], epochs: Sequence[int]) -> None:
    """The trainer, compiled, and what it reads; of the plain network also the ReLU networks of `fast_front`."""
    images = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    content = np.rint(255 * images).astype("uint8").tobytes() + labels.astype("uint8").tobytes()
    (folder / "data").write_bytes(content)
    subprocess.run([*COMPILE, "-o", folder / "trainer", TRAINER, "-lm"], check=True)
    for seed in seeds if network == "plain" else ():
        _take_over(seed, folder, data, epochs)


def _take_over(seed: int, folder: Path, data: datasets.Dataset, epochs: Sequence[int]) -> None:
    source = fast_front.folder_of(fast_front.OUTPUT, epochs)
    theirs, own = fast_front.Point(RELU, None, seed), Point("plain", RELU, None, 1, seed)
    if not fast_front.trained(theirs, source):
        raise SystemExit(f"No ReLU network of seed {seed} in {source}: run benchmarks.accuracy.fast_front first.")
    weights = np.fromfile(source / theirs.weights, "float32")
    model = fast_front.network(theirs, weights, data.train_images.shape[1:])
    written(list(arrays(model, own.study.layers))).tofile(folder / own.name)
    (folder / f"{own.name}.logits").write_bytes((source / f"{theirs.weights}.logits").read_bytes())


def run(arguments: argparse.Namespace, folder: Path, file: Path) -> None:
    installed = setting.FASHION_MNIST if setting.FASHION_MNIST.exists() else None
    data = datasets.load("fashion_mnist", data_dir=installed)
    prepare(arguments.network, folder, data, arguments.seeds, arguments.epochs)
    kinds = STUDIES[arguments.network].kinds
    points = [Point(arguments.network, *kind, seed) for kind in kinds for seed in arguments.seeds]
    done = {tuple(row[key] for key in asdict(points[0])) for row in rows(file)}
    for point in points:
        train(point, folder, data, arguments.epochs)
        if tuple(asdict(point).values()) not in done:
            add_row(file, {**asdict(point), **measured(point, folder, data)})


def shown(found: list[dict]) -> list[dict]:
    """With the timesteps in the name, where there are several."""
    return [
        {**row, "alphabet": row["alphabet"] + ("" if row["timesteps"] == 1 else f", {row['timesteps']} timesteps")}
        for row in found
    ]


def reference(network: str, epochs: Sequence[int]) -> list[dict]:
    """Rows of one timestep of the plain network beside those of several."""
    theirs = rows(fast_front.folder_of(fast_front.OUTPUT, epochs) / fast_front.ROWS)
    kinds = {kind[:2] for kind in STUDIES[network].kinds} | {(DISTILLED, None)}
    one = [{**row, "timesteps": 1} for row in theirs if (row["alphabet"], row["budget"]) in kinds]
    return one if network == "plain" else []


def paired(found: list[dict]) -> str:
    """Ternary less binary spikes, points, by the timesteps: mean over seeds of both, half its 95 % interval."""
    lines = []
    for timesteps in sorted({row["timesteps"] for row in found}):
        here = [row for row in found if row["timesteps"] == timesteps]
        ternary, binary = (
            {row["seed"]: 100 * row["accuracy"] for row in here if row["alphabet"] == alphabet}
            for alphabet in (TERNARY, BINARY)
        )
        points = np.array([ternary[seed] - binary[seed] for seed in sorted(ternary.keys() & binary.keys())])
        if len(points) > 1:
            lines.append(f"{TERNARY} - {BINARY}, T={timesteps}: {points.mean():+.2f} +- {interval(points):.2f} points")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=tuple(STUDIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=range(fast_front.SEEDS))
    parser.add_argument("--epochs", type=int, nargs=2, default=fast_front.EPOCHS, metavar=("RELU", "OTHERS"))
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    folder = fast_front.folder_of(arguments.output / arguments.network, arguments.epochs)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / fast_front.ROWS
    if not arguments.report:
        run(arguments, folder, file)
    print(setting.describe())
    found = [*reference(arguments.network, arguments.epochs), *rows(file)]
    print(table(shown(found)))
    print(paired(found))


if __name__ == "__main__":
    main()
