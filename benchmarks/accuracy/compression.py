"""What pruning and ternary kernels cost in accuracy, and save in flash.

    python -m benchmarks.accuracy.compression   Fashion-MNIST where it is installed, else digits
    python -m benchmarks.accuracy.compression --epochs 1 --samples 6000   a quick look

Trains every variant from the weights of the example's network (kept in runs/), the float network too.
Flash: the file; the file with gzip; what Vela, for Ethos-U55, makes of weights, biases and commands.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import baseline
import datasets
import train_and_export as example
from keras_ternary_spike.compression import PolynomialDecay, Prune, TernaryKernels, sparsity
from keras_ternary_spike.compression.kernels import find_kernels
from keras_ternary_spike.export import Flash, export_tflite, flash, verify

SPARSITY = 0.8
PRUNING_STEPS = 20  # how often the pruned share grows
PRUNING_SHARE = 0.5  # of the training: then the mask stays
LEARNING_RATES = {"float": 1e-3, "2:4": 1e-3, "80 %": 2e-3, "ternary": 2e-3}
VERIFY_SAMPLES = 20
HEADS = ("", "Keras", "int8", "below float", "zeros", "file", "gzip", "Vela", "Vela, times smaller", "values differing")


@dataclass(frozen=True)
class Row:
    """Accuracies in percent; zeros: share of all kernel weights; differing: int8 values between runtimes."""

    keras: float
    int8: float
    zeros: float
    flash: Flash
    differing: int


def callbacks(name: str, model: keras.Model, steps: int) -> list[keras.callbacks.Callback]:
    """Those that make the variant `name` in a training of `steps` batches."""
    pruning = max(1, int(PRUNING_SHARE * steps))
    frequency = -(-pruning // PRUNING_STEPS)

    def schedule(share: float) -> PolynomialDecay:
        return PolynomialDecay(0.0, share, 0, pruning - pruning % frequency, frequency=frequency)

    names = [kernel.name for kernel in find_kernels(model)]
    makers: dict[str, Callable[[], list[keras.callbacks.Callback]]] = {
        "float": lambda: [],
        "2:4": lambda: [Prune(schedule(0.5), (2, 4))],
        "80 %": lambda: [Prune(schedule(share), layers=[layer]) for layer, share in shares(model).items()],
        # The first kernel reads the image, not spikes: it multiplies in any case.
        "ternary": lambda: [TernaryKernels(names[1:])],
    }
    return makers[name]()


def shares(model: keras.Model) -> dict[str, float]:
    """The share of zeros of each kernel, SPARSITY over all: fewer in small kernels.

    The weights that stay are in proportion to the sum of a kernel's sizes, not to their product (Erdos-Renyi-Kernel,
    [Evci et al., 2020](https://arxiv.org/abs/1911.11134)); a kernel for which that is more than all is not pruned.
    """
    shapes = {kernel.name: tuple(kernel.variable.shape) for kernel in find_kernels(model)}
    kept, whole = (1 - SPARSITY) * sum(map(math.prod, shapes.values())), 0
    while True:
        factor = (kept - whole) / sum(map(sum, shapes.values()))
        dense = [name for name, shape in shapes.items() if factor * sum(shape) >= math.prod(shape)]
        if not dense:
            return {name: 1 - factor * sum(shape) / math.prod(shape) for name, shape in shapes.items()}
        whole += sum(math.prod(shapes.pop(name)) for name in dense)


def train(model: keras.Model, data: datasets.Dataset, *, name: str, epochs: int) -> None:
    """Trains on, in the variant `name`."""
    steps = epochs * -(-len(data.train_images) // example.BATCH_SIZE)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATES[name], steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"], jit_compile=False)
    images, labels = data.train_images, data.train_labels
    used = callbacks(name, model, steps)
    model.fit(images, labels, batch_size=example.BATCH_SIZE, epochs=epochs, callbacks=used, verbose=2)


def measure(model: keras.Model, data: datasets.Dataset) -> Row:
    tflite_bytes = export_tflite(model)
    found = (model.predict(data.test_images, verbose=0), baseline.predict(tflite_bytes, data.test_images))
    accuracies = [100 * float(np.mean(logits.argmax(-1) == data.test_labels)) for logits in found]
    counts = [np.prod(kernel.variable.shape) for kernel in find_kernels(model)]
    zeros = float(np.average(list(sparsity(model).values()), weights=counts))
    report = verify(None, tflite_bytes, data.test_images[:VERIFY_SAMPLES])
    differing = sum(comparison.differing + comparison.output_differing for comparison in report.runtimes.values())
    return Row(*accuracies, zeros, flash(tflite_bytes), differing)


def text(name: str, row: Row, reference: Row) -> tuple[str, ...]:
    sizes = (f"{size:,}" for size in (row.flash.raw, row.flash.gzip, row.flash.encoded))
    smaller = reference.flash.encoded / row.flash.encoded
    percent = (f"{row.keras:.2f} %", f"{row.int8:.2f} %", f"{reference.keras - row.int8:+.2f}")
    return name, *percent, f"{row.zeros:.0%}", *sizes, f"{smaller:.2f}", f"{row.differing}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    installed = "fashion_mnist" if setting.FASHION_MNIST.exists() else "digits"
    parser.add_argument("--dataset", choices=datasets.NAMES, default=installed)
    parser.add_argument("--epochs", type=example.positive, default=6, help="of each variant")
    parser.add_argument("--variants", nargs="+", choices=tuple(LEARNING_RATES), default=tuple(LEARNING_RATES))
    parser.add_argument("--samples", type=example.positive, help="use only so many images of each split")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where the trained network is kept")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(setting.describe())
    keras.utils.set_random_seed(arguments.seed)
    data = datasets.load(arguments.dataset, data_dir=(setting.data_dir(arguments.dataset) or [None])[-1], seed=0)
    data = data.first(arguments.samples) if arguments.samples else data
    model = keras.saving.load_model(setting.trained(arguments.dataset, arguments.output) / "model.keras")
    weights, rows = model.get_weights(), {}
    for name in dict.fromkeys(("float", *arguments.variants)):
        model.set_weights(weights)
        train(model, data, name=name, epochs=arguments.epochs)
        rows[name] = measure(model, data)
        print(*text(name, rows[name], rows["float"]), sep="  ", flush=True)
    print(f"\n{data.name}, {len(data.train_images):,} images, {arguments.epochs} epochs more\n")
    print(setting.table([HEADS, *(text(name, row, rows["float"]) for name, row in rows.items())]))


if __name__ == "__main__":
    main()
