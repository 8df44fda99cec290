"""The ReLU network of a sweep: built without neurons, written by TensorFlow's converter, counted and run."""

import keras
import numpy as np
import pytest

from digits_sweep import CONFIG, write_config
from keras_models import computed
from keras_ternary_spike.export.sweep.config import read_config
from keras_ternary_spike.export.sweep.data import load_data
from keras_ternary_spike.export.sweep.network import build_network, check_network
from keras_ternary_spike.export.sweep.relu import multiply_accumulates, predict_int8, stock_int8


def given(tmp_path, options=""):
    text = CONFIG.replace("width = [0.5]", 'neuron = ["relu"]').replace('name = "tiny"', f'name = "tiny"\n{options}')
    config = read_config(write_config(tmp_path, text))
    return config, load_data(config)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_its_file_is_what_the_network_computes_and_multiplies(tmp_path):
    config, data = given(tmp_path, "options = {threshold = 0.25}")  # of neurons, which ReLU is not
    check_network(config, data)
    model = build_network(config.points[0], config, data)
    assert sum(isinstance(layer, keras.layers.ReLU) for layer in model.layers) == 3
    tflite_bytes = stock_int8(model, data)
    # 3x3 convolutions of stride 2 on 8x8 pixels: 4x4, 2x2 and one, of 1, 8 and 16 channels; 32 features, 10 classes.
    assert multiply_accumulates(tflite_bytes) == 9 * (16 * 1 * 8 + 4 * 8 * 16 + 1 * 16 * 32) + 32 * 10
    expected = computed(model, data.test_images)
    found = predict_int8(tflite_bytes, data.test_images)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99
