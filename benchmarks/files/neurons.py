"""Every kind of neuron on one random network: spikes that equal the Keras model's, values that differ, operators.

python -m benchmarks.files.neurons --samples 32 --seed 0
"""

from __future__ import annotations

import argparse

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, verify
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.certificate.spikes import observe
from keras_ternary_spike.export.tflite.flatbuffer import read

TIMESTEPS = 4
FILTERS = 16
LAYERS = 3
IMAGE = (8, 8, 3)
DECAYS = np.linspace(0.1, 1.0, FILTERS).tolist()
THRESHOLDS = np.linspace(0.3, 1.0, FILTERS).tolist()
KINDS = {
    "one decay, hard reset": (TernaryLIF, {}),
    "thresholds per channel": (TernaryLIF, {"threshold": THRESHOLDS}),
    "decays per channel": (TernaryLIF, {"decay": DECAYS}),
    "subtract, decay 0.25": (TernaryLIF, {"reset": "subtract"}),
    "subtract, decay 1": (TernaryLIF, {"reset": "subtract", "decay": 1.0}),
    "subtract, decays per channel": (TernaryLIF, {"reset": "subtract", "decay": DECAYS}),
    "none, decay 0.25": (TernaryLIF, {"reset": "none"}),
    "none, decay 1": (TernaryLIF, {"reset": "none", "decay": 1.0}),
    "binary, subtract, decay 1": (BinaryLIF, {"reset": "subtract", "decay": 1.0}),
}


def random_model(kind: type, options: dict[str, object], rng: np.random.Generator) -> keras.Model:
    """Convolutions with normalized currents; the first reads a still image."""
    model = keras.Sequential([keras.Input(IMAGE), DirectEncoding(TIMESTEPS)])
    for index in range(LAYERS):
        norm = layers.BatchNormalization(name=f"norm_{index}")
        convolution = layers.Conv2D(FILTERS, 3, padding="same", use_bias=False, kernel_initializer="he_normal")
        model.add(PerTimestep(convolution))
        model.add(norm)
        model.add(kind(**options))
    for layer in (PerTimestep(layers.GlobalAveragePooling2D()), PerTimestep(layers.Dense(10)), TimeAverage()):
        model.add(layer)
    normalize(model, rng)
    return model


def normalize(model: keras.Model, rng: np.random.Generator) -> None:
    """Moving statistics of noise images, as training would leave them; layer behind layer."""
    images = rng.random((16, *IMAGE)).astype("float32")
    for index in range(LAYERS):
        norm = model.get_layer(f"norm_{index}")
        values = keras.ops.convert_to_numpy(keras.Model(model.inputs, norm.input)(images))
        axes = tuple(range(values.ndim - 1))
        norm.moving_mean.assign(values.mean(axes))
        norm.moving_variance.assign(values.var(axes))


def measure(kind: type, options: dict[str, object], samples: int, seed: int) -> tuple[str, ...]:
    """The row of one kind: equal spikes, values differing from Program's on any runtime, operators."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model = random_model(kind, options, rng)
    images, tflite_bytes = rng.random((samples, *IMAGE)).astype("float32"), export_tflite(model)
    report = verify(model, tflite_bytes, images)
    runtimes = report.runtimes.values()
    values = sum(comparison.values + comparison.output_values for comparison in runtimes)
    differing = sum(comparison.differing + comparison.output_differing for comparison in runtimes)
    shares = equal_spikes(model, tflite_bytes, images)
    return (
        ", ".join(f"{share:.1%}" for share in shares),
        f"{differing:,} of {values:,}",
        str(sum(report.operators.values())),
    )


def equal_spikes(model: keras.Model, tflite_bytes: bytes, images: np.ndarray) -> list[float]:
    """By layer: the share of spikes that are the Keras model's."""
    program = read(tflite_bytes)
    spikes, *_ = observe(model, program, prove(program), images)
    return [layer.share for layer in spikes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    rows = [(name, *measure(*kind, arguments.samples, arguments.seed)) for name, kind in KINDS.items()]
    heads = ("neuron", "spikes as in Keras, by layer", "values differing", "operators")
    print(setting.table([heads, *rows]))


if __name__ == "__main__":
    main()
