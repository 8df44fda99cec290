"""OpenVINO computes the integers of the ONNX file in float32."""

import importlib.util

import keras
import pytest
from keras import layers

from benchmarks.files.openvino import differing, in_openvino
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_onnx, export_tflite
from keras_ternary_spike.export.tflite import flatbuffer

MISSING = [name for name in ("openvino", "onnx") if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: pip install {' '.join(MISSING)}")
def test_openvino_computes_the_integers_of_an_onnx_file_in_float32():
    keras.utils.set_random_seed(0)
    body = [layers.SeparableConv2D(8, 3, padding="same"), layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(4)]
    front, *rest = map(PerTimestep, body)
    model = keras.Sequential([keras.Input((6, 6, 2)), DirectEncoding(2), front, TernaryLIF(), *rest, TimeAverage()])
    tflite_bytes = export_tflite(model, output_range=(-9, 9))
    run = in_openvino(export_onnx(tflite_bytes, operators="float32"), "ACCURACY")
    assert differing(flatbuffer.read(tflite_bytes), run) == (0, 20 * 4)
