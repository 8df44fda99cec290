"""Trains a ternary spiking network on real images and ships it as an exact int8 TFLite file.

    python examples/train_and_export.py
    python examples/train_and_export.py --dataset fashion_mnist --data-dir /usr/share/datasets/fashion-mnist

Writes model.keras, model.tflite, graded.tflite, report.json, report.png, front.png and samples.npz into
runs/<dataset>/. graded.tflite has the same convolutions with graded spikes, whole numbers from 0 to 4, in one timestep;
front.png shows both beside ReLU and beside graded spikes trained to be silent: accuracy against operations.
"""

import argparse
import functools
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import baseline
import datasets
import front
import picture
from keras_ternary_spike import (
    BatchNormalization,
    DirectEncoding,
    MultiLevelLIF,
    PerTimestep,
    SpikeBudget,
    TernaryLIF,
    TimeAverage,
)
from keras_ternary_spike.export import energy, export_tflite, fold, verify

EPOCHS = {"digits": 30, "fashion_mnist": 5, "cifar10": 30}
FILTERS = {"digits": (8, 16, 16, 32), "fashion_mnist": (16, 32, 32, 64), "cifar10": (32, 64, 64, 128)}
STRIDES = (1, 2, 1, 2)
TIMESTEPS = 2
BATCH_SIZE = 128
LEARNING_RATE = 4e-3
VERIFY_SAMPLES = 20
BUDGET = 0.2  # of the additions, for the silent network
GRADED = functools.partial(MultiLevelLIF, levels=4, signed=False, threshold=0.25, trainable_threshold=True)
GRADED_NAME = "graded 0 to 4"
BESIDE = {
    GRADED_NAME: (GRADED, list),
    f"graded, {BUDGET:.0%} of additions": (GRADED, lambda: [SpikeBudget(additions=BUDGET)]),
    "ReLU": (layers.ReLU, list),
}


def build(shape, classes, *, filters, timesteps, neuron=TernaryLIF):
    """Four convolutions, each with neurons behind it. The first sees a still image: it runs once."""
    first, *others = zip(filters, STRIDES, strict=True)
    model = keras.Sequential([keras.Input(shape), convolution(*first), BatchNormalization(), DirectEncoding(timesteps)])
    model.add(neuron())
    for layer in others:
        model.add(PerTimestep(convolution(*layer)))
        model.add(PerTimestep(BatchNormalization()))
        model.add(neuron())
    model.add(PerTimestep(layers.GlobalAveragePooling2D()))
    model.add(PerTimestep(layers.Dense(classes)))
    model.add(TimeAverage())
    return model


def convolution(filters, strides):
    return layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)


def compile_model(model, *, steps):
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On two CPU cores the same step takes 1.4 to 3 times as long when jit-compiled.
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"], jit_compile=False)


def train(model, data, *, epochs, callbacks=()):
    compile_model(model, steps=epochs * -(-len(data.train_images) // BATCH_SIZE))
    model.fit(data.train_images, data.train_labels, batch_size=BATCH_SIZE, epochs=epochs, callbacks=list(callbacks))


def beside(data, filters, *, epochs):
    """Files of the same convolutions in one timestep, by name: graded spikes, graded on a budget, ReLU."""
    files = {}
    for name, (neuron, callbacks) in BESIDE.items():
        model = build(data.train_images.shape[1:], data.classes, filters=filters, timesteps=1, neuron=neuron)
        train(model, data, epochs=epochs, callbacks=callbacks())
        samples = data.train_images[: baseline.CALIBRATION_SAMPLES] if neuron is layers.ReLU else None
        with baseline.quiet():
            files[name] = export_tflite(model, samples=samples)
    return files


def main(arguments):
    keras.utils.set_random_seed(arguments.seed)
    data = datasets.load(arguments.dataset, data_dir=arguments.data_dir, seed=arguments.seed)
    data = data.first(arguments.samples) if arguments.samples else data
    shape, filters = data.train_images.shape[1:], FILTERS[data.name]
    epochs = arguments.epochs or EPOCHS[data.name]
    model = build(shape, data.classes, filters=filters, timesteps=arguments.timesteps)
    model.summary(line_length=100)
    train(model, data, epochs=epochs)

    tflite_bytes = export_tflite(model)
    rows = baseline.compare(model, tflite_bytes, data)
    print(baseline.table(rows), end="\n\n")
    report = verify(model, tflite_bytes, data.test_images[:VERIFY_SAMPLES])
    print(report, end="\n\n")
    print(energy(tflite_bytes, data.test_images[:VERIFY_SAMPLES]), end="\n\n")

    files = beside(data, filters, epochs=epochs)
    shown = {f"ternary, {arguments.timesteps} timesteps": tflite_bytes, **files}
    points = [front.measure(name, content, data) for name, content in shown.items()]
    print("\n" + front.table(points))

    folder = arguments.output / data.name
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model.keras")
    (folder / "model.tflite").write_bytes(tflite_bytes)
    (folder / "graded.tflite").write_bytes(files[GRADED_NAME])
    results = {
        "arguments": vars(arguments) | {"output": str(folder)},
        "files": rows,
        "verify": report.to_dict(),
    }
    (folder / "report.json").write_text(json.dumps(results, indent=2))
    images = data.test_images[: picture.SAMPLES]
    picture.draw(folder / "report.png", images=images, spikes=picture.spikes_of(fold(model), images), rows=rows)
    front.draw(folder / "front.png", points)
    np.savez(folder / "samples.npz", samples=data.test_images[:VERIFY_SAMPLES])
    print(f"\nWritten to {folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.is_file()))}")
    print(f"Draw a digit and see its spikes, in a page made by (needs npm): {page_command(folder)}")


def page_command(folder):
    """The command that writes a page which runs the file in the browser."""
    python = os.path.relpath(sys.executable)
    files = f"{folder / 'model.tflite'} --samples {folder / 'samples.npz'}"
    return f"{python} -m keras_ternary_spike.export web {files} -o {folder / 'page'}"


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_arguments(parser)
    parser.add_argument("--timesteps", type=positive, default=TIMESTEPS)
    return parser.parse_args()


def add_training_arguments(parser):
    parser.add_argument("--dataset", choices=datasets.NAMES, default="digits")
    parser.add_argument("--data-dir", help="folder of IDX files, or of tensorflow-datasets")
    parser.add_argument("--epochs", type=positive, help=f"default: {EPOCHS}")
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=positive, help="use only so many images of each split")


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1. Received: {text}")
    return int(text)


if __name__ == "__main__":
    main(command_line())
