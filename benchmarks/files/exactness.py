"""Random networks, exported and compared on every runtime: how many int8 values differ. Wanted: none.

python -m benchmarks.files.exactness --networks 20 --seed 0
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import Report, export_tflite, verify

NETWORKS = 20
SAMPLES = 8
CLASSES = 10
DECAYS = (0.0, 0.1, 0.25, 0.5, 0.9, 1.0)
THRESHOLDS = (0.3, 0.5, 1.0)
RESETS = ("zero", "subtract", "none")
SPREAD = (0.5, 1.0)  # of a threshold or decay for every channel, as a factor of the layer's
TIMESTEPS = (1, 2, 3, 4, 8)
INPUT_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


def random_model(rng: np.random.Generator, *, input_range: tuple[float, float], timesteps: int) -> keras.Model:
    """One to four convolutions on a small rectangular image, all weights as far from initial as training could."""
    shape = (int(rng.integers(8, 17)), int(rng.integers(8, 17)), int(rng.integers(1, 4)))
    model = keras.Sequential([keras.Input(shape)])
    low, high = input_range
    model.add(layers.Rescaling(2 / (high - low), offset=-1 - 2 * low / (high - low)))
    model.add(DirectEncoding(timesteps))
    for layer in random_body(rng):
        model.add(layer)
    ending = (layers.GlobalAveragePooling2D(), layers.Flatten())[rng.integers(2)]
    model.add(PerTimestep(ending))
    model.add(PerTimestep(layers.Dense(CLASSES)))
    model.add(TimeAverage())
    randomize(model, rng)
    return model


def random_body(rng: np.random.Generator) -> Iterator[keras.layers.Layer]:
    """Convolutions, each with batch normalization and neurons behind it, and a pooling layer at most once."""
    pooled = False
    for _ in range(rng.integers(1, 5)):
        convolution = random_convolution(rng)
        yield PerTimestep(convolution)
        yield PerTimestep(layers.BatchNormalization())
        kind = BinaryLIF if rng.random() < 0.2 else TernaryLIF
        yield kind(**random_dynamics(rng, getattr(convolution, "filters", None)))
        if not pooled and rng.random() < 0.3:
            pooled = True
            maximum = kind is TernaryLIF and rng.random() < 0.5  # behind binary neurons it needs a positive amplitude
            yield PerTimestep(layers.MaxPooling2D(2) if maximum else layers.AveragePooling2D(2))


def random_dynamics(rng: np.random.Generator, channels: int | None) -> dict[str, object]:
    """Decay, threshold and reset; every third of the first two has one for every channel. channels: None if unknown."""
    options: dict[str, object] = {"reset": str(rng.choice(RESETS, p=(0.5, 0.25, 0.25)))}
    for name, values in (("decay", DECAYS), ("threshold", THRESHOLDS)):
        value = float(rng.choice(values))
        several = channels and rng.random() < 1 / 3
        options[name] = (value * rng.uniform(*SPREAD, channels)).tolist() if several else value
    return options


def random_convolution(rng: np.random.Generator) -> keras.layers.Layer:
    options = {"kernel_size": int(rng.choice((1, 3, 5))), "padding": "same", "use_bias": bool(rng.integers(2))}
    if rng.random() < 0.25:
        return layers.DepthwiseConv2D(**options)
    options |= ({}, {"strides": 2}, {"dilation_rate": 2})[rng.integers(3)]
    return layers.Conv2D(int(rng.integers(4, 25)), **options)


def randomize(model: keras.Model, rng: np.random.Generator) -> None:
    """Draws statistics and amplitudes as training could leave them: negative gammas and amplitudes among them."""
    draws = {
        "gamma": lambda size: rng.normal(0.8, 0.5, size),
        "beta": lambda size: rng.normal(0, 0.2, size),
        "moving_mean": lambda size: rng.normal(0, 0.3, size),
        "moving_variance": lambda size: rng.uniform(0.3, 2, size),
        "bias": lambda size: rng.normal(0, 0.1, size),
        "amplitude": lambda size: rng.choice((-1.3, 0.7, 1.1), size),
    }
    for weight in model.weights:
        if weight.name in draws:
            weight.assign(draws[weight.name](weight.shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    rng = np.random.default_rng(arguments.seed)
    reports = []
    for number in range(arguments.networks):
        keras.utils.set_random_seed(arguments.seed + number)
        report = examine(rng)
        print(f"network {number}: {report if isinstance(report, str) else first_line(report)}", flush=True)
        reports += [] if isinstance(report, str) else [report]
    print(f"\n{len(reports)} networks exported, {arguments.networks - len(reports)} refused with a reason\n")
    print(setting.table([("runtime", "compared with Program.run", "differing"), *totals(reports)]))


def examine(rng: np.random.Generator) -> Report | str:
    """Exports and verifies one random network. Returns: the report, or why the exporter refused."""
    input_range, timesteps = INPUT_RANGES[rng.integers(len(INPUT_RANGES))], int(rng.choice(TIMESTEPS))
    model = random_model(rng, input_range=input_range, timesteps=timesteps)
    samples = rng.uniform(*input_range, (SAMPLES, *model.input_shape[1:])).astype("float32")
    try:
        return verify(model, export_tflite(model, input_range=input_range), samples)
    except ValueError as error:
        return f"refused: {error}"


def first_line(report: Report) -> str:
    operators, rate = sum(report.operators.values()), np.mean(list(report.firing_rates.values()))
    verdict = str(report).splitlines()[0].split(": ", 1)[1]
    return f"{verdict}; {operators} operators, {report.file_bytes:,} bytes, firing rate {rate:.2f}"


def totals(reports: Sequence[Report]) -> list[tuple[str, str, str]]:
    """By runtime: how many values were compared and how many differ, over all networks."""
    compared, differing = Counter(), Counter()
    for report in reports:
        for name, comparison in report.runtimes.items():
            compared[name] += comparison.values + comparison.output_values
            differing[name] += comparison.differing + comparison.output_differing
    return [(name, f"{compared[name]:,}", f"{differing[name]:,}") for name in compared]


if __name__ == "__main__":
    main()
