"""Floats in, floats out, without Keras or TensorFlow."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, load
from keras_ternary_spike.export.program.operators import Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.program.samples import count_saturating, dequantize_output, quantize_input


@pytest.fixture(scope="module")
def tflite_bytes():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((4, 3)),
        DirectEncoding(2),
        PerTimestep(keras.layers.Flatten()),
        PerTimestep(keras.layers.Dense(16)),
        TernaryLIF(),
        PerTimestep(keras.layers.Dense(3)),
        TimeAverage(),
    ]
    return export_tflite(keras.Sequential(layers), input_range=(-1.0, 1.0))


@pytest.fixture
def samples(rng):
    return rng.uniform(-1, 1, (70, 4, 3)).astype(np.float32)


def boundary(scale, zero_point):
    """A program that is nothing but its input and output tensors."""
    tensors = tuple(Tensor(name, (1, 4), np.float32(scale), zero_point) for name in ("in", "out"))
    return Program("boundary", tensors, (), (0,), (1,))


def test_inputs_are_rounded_half_to_even_and_saturated():
    samples = [[0.25, 0.75, -0.25, 1000.0], [-1000.0, 0.0, 1.25, 3.2]]
    integers = quantize_input(boundary(0.5, 10), np.array(samples))
    # in steps of 0.5: 0.5, 1.5, -0.5, 2000; -2000, 0, 2.5, 6.4
    assert integers.tolist() == [[10, 12, 10, 127], [-128, 10, 12, 16]]
    assert integers.dtype == np.int8


def test_only_values_that_round_beyond_int8_count_as_saturating():
    assert count_saturating(boundary(1.0, 0), np.array([[127.4, 127.6, -128.4, -128.6]])) == 2


def test_outputs_are_scale_times_distance_from_the_zero_point():
    values = dequantize_output(boundary(0.25, -8), np.array([[-8, -7, 0, 127]], np.int8))
    assert values.tolist() == [[0.0, 0.25, 2.0, 33.75]]
    assert values.dtype == np.float32


def test_predictions_are_the_programs_outputs_in_real_units(tflite_bytes, samples):
    predictor = load(tflite_bytes)
    program = predictor.program
    expected = dequantize_output(program, program.run(quantize_input(program, samples)))
    np.testing.assert_array_equal(predictor.predict(samples), expected)
    assert expected.shape == (70, 3)
    assert predictor.input_shape == (4, 3)
    assert predictor.output_shape == (3,)


@pytest.mark.parametrize("batch_size", [1, 32, 70, 1000])
def test_the_batch_size_does_not_change_predictions(batch_size, tflite_bytes, samples):
    predictor = load(tflite_bytes)
    expected = predictor.predict(samples)
    np.testing.assert_array_equal(predictor.predict(samples, batch_size=batch_size), expected)


def test_no_samples_give_no_predictions(tflite_bytes, samples):
    assert load(tflite_bytes).predict(samples[:0]).shape == (0, 3)


def test_a_sample_without_batch_axis_is_refused_with_the_way_out(tflite_bytes, samples):
    with pytest.raises(ValueError, match=r"shape \('samples', 4, 3\). Received: \(4, 3\).*samples\[None\]"):
        load(tflite_bytes).predict(samples[0])


def test_samples_that_are_not_finite_are_counted_and_refused(tflite_bytes, samples):
    samples[3, 2, 1], samples[4, 0, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"must be finite. Received: 2 of 840 values"):
        load(tflite_bytes).predict(samples)


def test_samples_that_are_not_numbers_are_refused(tflite_bytes, samples):
    with pytest.raises(ValueError, match=r"must be real numbers. Received: dtype complex64"):
        load(tflite_bytes).predict(samples.astype(np.complex64))


def test_a_batch_size_of_zero_is_refused(tflite_bytes, samples):
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 1. Received: batch_size=0"):
        load(tflite_bytes).predict(samples, batch_size=0)


def test_a_file_that_is_not_tflite_is_refused():
    with pytest.raises(ValueError, match=r"identifier TFL3"):
        load(b"not a model")


def test_predicting_imports_neither_keras_nor_tensorflow(tflite_bytes, samples, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tflite_bytes)
    np.save(tmp_path / "samples.npy", samples)
    script = (
        "import sys, pathlib, numpy as np\n"
        "from keras_ternary_spike.export import load\n"
        "print(load(pathlib.Path('model.tflite').read_bytes()).predict(np.load('samples.npy')).argmax(-1).tolist())\n"
        "print([name for name in ('tensorflow', 'keras', 'jax', 'torch') if name in sys.modules])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120
    )
    classes, imported = run.stdout.splitlines()
    assert classes == str(load(tflite_bytes).predict(samples).argmax(-1).tolist())
    assert imported == "[]"
