"""What the blocks of the pages find: the names that they use without saying where from, of small things."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_ternary_spike
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, export, models

CLASSES = 10
SEQUENCE = (49, 40)  # timesteps, features


def names_for(page):
    """The names for a page: those of every page, and its own."""
    return COMMON() | PAGES.get(page, dict)()


def COMMON():
    rng = np.random.default_rng(0)
    images, labels = rng.random((64, 28, 28, 1), "float32"), rng.integers(0, CLASSES, 64)
    model = models.tiny(images.shape[1:], CLASSES, width=0.5)
    compiled(model)
    data = {
        "images": images,
        "labels": labels,
        "train_images": images,
        "train_labels": labels,
        "x": images,
        "y": labels,
    }
    things = {"model": model, "tflite_bytes": export.export_tflite(model), "samples": images[:4]}
    libraries = {"keras": keras, "layers": keras.layers, "np": np, "tf": tf, "Path": Path, "models": models}
    public = {
        name: getattr(room, name)
        for room in (keras_ternary_spike, export)
        for name in room.__all__
        if not name.startswith("_")
    }
    return {"__name__": "page"} | libraries | public | data | things


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])


def relu_network():
    layers = keras.layers
    convolution = layers.Conv2D(4, 3, strides=4, activation="relu")
    network = [convolution, layers.Flatten(), layers.Dense(CLASSES, activation="softmax")]
    return {"relu_model": keras.Sequential([keras.Input((28, 28, 1)), *network])}


def neuron():
    return {"spikes": keras.Input((4, 16))}


def stream():
    layers = [PerTimestep(keras.layers.Dense(8)), TernaryLIF(), PerTimestep(keras.layers.Dense(CLASSES)), TimeAverage()]
    frames = np.random.default_rng(0).random(SEQUENCE, "float32")
    model = keras.Sequential([keras.Input(SEQUENCE), *layers])
    return {"model": model, "frames": frames, "microphone": frames, "spikes": keras.Input((4, 1, 5, 64))}


def events():
    rng = np.random.default_rng(0)
    where = rng.integers(0, 128, (500, 2))
    stream = np.column_stack([where, np.sort(rng.integers(0, 300_000, 500)), rng.integers(0, 2, 500)])
    return {"model": models.tiny((3, 64, 64, 1), CLASSES, timesteps=3, width=0.5), "events": stream}


def two_inputs():
    inputs = {name: keras.Input((8, 8, 1), name=name) for name in ("image", "motion")}
    currents = [PerTimestep(keras.layers.Conv2D(4, 3))(DirectEncoding(2)(value)) for value in inputs.values()]
    value = PerTimestep(keras.layers.Flatten())(TernaryLIF()(keras.layers.Add()(currents)))
    value = TimeAverage()(PerTimestep(keras.layers.Dense(CLASSES))(value))
    rng = np.random.default_rng(0)
    images, motions = rng.uniform(0, 255, (4, 8, 8, 1)), rng.uniform(-1, 1, (4, 8, 8, 1))
    return {"model": keras.Model(inputs, value), "images": images, "motions": motions}


def digits():
    return {"images": np.random.default_rng(0).random((4, 8, 8, 1), "float32")}


def nir_file():
    write_nir("network.nir")
    return {}


def write_nir(path):
    import nir

    rng = np.random.default_rng(0)
    ones = np.ones(3, "float32")
    neuron = nir.LIF(tau=4e-4 * ones, r=4 * ones, v_leak=0 * ones, v_threshold=ones)
    linear = nir.Affine(weight=rng.normal(size=(3, 5)).astype("float32"), bias=0 * ones)
    nir.write(path, nir.NIRGraph.from_list(linear, neuron))


def color_images():
    images = np.random.default_rng(0).random((64, 32, 32, 3), "float32")
    model = models.tiny(images.shape[1:], CLASSES, width=0.5)
    return {"images": images, "model": model}


def coming_from_elsewhere():
    images = np.random.default_rng(0).random((64, 16, 16, 3), "float32")
    layers = [keras.layers.Flatten(), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(CLASSES)]
    return {"images": images, "relu_model": keras.Sequential([keras.Input((16, 16, 3)), *layers])}


PAGES = {
    "docs/conversion.md": relu_network,
    "docs/events.md": events,
    "docs/imports.md": nir_file,
    "docs/migration.md": coming_from_elsewhere,
    "docs/models.md": digits,
    "docs/neuron.md": neuron,
    "docs/streaming.md": stream,
    "docs/targets.md": two_inputs,
    "docs/training.md": color_images,
}
