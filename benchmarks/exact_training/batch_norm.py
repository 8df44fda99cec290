"""Integer-exact training with batch normalization folded once, or kept and folded on the fly: which trains best?

    python -m benchmarks.exact_training.batch_norm   digits, three seeds
    python -m benchmarks.exact_training.batch_norm --datasets fashion_mnist --samples 10000

The trained networks are those of aware.py. Each variant is fine-tuned on the same samples in the same order,
then its kernels are written into the model of `quantize_aware`, whose file is the same; all test images.

    folded      what `quantize_aware` does: kernel and bias, folded with the moving statistics of the float network
    gain        a factor per output channel beside them, multiplied into the kernel before it is rounded
    statistics  gain and offset behind a normalization: in training by the batch, whose statistics a moving average
                follows; the kernel is folded with the moving average before it is rounded
    frozen      the same, with the moving average fixed and used in training too for the last epoch

Reference: [Jacob et al., 2018](https://arxiv.org/abs/1712.05877), section 3.2.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np
from keras import ops

import datasets
import train_and_export as example
from benchmarks.exact_training import aware
from benchmarks.exact_training.aware_networks import Case, part, trained
from keras_ternary_spike import PerTimestep
from keras_ternary_spike.backend import gradient
from keras_ternary_spike.exact import ExactConv2D
from keras_ternary_spike.export import quantize_aware
from keras_ternary_spike.layers.batch_normalization import MOMENTUM

FOLDED, GAIN, STATISTICS, FROZEN = "folded", "gain", "statistics", "frozen"
VARIANTS = (FOLDED, GAIN, STATISTICS, FROZEN)
EPSILON = 1e-3
CALIBRATION_SAMPLES = 500
COMPARED_SAMPLES = 2000


@keras.saving.register_keras_serializable(package="benchmarks")
class NormalizedConv2D(ExactConv2D):
    """A convolution with its normalization in front of the rounding.

        kernel_integers = round(kernel * gain / sqrt(variance + epsilon)),  bias = offset - mean * gain / sqrt(...)

    Args:
        by_batch: Boolean. Whether training normalizes by the batch; otherwise mean and variance stay as they are.
    """

    def __init__(self, by_batch: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by_batch = by_batch

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)  # its bias is the offset
        ones = {"shape": (self.channels,), "initializer": "ones"}
        self.gain = self.add_weight(name="gain", **ones)
        self.variance = self.add_weight(name="variance", trainable=False, **ones)
        self.mean = self.add_weight(name="mean", shape=(self.channels,), initializer="zeros", trainable=False)
        multipliers = np.array([float(multiplier) for multiplier in self.multipliers])
        self.accumulator_step = np.float32(self.output_scale * multipliers)

    def factor(self) -> Any:
        return self.gain / ops.sqrt(self.variance + EPSILON)

    def folded(self) -> tuple[Any, Any]:
        """Kernel and bias in real units, by the moving statistics."""
        return self.kernel * self.factor(), self.bias - self.mean * self.factor()

    def call(self, inputs: Any, training: bool = False) -> Any:
        kernel, bias = self.folded()
        accumulator, bias = self.accumulate(inputs, self.kernel_rounding(kernel)), self.bias_rounding(bias)
        if training and self.by_batch:
            accumulator, bias = self.normalized(accumulator), ops.zeros_like(bias)
        requantize = self.requantize_fused if training and gradient.can_fuse() else self.requantize
        return gradient.call(requantize, [accumulator, bias])[0]

    def normalized(self, accumulator: Any) -> Any:
        """By the batch, in accumulator steps; the moving statistics are those in front of gain and offset."""
        real = accumulator * self.accumulator_step
        mean, variance = ops.moments(real, axes=(0, 1, 2))
        factor = self.factor()
        for moving, batch in ((self.mean, mean / factor), (self.variance, variance / ops.square(factor))):
            moving.assign(MOMENTUM * moving + (1 - MOMENTUM) * ops.stop_gradient(batch))
        deviation = ops.sqrt(variance + EPSILON * ops.square(factor))
        return ((real - mean) / deviation * ops.abs(self.gain) + self.bias) / self.accumulator_step

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "by_batch": self.by_batch}


def convolution(layer: keras.layers.Layer) -> ExactConv2D | None:
    """The convolution that a layer is or holds."""
    inner = layer.layer if isinstance(layer, PerTimestep) else layer
    return inner if isinstance(inner, ExactConv2D) else None


def normalized(exact: keras.Model, images: np.ndarray, *, by_batch: bool) -> keras.Model:
    """`exact` with a `NormalizedConv2D` for each of its convolutions, which computes the same to begin with."""

    def renewed(layer: keras.layers.Layer) -> keras.layers.Layer:
        inner = convolution(layer)
        if inner is None:
            return type(layer).from_config(layer.get_config())
        replacement = NormalizedConv2D(**inner.get_config(), by_batch=by_batch)
        return PerTimestep(replacement, name=layer.name) if isinstance(layer, PerTimestep) else replacement

    model = keras.models.clone_model(exact, clone_function=renewed)
    for before, after in zip(exact.layers, model.layers, strict=True):
        inner = convolution(before)
        after.set_weights(before.get_weights() if inner is None else initial_weights(before, exact, images))
    return model


def initial_weights(layer: keras.layers.Layer, exact: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """kernel, offset, gain, variance and mean of the layer's `NormalizedConv2D`."""
    inner = convolution(layer)
    inputs = keras.Model(exact.inputs, layer.input).predict(images, batch_size=500, verbose=0)
    inputs = inputs.reshape(-1, *inputs.shape[-3:])
    step = inner.output_scale * np.array([float(multiplier) for multiplier in inner.multipliers])
    sums = keras.ops.convert_to_numpy(inner.accumulate(inputs, inner.kernel_integers())) * step
    mean, variance = sums.mean(axis=(0, 1, 2)), sums.var(axis=(0, 1, 2))
    kernel, bias = inner.get_weights()
    return [kernel, bias + mean, np.sqrt(variance + EPSILON), variance, mean]


