"""What spikes cost, and what the exporter saves: latency against ReLU, and against TensorFlow's converter.

    python -m benchmarks.files.latency
    python -m benchmarks.files.latency --networks resnet20 --rounds 20

Three ratios of alternating runs on one XNNPACK thread, medians and quartiles, and behind a slash the ratio of the
fastest runs, which a busy machine disturbs least:

    times ReLU     to the same network as a ReLU int8 CNN, both written by this package's emitter. Wanted for 1, 2 and
                   4 timesteps: at most 1.1, 2.3 and 4.6. The time of a dense int8 operator does not depend on weights.
    times stock    to the full-int8 file that TensorFlow's converter writes of the same network with ReLU, where the
                   network comes from `keras_ternary_spike.models`
    stock          full-int8 file of TensorFlow's converter for the same Keras model of two timesteps, to ours. Wanted:
                   at least 4.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

import baseline
from benchmarks.files import zoo
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.costs.relu_network import relu_network
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.tflite import flatbuffer

ROUNDS = 100
CALIBRATION_IMAGES = 4  # for the time of the stock converter's file their number does not matter
LIMITS = {1: 1.1, 2: 2.3, 4: 4.6}  # timesteps: wanted ratio to ReLU, at most
STOCK_TIMESTEPS, STOCK_WANTED = 2, 4  # wanted ratio of the stock converter's file to ours, at least
CHAINS = {"16-32-32-64": (16, 32, 32, 64), "32-64-64-128": (32, 64, 64, 128)}
STRIDES = (1, 2, 1, 2)
SHAPE = (28, 28, 1)
DENSE = {"784-1024-1024-1024": (1024, 1024, 1024)}
MLPERF_TINY = ("keyword_spotter", "visual_wake_words", "resnet8", "resnet8_wide", "wake_word", "anomaly_detector")
NETWORKS = (*CHAINS, *DENSE, "tiny", *MLPERF_TINY, "unet", "resnet20", "vgg", "ms_resnet")
RELU, STOCK, STOCK_RELU = "ReLU", "stock", "ReLU, stock"
HEADER = ("network", "timesteps", "operators", "latency", "times ReLU", "times stock ReLU", "stock", "wanted")


def chain(filters: tuple[int, ...], timesteps: int) -> keras.Model:
    """The example's network, excited so that an untrained one fires."""
    model = keras.Sequential([keras.Input(SHAPE), DirectEncoding(timesteps)])
    for count, stride in zip(filters, STRIDES, strict=True):
        model.add(PerTimestep(layers.Conv2D(count, 3, strides=stride, padding="same", use_bias=False)))
        model.add(PerTimestep(layers.BatchNormalization(gamma_initializer=keras.initializers.Constant(4.0))))
        model.add(TernaryLIF())
    model.add(PerTimestep(layers.GlobalAveragePooling2D()))
    model.add(PerTimestep(layers.Dense(10)))
    model.add(TimeAverage())
    return model


def dense(units: tuple[int, ...], timesteps: int) -> keras.Model:
    """Layers that read all of the layer before, as excited."""
    model = keras.Sequential([keras.Input((math.prod(SHAPE),)), DirectEncoding(timesteps)])
    for count in units:
        model.add(PerTimestep(layers.Dense(count)))
        model.add(TernaryLIF(threshold=0.25))
    model.add(PerTimestep(layers.Dense(10)))
    model.add(TimeAverage())
    return model


def network(name: str, timesteps: int) -> keras.Model:
    if name not in CHAINS | DENSE:
        return zoo.randomized(name, timesteps=timesteps)
    keras.utils.set_random_seed(0)
    return dense(DENSE[name], timesteps) if name in DENSE else chain(CHAINS[name], timesteps)


def files(name: str) -> dict[str, bytes]:
    """By number of timesteps ours, that for LiteRT where it is another, the ReLU network, and the stock converter's."""
    models = {timesteps: network(name, timesteps) for timesteps in LIMITS}
    result = {str(timesteps): export_tflite(model) for timesteps, model in models.items()}
    wide = {f"{timesteps}, litert": export_tflite(model, target="litert") for timesteps, model in models.items()}
    result |= {key: content for key, content in wide.items() if content not in result.values()}
    result[RELU] = flatbuffer.write(relu_network(fold_network(describe(models[1]))))
    stock = models[STOCK_TIMESTEPS]
    images = zoo.noise(CALIBRATION_IMAGES, stock.input_shape[1:]).astype("float32")
    if name not in CHAINS | DENSE:
        result[STOCK_RELU] = baseline.convert_int8(zoo.with_relu(name), images)
    return {**result, STOCK: baseline.convert_int8(stock, images)}


def rows(name: str, rounds: int) -> Iterator[tuple[str, ...]]:
    """One row per file of one network."""
    contents = files(name)
    image = zoo.noise(1, network(name, 1).input_shape[1:])[0]
    times = baseline.time_calls(baseline.file_calls(contents, image), rounds=rounds)
    for key, tflite_bytes in contents.items():
        latency = setting.spread(times[key], " ms")
        if key == STOCK:
            against = ratio(times[key], times[str(STOCK_TIMESTEPS)])
            yield (
                name,
                f"{STOCK}, {STOCK_TIMESTEPS}",
                "",
                latency,
                "",
                "",
                f"{against} times ours",
                f">= {STOCK_WANTED}",
            )
            continue
        operators = "" if key == STOCK_RELU else str(len(flatbuffer.read(tflite_bytes).operators))
        beside = ratio(times[key], times[STOCK_RELU]) if STOCK_RELU in times else ""
        timesteps = key.split(",")[0]
        wanted = f"<= {LIMITS[int(timesteps)]}" if timesteps.isdigit() else ""
        yield name, key, operators, latency, ratio(times[key], times[RELU]), beside, "", wanted


def ratio(one: np.ndarray, other: np.ndarray) -> str:
    """Of milliseconds taken in turns: the median and the quartiles, and that of the fastest of each."""
    return f"{setting.spread(one / other, digits=2)} / {one.min() / other.min():.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    found = [row for name in arguments.networks for row in rows(name, arguments.rounds)]
    print(setting.table([HEADER, *found]))


if __name__ == "__main__":
    main()
