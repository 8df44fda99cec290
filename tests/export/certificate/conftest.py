"""A certificate of a small network, made once."""

import numpy as np
import pytest

from certified_models import build
from keras_ternary_spike.export import certify, export_tflite


@pytest.fixture(scope="session")
def model():
    return build()


@pytest.fixture(scope="session")
def tflite_bytes(model):
    return export_tflite(model)


@pytest.fixture(scope="session")
def samples():
    return np.random.default_rng(0).random((12, 6, 6, 1)).astype(np.float32)


@pytest.fixture(scope="session")
def certificate(model, tflite_bytes, samples):
    return certify(model, tflite_bytes, samples)
