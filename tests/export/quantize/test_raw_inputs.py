"""Samples that are int8 already: the file's input is those integers."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, load
from keras_ternary_spike.export.program.samples import quantize_input


def network(*before):
    keras.utils.set_random_seed(0)
    chain = [*before, DirectEncoding(2), PerTimestep(layers.Conv2D(3, 3, padding="same")), TernaryLIF()]
    ends = [PerTimestep(layers.Flatten()), layers.Dense(3), TimeAverage()]
    return keras.Sequential([keras.Input((4, 4, 2), name="events"), *chain, *ends])


@pytest.mark.parametrize("raw", ["int8", {"events": "int8"}, (-128, 127)])
def test_raw_integers_are_the_input_of_the_file(raw):
    program = load(export_tflite(network(layers.Rescaling(0.1)), input_range=raw, output_range=(-9, 9))).program
    tensor = program.tensors[program.inputs[0]]
    assert (float(tensor.scale), tensor.zero_point) == (1.0, 0)
    events = np.random.default_rng(0).integers(-128, 128, (5, 4, 4, 2))
    np.testing.assert_array_equal(quantize_input(program, events), events)


def test_an_offset_in_front_of_padding_is_refused_and_without_it_integers_go_in():
    shifted = network(layers.Rescaling(0.1, offset=-0.25))
    with pytest.raises(ValueError, match=r"'int8'.*no offset.*'events'.*Leave the offset out, or give the range"):
        export_tflite(shifted, input_range="int8", output_range=(-9, 9))
    assert export_tflite(shifted, input_range=(-128, 127), output_range=(-9, 9))
    assert export_tflite(network(layers.Rescaling(0.1)), input_range="int8", output_range=(-9, 9))


def test_another_word_is_refused():
    with pytest.raises(ValueError, match=r"`input_range` must be \(low, high\), or 'int8'.*Received: 'uint8'"):
        export_tflite(network(), input_range="uint8")
