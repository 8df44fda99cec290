"""Apache TVM imports a file with depthwise kernels of one scale, and computes its integers."""

import importlib.util

import keras
import pytest
from keras import layers

from benchmarks.files.apache_tvm import differing
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite

MISSING = [name for name in ("tvm", "tflite") if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(bool(MISSING), reason="Apache TVM is not installed: pip install apache-tvm tflite")
def test_tvm_computes_the_integers_of_a_file():
    keras.utils.set_random_seed(0)
    body = [layers.SeparableConv2D(3, 3, padding="same"), layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(4)]
    front, *rest = map(PerTimestep, body)
    model = keras.Sequential([keras.Input((6, 6, 2)), DirectEncoding(2), front, TernaryLIF(), *rest, TimeAverage()])
    assert differing(export_tflite(model, output_range=(-9, 9))) == (0, 4 * 4)
