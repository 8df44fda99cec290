"""Kernels rounded for samples beside kernels rounded to nearest: accuracy, classes and logits, seconds.

    python -m benchmarks.accuracy.rounding   Fashion-MNIST; digits with --dataset digits

Uses the network that examples/train_and_export.py trained, and trains it where runs/<dataset>/ is missing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import datasets
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.program.samples import dequantize_output, quantize_input
from keras_ternary_spike.export.tflite import flatbuffer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=datasets.NAMES, default="fashion_mnist")
    parser.add_argument("--samples", type=int, default=512, help="training images to round for")
    parser.add_argument("--images", type=int, default=2000, help="test images to measure on")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where the example wrote its models")
    arguments = parser.parse_args()
    folder = setting.trained(arguments.dataset, arguments.output)
    model = keras.saving.load_model(folder / "model.keras")
    seed = json.loads((folder / "report.json").read_text())["arguments"]["seed"]
    directory = (setting.data_dir(arguments.dataset) or [None])[-1]
    data = datasets.load(arguments.dataset, data_dir=directory, seed=seed)
    images, labels = (values[: arguments.images] for values in (data.test_images, data.test_labels))
    logits = model.predict(images, verbose=0)
    rows = [("", "accuracy", "class as Keras", "rms of logits' error", "seconds to export")]
    rows.append(("Keras", f"{np.mean(logits.argmax(-1) == labels):.2%}", "", "", ""))
    rows.append(("rounded to nearest", *measured(model, images, labels, logits, None)))
    rows.append(
        ("rounded for samples", *measured(model, images, labels, logits, data.train_images[: arguments.samples]))
    )
    print(setting.describe(), setting.table(rows), sep="\n\n")


def measured(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, logits: np.ndarray, samples: np.ndarray | None
) -> tuple[str, str, str, str]:
    start = time.perf_counter()
    program = flatbuffer.read(export_tflite(model, samples=samples))
    seconds = time.perf_counter() - start
    found = dequantize_output(program, program.run(quantize_input(program, images)))
    same = np.mean(found.argmax(-1) == logits.argmax(-1))
    error = np.sqrt(np.mean((found - logits) ** 2))
    return f"{np.mean(found.argmax(-1) == labels):.2%}", f"{same:.2%}", f"{error:.3f}", f"{seconds:.1f}"


if __name__ == "__main__":
    main()
