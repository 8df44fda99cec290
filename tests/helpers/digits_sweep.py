"""The sweep that tests make: its configuration, 300 digits in an .npz file, a network of one spiking layer."""

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRAIN, TEST = 200, 100
CONFIG = """
[data]
file = "digits.npz"
[network]
name = "tiny"
[training]
epochs = 1
batch_size = 50
[grid]
timesteps = [1, 2]
width = [0.5]
[measure]
samples = 60
"""


def write_digits(folder):
    """digits.npz: the first 200 images for training, 100 for testing, `(8, 8, 1)` in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1)
    splits = {"train": slice(TRAIN), "test": slice(TRAIN, TRAIN + TEST)}
    arrays = {f"{name}_images": images[part] for name, part in splits.items()}
    np.savez(folder / "digits.npz", **arrays, **{f"{name}_labels": labels[part] for name, part in splits.items()})


def write_config(folder, text):
    """The path of sweep.toml, with digits.npz beside it."""
    write_digits(folder)
    (folder / "sweep.toml").write_text(text)
    return folder / "sweep.toml"


def own_network(shape, classes, *, timesteps, decay, width, units=8):
    layers = keras.layers
    model = keras.Sequential([keras.Input(shape), DirectEncoding(timesteps), PerTimestep(layers.Flatten())])
    model.add(PerTimestep(layers.Dense(round(units * width))))
    model.add(TernaryLIF(decay=decay))
    model.add(PerTimestep(layers.Dense(classes)))
    model.add(TimeAverage())
    return model
