"""Keras's DataParallel on JAX: two virtual devices train the weights of one."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

TRAINING = Path(__file__).parents[2] / "helpers" / "parallel_training.py"


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="keras.distribution.DataParallel exists on JAX only")
def test_two_devices_train_the_weights_of_one(tmp_path):
    trained = {}
    for how in ("single", "data_parallel"):
        path = tmp_path / f"{how}.npz"
        subprocess.run([sys.executable, TRAINING, how, path], check=True, capture_output=True, timeout=240)
        with np.load(path) as file:
            trained[how] = [file[name] for name in file.files]
    assert len(trained["single"]) == 5
    for one, other in zip(trained["single"], trained["data_parallel"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
