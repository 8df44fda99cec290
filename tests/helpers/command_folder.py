"""The folder that the command runs in: a small model, samples, and what a failure must leave as it was."""

import keras
import numpy as np

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export.__main__ import main


def small_model():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    dense = [PerTimestep(layers.Dense(6)), TernaryLIF(), PerTimestep(layers.Dense(3)), TimeAverage()]
    return keras.Sequential([keras.Input((5,), name="features"), DirectEncoding(2), *dense], name="tiny")


def fill(folder, model):
    """model.keras, and samples.npz with ten samples for it."""
    model.save(folder / "model.keras")
    np.savez(folder / "samples.npz", samples=np.random.default_rng(0).random((10, 5)))


def assert_fails(capsys, folder, arguments, message):
    """One line "error: ..." that holds `message`, exit code 1, and the files are the same as before."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], lines
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
