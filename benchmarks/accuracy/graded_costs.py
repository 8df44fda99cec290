"""What a graded file of one timestep costs beside ReLU: bytes, time in XNNPACK, cycles of an Ethos-U.

    python -m benchmarks.accuracy.graded_costs                    the network of benchmarks/accuracy/front.py, {0..4}

Beside the same layers with ReLU twice: by this package's emitter, and by TensorFlow's converter. Metadata: the bytes
with which a file says what its layers are. Weights are random, of the same seed; no cost depends on them but a few
bytes. Times are of alternating runs on one thread, medians and quartiles of their ratios, and of the fastest runs,
which a busy machine disturbs least; cycles are Vela's estimate.
"""

from __future__ import annotations

import argparse

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np
from keras import layers

import baseline
from benchmarks.accuracy import front
from keras_ternary_spike import MultiLevelLIF
from keras_ternary_spike.export import check, export_tflite
from keras_ternary_spike.export.costs.relu_network import relu_network
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.tflite import flatbuffer

SHAPE, CLASSES, ROUNDS, SAMPLES = (28, 28, 1), 10, 200, 200
TARGETS = ("ethos-u55-128", "ethos-u65-256")
GRADED = "graded, {0..4}"


def files() -> dict[str, bytes]:
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).random((SAMPLES, *SHAPE)).astype("float32")
    spiking = {"neuron": MultiLevelLIF, "levels": 4, "signed": False, "threshold": 0.25}
    graded, relu = (front.wide(SHAPE, CLASSES, timesteps=1, **each) for each in (spiking, {"neuron": layers.ReLU}))
    return {
        GRADED: export_tflite(graded, samples=images),
        "ReLU, same emitter": flatbuffer.write(relu_network(fold_network(describe(graded)))),
        "ReLU, TensorFlow's converter": baseline.convert_int8(relu, images),
    }


def metadata_bytes(content: bytes) -> int:
    """Of this package's metadata."""
    return sum(len(text) for text in content.split(b"\0") if text.startswith(b'{"network":'))


def ratio(one: np.ndarray, other: np.ndarray) -> str:
    found = baseline.latency(one / other)
    return f"{found.median:.3f} ({found.low:.3f} to {found.high:.3f}) / {one.min() / other.min():.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    contents = files()
    image = np.random.default_rng(1).random(SHAPE).astype("float32")
    times = baseline.time_calls(baseline.file_calls(contents, image), rounds=rounds)
    cycles = {
        name: [check(content, target=target).facts["cycles"] for target in TARGETS]
        for name, content in contents.items()
    }
    head = ("file", "bytes", "metadata", "graded to it", "time: graded to it")
    table = [(*head, *(f"{name}: graded to it" for name in TARGETS))]
    for name, content in contents.items():
        own = (f"{mine / theirs:.3f}" for mine, theirs in zip(cycles[GRADED], cycles[name], strict=True))
        sizes = (f"{len(content):,}", f"{metadata_bytes(content):,}", f"{len(contents[GRADED]) / len(content):.3f}")
        table.append((name, *sizes, ratio(times[GRADED], times[name]), *own))
    print(setting.describe())
    print(setting.table(table))


if __name__ == "__main__":
    main()
