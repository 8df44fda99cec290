"""The trained files that come with the package: their cards beside what the files do today; or trained anew.

    python -m benchmarks.accuracy.pretrained                     every file on all test images
    python -m benchmarks.accuracy.pretrained --train             all of them, into runs/pretrained: 15 minutes
    python -m benchmarks.accuracy.pretrained --train digits_ternary --output keras_ternary_spike/models/trained

Each is `models.tiny`, for Fashion-MNIST of twice the width, trained with Adam on a cosine schedule, and exported with
its constants rounded for the first 500 training images, from which a ReLU's range is read, too. Instructions are those
of the C on QEMU's Cortex-M4: gcc-arm-none-eabi and qemu-system-arm are needed to train.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import datasets
from benchmarks.boards import emulator, engine
from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF, models
from keras_ternary_spike.export import energy, export_tflite, load
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.tflite import flatbuffer
from keras_ternary_spike.models.trained_files import PRETRAINED, TRAINED, Card, read_pretrained

SEED = 0
LEARNING_RATE = 4e-3
CALIBRATION_IMAGES, COUNTED_IMAGES, RUN_IMAGES = 500, 200, 2
BOARD = "m4"
GRADED = {"levels": 4, "signed": False, "threshold": 0.25, "trainable_threshold": True}


@dataclass(frozen=True)
class Training:
    """How one set of images is trained on. width: of the network."""

    width: float
    epochs: int
    batch_size: int


TRAININGS = {
    "digits": Training(width=1, epochs=60, batch_size=32),
    "fashion_mnist": Training(width=2, epochs=15, batch_size=128),
}
NEURONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ternary": ("{-1, 0, 1}", {"neuron": TernaryLIF, "timesteps": 2}),
    "binary": ("{0, 1}", {"neuron": BinaryLIF, "timesteps": 2}),
    "graded": ("{0..4}", {"neuron": MultiLevelLIF, "timesteps": 1, **GRADED}),
    "relu": ("ReLU", {"neuron": keras.layers.ReLU, "timesteps": 1}),
}
NAMES = [f"{data}_{neuron}" for data in TRAININGS for neuron in NEURONS]
HEADER = (
    *("file", "neurons", "timesteps", "accuracy, %", "on its card", "bytes", "additions", "multiply-accumulates"),
    "instructions, Cortex-M4",
)


def parts(name: str) -> tuple[str, str]:
    """The set of images and the kind of neuron."""
    data, _, neuron = name.rpartition("_")
    return data, neuron


def images_of(name: str) -> datasets.Dataset:
    data, _ = parts(name)
    return datasets.load(data, data_dir=setting.FASHION_MNIST if data == "fashion_mnist" else None, seed=SEED)


def network(name: str, data: datasets.Dataset) -> keras.Model:
    kind, neuron = parts(name)
    width = TRAININGS[kind].width
    return models.tiny(data.train_images.shape[1:], data.classes, width=width, **NEURONS[neuron][1])


def trained(name: str, data: datasets.Dataset) -> keras.Model:
    """The network with its weights, never compiled: what is saved knows no optimizer."""
    keras.utils.set_random_seed(SEED)
    training, model = TRAININGS[parts(name)[0]], network(name, data)
    steps = training.epochs * -(-len(data.train_images) // training.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
    sizes = {"batch_size": training.batch_size, "epochs": training.epochs}
    model.fit(data.train_images, data.train_labels, verbose=0, **sizes)
    plain = network(name, data)
    plain.set_weights(model.get_weights())
    return plain


def save(model: keras.Model, path: Path) -> None:
    """A .keras file a third as large as Keras's own, whose archive is not compressed."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def accuracy(logits: np.ndarray, data: datasets.Dataset) -> float:
    return float(np.mean(logits.argmax(-1) == data.test_labels))


def instructions(tflite_bytes: bytes, images: np.ndarray) -> int:
    program = flatbuffer.read(tflite_bytes)
    integers = quantize_input(program, images)
    run = engine.run(emulator.BOARDS[BOARD], tflite_bytes, integers.reshape(len(images), -1))
    return round(float(np.mean(run.instructions)))


def write(name: str, folder: Path) -> Card:
    """Trains one network, and writes its model, its file and its card."""
    data = images_of(name)
    model = trained(name, data)
    content = export_tflite(model, samples=data.train_images[:CALIBRATION_IMAGES], verbose=0)
    folder.mkdir(parents=True, exist_ok=True)
    save(model, folder / f"{name}.keras")
    (folder / f"{name}.tflite").write_bytes(content)
    found = card(name, model, content, data, folder)
    (folder / f"{name}.json").write_text(json.dumps(found.to_dict(), indent=2) + "\n")
    return found


def card(name: str, model: keras.Model, content: bytes, data: datasets.Dataset, folder: Path) -> Card:
    kind, neuron = parts(name)
    text, options = NEURONS[neuron]
    counts = energy(content, data.test_images[:COUNTED_IMAGES])
    files = {suffix: (folder / f"{name}.{suffix}").read_bytes() for suffix in ("keras", "tflite")}
    return Card(
        name=name,
        data=kind,
        neurons=text,
        timesteps=options["timesteps"],
        test_images=len(data.test_images),
        accuracy=accuracy(load(content).predict(data.test_images), data),
        keras_accuracy=accuracy(model.predict(data.test_images, verbose=0), data),
        bytes=len(content),
        additions=round(counts.additions),
        multiply_accumulates=round(counts.multiply_accumulates),
        instructions=instructions(content, data.test_images[:RUN_IMAGES]),
        seed=SEED,
        command=f"python -m benchmarks.accuracy.pretrained --train {name}",
        sha256={suffix: hashlib.sha256(data).hexdigest() for suffix, data in files.items()},
        versions={package: metadata.version(package) for package in ("tensorflow", "keras")},
    )


def row(name: str, folder: Path) -> tuple[str, ...]:
    """One line of the table: the file on all test images, beside its card."""
    shipped, data = read_pretrained(folder, name), images_of(name)
    found, said = accuracy(load(shipped.tflite_bytes).predict(data.test_images), data), shipped.card
    counts = (said.bytes, said.additions, said.multiply_accumulates, said.instructions)
    shown = (f"{100 * found:.2f}", f"{100 * said.accuracy:.2f}", *(f"{count:,}" for count in counts))
    return (name, said.neurons, str(said.timesteps), *shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="*", choices=NAMES, metavar="NAME", help="default: all")
    parser.add_argument("--output", type=Path, default=Path("runs/pretrained"), help="with --train: where they go")
    arguments = parser.parse_args()
    if arguments.train is not None:
        for name in arguments.train or NAMES:
            print(write(name, arguments.output), flush=True)
        return
    print(setting.describe(), end="\n\n")
    print(setting.table([HEADER, *(row(name, TRAINED) for name in PRETRAINED)]))


if __name__ == "__main__":
    main()
