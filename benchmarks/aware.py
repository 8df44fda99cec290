"""Integer-exact training: accuracy before and after fine-tuning, exactness of the file, and what a step costs.

    python benchmarks/aware.py                       digits, and Fashion-MNIST where it is installed; three seeds
    python benchmarks/aware.py --datasets digits --seeds 0

Trains the network of examples/train_and_export.py once per seed (kept in runs/aware/), then fine-tunes it on integers
for two epochs. All test images; times are ratios of alternating training steps.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import datasets
import train_and_export as example
from keras_ternary_spike.exact import ExactLIF
from keras_ternary_spike.export import Program, export_tflite, flatbuffer, quantize_aware
from keras_ternary_spike.export.predictor import dequantize_output, quantize_input

LEARNING_RATE = 1e-4  # at first; a cosine takes it to 0
FINE_TUNING_EPOCHS = 2
SEEDS = (0, 1, 2)
STEP_ROUNDS = 30
CHUNK = 1000
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trained(name: str, data: datasets.Dataset, seed: int, output: Path) -> keras.Model:
    """The example's network, from its file or trained."""
    path = output / "aware" / f"{name}-{seed}.keras"
    if not path.exists():
        keras.utils.set_random_seed(seed)
        filters = example.FILTERS[name]
        model = example.build(data.train_images.shape[1:], data.classes, filters=filters, timesteps=example.TIMESTEPS)
        example.train(model, data, epochs=example.EPOCHS[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return keras.saving.load_model(path)


def compiled(model: keras.Model, data: datasets.Dataset) -> keras.Model:
    steps = FINE_TUNING_EPOCHS * -(-len(data.train_images) // example.BATCH_SIZE)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(keras.optimizers.Adam(schedule), LOSS, metrics=["accuracy"], jit_compile=False)
    return model


def accuracy(model: keras.Model, data: datasets.Dataset) -> float:
    """Percent of the test images, by `evaluate`."""
    return 100 * model.evaluate(data.test_images, data.test_labels, batch_size=500, verbose=0)[1]


def file_differences(model: keras.Model, images: np.ndarray) -> tuple[int, int, int, int]:
    """Spikes and outputs of the file that differ from the model's: (differing, compared) of each."""
    program = flatbuffer.read(export_tflite(model))
    neurons = {layer.name: layer.output for layer in model.layers if isinstance(layer, ExactLIF)}
    probe, counts = keras.Model(model.inputs, [neurons, model.outputs[0]]), np.zeros(4, int)
    for start in range(0, len(images), CHUNK):
        batch = images[start : start + CHUNK]
        spikes, outputs = probe.predict(batch, batch_size=500, verbose=0)
        counts += differences(program, batch, spikes, outputs)
    return tuple(counts)


def differences(program: Program, images: np.ndarray, spikes: dict, outputs: np.ndarray) -> tuple[int, int, int, int]:
    tensors = program.trace(quantize_input(program, images))
    pairs = [
        (tensors[key], values[:, t])
        for name, values in spikes.items()
        for t in range(values.shape[1])
        if (key := f"{name}/spike/{t}") in tensors  # equal timesteps of a constant current share a tensor
    ]
    logits = dequantize_output(program, tensors[program.tensors[program.outputs[0]].name])
    differing, compared = sum(int((a != b).sum()) for a, b in pairs), sum(a.size for a, _ in pairs)
    return differing, compared, int((logits != outputs).sum()), outputs.size


def step_ratios(model: keras.Model, qat: keras.Model, data: datasets.Dataset) -> np.ndarray:
    """Seconds of a training step on integers over those of the float step, one pair after the other."""
    images, labels = data.train_images[: example.BATCH_SIZE], data.train_labels[: example.BATCH_SIZE]
    float_model = compiled(keras.models.clone_model(model), data)
    copy = compiled(keras.models.clone_model(qat), data)
    copy.set_weights(qat.get_weights())
    seconds = np.zeros((STEP_ROUNDS, 2))
    for index in range(-3, STEP_ROUNDS):  # the first ones compile
        for column, one in enumerate((float_model, copy)):
            start = time.perf_counter()
            one.train_on_batch(images, labels)
            seconds[index, column] = time.perf_counter() - start
    return seconds[:, 1] / seconds[:, 0]


def measure(name: str, seed: int, output: Path) -> dict[str, float]:
    """Accuracies in percent by stage; prints exactness and, for the first seed, the cost of a step."""
    data = datasets.load(name, data_dir=(setting.data_dir(name) or [None])[-1], seed=seed)
    model = compiled(trained(name, data, seed, output), data)
    qat = compiled(quantize_aware(model), data)
    stages = {"float": accuracy(model, data), "file": accuracy(qat, data)}
    ratios = step_ratios(model, qat, data)
    print(f"seed {seed}: a training step on integers costs {setting.spread(ratios, digits=2)} float steps")
    for epoch in range(1, FINE_TUNING_EPOCHS + 1):
        keras.utils.set_random_seed(seed)
        qat.fit(data.train_images, data.train_labels, batch_size=example.BATCH_SIZE, epochs=1, verbose=0)
        stages[f"epoch {epoch}"] = accuracy(qat, data)
    spikes, compared, outputs, total = file_differences(qat, data.test_images)
    print(f"seed {seed}: {spikes:,} of {compared:,} spikes and {outputs:,} of {total:,} outputs differ from the file's")
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=datasets.NAMES)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where trained networks are kept")
    arguments = parser.parse_args()
    names = arguments.datasets or ["digits", *(["fashion_mnist"] if setting.FASHION_MNIST.exists() else [])]
    print(setting.describe())
    for name in names:
        print(f"\n{name}, accuracy in percent\n")
        results = [measure(name, seed, arguments.output) for seed in arguments.seeds]
        rows = [(stage, *(f"{result[stage]:.2f}" for result in results)) for stage in results[0]]
        means = [np.mean([result[stage] for result in results]) for stage in results[0]]
        spreads = [np.std([result[stage] for result in results]) for stage in results[0]]
        rows = [(*row, f"{mean:.2f} +- {sd:.2f}") for row, mean, sd in zip(rows, means, spreads, strict=True)]
        print(setting.table([("", *(f"seed {seed}" for seed in arguments.seeds), "mean"), *rows]))


if __name__ == "__main__":
    main()
