"""Models that integer-exact training refuses."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import TernaryLIF
from keras_ternary_spike.export import export_tflite, quantize_aware
from keras_ternary_spike.export.describe.rules.exact import check_exact


def dense(**neuron):
    return keras.Sequential([keras.Input((2, 4)), layers.Dense(3), TernaryLIF(**neuron)])


def test_a_model_is_made_exact_once():
    exact = quantize_aware(dense())
    with pytest.raises(ValueError, match=r"exact once.*which `quantize_aware` returned.*float model"):
        quantize_aware(exact)


def test_an_exported_file_is_refused():
    with pytest.raises(ValueError, match=r"`model` must be a Keras model. Received: b'"):
        quantize_aware(export_tflite(dense()))


@pytest.mark.parametrize("reset", ["subtract", "none"])
def test_neurons_that_a_spike_does_not_clear_are_refused(reset):
    with pytest.raises(ValueError, match=f"reset=\"zero\".*layer 'soft' with reset='{reset}'.*export the float"):
        quantize_aware(dense(reset=reset, name="soft"))


def test_sums_that_float32_cannot_count_are_refused():
    kernel, bias = np.full((1040, 1), 127.0), np.zeros(1)
    check_exact("head", kernel, bias, 127)  # 1040 * 127 * 127 = 16,774,160
    with pytest.raises(ValueError, match=r"16777216.*up to 16790289 in layer 'head'.*fewer inputs"):
        check_exact("head", np.full((1041, 1), 127.0), bias, 127)
