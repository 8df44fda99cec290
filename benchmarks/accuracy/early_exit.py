"""What a loss on every timestep does to a StepRunner that stops as soon as it is sure: steps against accuracy.

    python -m benchmarks.accuracy.early_exit                         digits, 3 seeds: some minutes
    python -m benchmarks.accuracy.early_exit --data fashion_mnist    half an hour

The example's network, four timesteps, trained from the same start with each loss; the int8 file in step form reads each
test image until the softmax of its scores is as confident as asked. Means over seeds, lowest to highest in brackets.
"""

from __future__ import annotations

import argparse

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import datasets
import train_and_export as example
from keras_ternary_spike import EarlyExitLoss, PerTimestepLoss, TemporalEfficientTraining
from keras_ternary_spike.export import StepRunner, export_tflite

TIMESTEPS, SEEDS = 4, 3
CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
OF_MEAN = "of the mean"
LOSSES = {
    OF_MEAN: lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "PerTimestepLoss": PerTimestepLoss,
    "TemporalEfficientTraining": TemporalEfficientTraining,
    "EarlyExitLoss": EarlyExitLoss,
}


def trained(loss: str, data: datasets.Dataset, *, epochs: int, seed: int) -> keras.Model:
    """The model to be shipped. All losses but the first train it without its mean over time."""
    keras.utils.set_random_seed(seed)
    shape, filters = data.train_images.shape[1:], example.FILTERS[data.name]
    model = example.build(shape, data.classes, filters=filters, timesteps=TIMESTEPS)
    student = model if loss == OF_MEAN else keras.Sequential([keras.Input(shape), *model.layers[:-1]])
    steps = epochs * -(-len(data.train_images) // example.BATCH_SIZE)
    schedule = keras.optimizers.schedules.CosineDecay(example.LEARNING_RATE, steps)
    student.compile(keras.optimizers.Adam(schedule), LOSSES[loss](), jit_compile=False)
    student.fit(data.train_images, data.train_labels, batch_size=example.BATCH_SIZE, epochs=epochs, verbose=0)
    return model


def scores(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """`(images, timesteps, classes)`: what the file's StepRunner reads after every step."""
    runner = StepRunner(export_tflite(model, form="step"))
    result = []
    for image in images:
        runner.reset()
        result.append([runner.step(image) for _ in range(TIMESTEPS)])
    return np.array(result)


def stopped(scores: np.ndarray, labels: np.ndarray, confidence: float) -> tuple[float, float]:
    """(mean steps, accuracy in percent) where each image stops at the first step as confident, or at the last."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    sure = (exponentials / exponentials.sum(axis=-1, keepdims=True)).max(axis=-1) >= confidence
    sure[:, -1] = True
    if confidence == 1:
        sure[:, :-1] = False  # as StepRunner.run: never early
    at = sure.argmax(axis=1)
    right = scores[np.arange(len(at)), at].argmax(axis=-1) == labels
    return float(1 + at.mean()), float(100 * right.mean())


def table(found: dict[str, list[np.ndarray]], labels: np.ndarray) -> str:
    head = ("loss", *(f"confidence {confidence:g}" for confidence in CONFIDENCES))
    rows = [head]
    for loss, by_seed in found.items():
        cells = []
        for confidence in CONFIDENCES:
            steps, accuracies = np.array([stopped(scores, labels, confidence) for scores in by_seed]).T
            cells.append(
                f"{steps.mean():.2f}: {accuracies.mean():.1f} ({accuracies.min():.1f} to {accuracies.max():.1f})"
            )
        rows.append((loss, *cells))
    return setting.table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("digits", "fashion_mnist"), default="digits")
    parser.add_argument("--epochs", type=int, help=f"default: {example.EPOCHS}")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--samples", type=int, help="train and test on so many images only")
    arguments = parser.parse_args()
    folder = setting.FASHION_MNIST if setting.FASHION_MNIST.exists() else None
    data = datasets.load(arguments.data, data_dir=None if arguments.data == "digits" else folder)
    data = data.first(arguments.samples) if arguments.samples else data
    epochs = arguments.epochs or example.EPOCHS[data.name]
    found: dict[str, list[np.ndarray]] = {loss: [] for loss in LOSSES}
    for seed in range(arguments.seeds):
        for loss, by_seed in found.items():
            by_seed.append(scores(trained(loss, data, epochs=epochs, seed=seed), data.test_images))
    print(setting.describe())
    print(f"{data.name}, {epochs} epochs, {arguments.seeds} seeds; mean steps: accuracy, %")
    print(table(found, data.test_labels))


if __name__ == "__main__":
    main()
