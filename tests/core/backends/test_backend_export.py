"""A model trained on any backend exports to the bytes that TensorFlow writes. Runs on each backend."""

import hashlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_ternary_spike import BatchNormalization, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite

EXPORT = """
import hashlib, sys
import keras
from keras_ternary_spike.export import export_tflite

model = keras.models.load_model(sys.argv[1], compile=False)
print(keras.backend.backend(), hashlib.sha256(export_tflite(model)).hexdigest())
"""
TENSORFLOW_PYTHON = os.environ.get("TENSORFLOW_PYTHON")
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(timesteps=2)])
    for filters in (4, 6):
        model.add(PerTimestep(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)))
        model.add(PerTimestep(BatchNormalization()))
        model.add(TernaryLIF())
    for layer in (PerTimestep(keras.layers.Flatten()), PerTimestep(keras.layers.Dense(3)), TimeAverage()):
        model.add(layer)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    before = [weight.copy() for weight in model.get_weights()]
    model.fit(rng.random((32, 6, 6, 1), "float32"), rng.integers(0, 3, 32), batch_size=8, epochs=2, verbose=0)
    assert any(np.any(old != new) for old, new in zip(before, model.get_weights(), strict=True))
    return model


@pytest.mark.skipif(not TENSORFLOW_PYTHON, reason="TENSORFLOW_PYTHON names none: make test-backends sets it")
def test_tensorflow_writes_the_bytes_that_this_backend_writes(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    command = [TENSORFLOW_PYTHON, "-c", EXPORT, str(tmp_path / "model.keras")]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["tensorflow", hashlib.sha256(export_tflite(trained)).hexdigest()]


@pytest.mark.skipif(ON_TENSORFLOW, reason="TensorFlow itself is the backend")
def test_neither_training_nor_export_imports_tensorflow(trained):
    export_tflite(trained)
    assert "tensorflow" not in sys.modules
