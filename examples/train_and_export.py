"""Trains a ternary spiking network on real images and ships it as an exact int8 TFLite file.

    python examples/train_and_export.py
    python examples/train_and_export.py --dataset fashion_mnist --data-dir /usr/share/datasets/fashion-mnist

Writes model.keras, model.tflite, graded.tflite, report.json, report.png and samples.npz into runs/<dataset>/.
graded.tflite has the same convolutions with graded spikes, whole numbers from 0 to 4, in one timestep.
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
import picture
from keras_ternary_spike import BatchNormalization, DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import energy, export_tflite, fold, verify

EPOCHS = {"digits": 30, "fashion_mnist": 5, "cifar10": 30}
FILTERS = {"digits": (8, 16, 16, 32), "fashion_mnist": (16, 32, 32, 64), "cifar10": (32, 64, 64, 128)}
STRIDES = (1, 2, 1, 2)
TIMESTEPS = 2
BATCH_SIZE = 128
LEARNING_RATE = 4e-3
VERIFY_SAMPLES = 20
GRADED = functools.partial(MultiLevelLIF, levels=4, signed=False, threshold=0.25, trainable_threshold=True)


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


def train(model, data, *, epochs):
    compile_model(model, steps=epochs * -(-len(data.train_images) // BATCH_SIZE))
    model.fit(data.train_images, data.train_labels, batch_size=BATCH_SIZE, epochs=epochs)


def spikes_beside(files, data):
    """A row for each file, by the name of its spikes: what they reach, and what they cost on some test images."""
    lines = [f"{'':28}{'accuracy':>9}{'additions':>11}{'multiplications':>17}{'energy':>11}{'size':>14}"]
    for name, tflite_bytes in files.items():
        right = baseline.predict(tflite_bytes, data.test_images).argmax(-1) == data.test_labels
        cost = energy(tflite_bytes, data.test_images[:VERIFY_SAMPLES])
        lines.append(
            f"{name:28}{right.mean():9.2%}{cost.additions:11,.0f}{cost.multiply_accumulates:17,.0f}"
            f"{1e9 * cost.event_driven:8.2f} nJ{len(tflite_bytes):8,d} bytes"
        )
    return "\n".join(lines)


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

    graded = build(shape, data.classes, filters=filters, timesteps=1, neuron=GRADED)
    train(graded, data, epochs=epochs)
    graded_bytes = export_tflite(graded)
    files = {f"ternary, {arguments.timesteps} timesteps": tflite_bytes, "graded 0 to 4, 1 timestep": graded_bytes}
    print("\n" + spikes_beside(files, data))

    folder = arguments.output / data.name
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model.keras")
    (folder / "model.tflite").write_bytes(tflite_bytes)
    (folder / "graded.tflite").write_bytes(graded_bytes)
    results = {
        "arguments": vars(arguments) | {"output": str(folder)},
        "files": rows,
        "verify": report.to_dict(),
    }
    (folder / "report.json").write_text(json.dumps(results, indent=2))
    images = data.test_images[: picture.SAMPLES]
    picture.draw(folder / "report.png", images=images, spikes=picture.spikes_of(fold(model), images), rows=rows)
    np.savez(folder / "samples.npz", samples=data.test_images[:VERIFY_SAMPLES])
    print(f"\nWritten to {folder}: model.keras, model.tflite, graded.tflite, report.json, report.png, samples.npz")
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