def write_back(model: keras.Model, exact: keras.Model) -> keras.Model:
    """The weights of `model`, folded, in a model of `quantize_aware`."""
    for source, target in zip(model.layers, exact.layers, strict=True):
        inner = convolution(source)
        folded = isinstance(inner, NormalizedConv2D)
        target.set_weights([np.asarray(x) for x in inner.folded()] if folded else source.get_weights())
    return exact


def freeze(model: keras.Model) -> None:
    """No more batch statistics."""
    for layer in model.layers:
        if isinstance(convolution(layer), NormalizedConv2D):
            convolution(layer).by_batch = False
    model.make_train_function(force=True)


def fine_tuned(variant: str, exact: keras.Model, data: datasets.Dataset, seed: int, rate: float) -> keras.Model:
    """A trained model of the variant."""
    by_batch = variant in (STATISTICS, FROZEN)
    calibration = data.train_images[:CALIBRATION_SAMPLES]
    model = exact if variant == FOLDED else normalized(exact, calibration, by_batch=by_batch)
    aware.compiled(model, data, rate)
    for epoch in range(aware.FINE_TUNING_EPOCHS):
        if variant == FROZEN and epoch == aware.FINE_TUNING_EPOCHS - 1:
            freeze(model)
        keras.utils.set_random_seed(seed + epoch)
        model.fit(data.train_images, data.train_labels, batch_size=example.BATCH_SIZE, epochs=1, verbose=0)
    return model


def measure(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Accuracies in percent, of the float network and of the variants; prints where the file's would differ."""
    case = Case(name, seed=seed)
    data = case.data()
    network = aware.compiled(trained(case, data, arguments.output), data)
    accuracies = {"float": aware.accuracy(network, data)}
    accuracies["not fine-tuned"] = aware.accuracy(aware.compiled(quantize_aware(network), data), data)
    few = part(data, arguments.samples)
    for variant in VARIANTS:
        model = fine_tuned(variant, quantize_aware(network), few, seed, arguments.learning_rate)
        file = aware.compiled(write_back(model, quantize_aware(network)), data)
        accuracies[variant] = aware.accuracy(file, data)
        outputs, expected = (trained.predict(data.test_images[:COMPARED_SAMPLES], 500, 0) for trained in (model, file))
        differing = f"{(outputs != expected).sum()} of {outputs.size:,} outputs differ from the file's"
        print(f"seed {seed}, {variant}: {accuracies[variant]:.2f}, {differing}", flush=True)
    return accuracies


def print_step_costs(name: str, arguments: argparse.Namespace) -> None:
    data = Case(name).data()
    exact = quantize_aware(trained(Case(name), data, arguments.output))
    for variant, by_batch in ((GAIN, False), (STATISTICS, True)):
        ratios = aware.step_ratios(exact, normalized(exact, data.train_images[:100], by_batch=by_batch), data)
        print(f"a training step with {variant} costs {setting.spread(ratios, digits=2)} folded steps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=datasets.NAMES, default=["digits"])
    parser.add_argument("--seeds", nargs="+", type=int, default=aware.SEEDS)
    parser.add_argument("--samples", type=int, help="fine-tune on so many of the training samples")
    parser.add_argument("--learning-rate", type=float, default=aware.LEARNING_RATE)
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where trained networks are kept")
    arguments = parser.parse_args()
    print(setting.describe())
    for name in arguments.datasets:
        print(f"\n{name}, accuracy in percent\n")
        aware.print_table([measure(name, seed, arguments) for seed in arguments.seeds], arguments.seeds)
        print_step_costs(name, arguments)


if __name__ == "__main__":
    main()
