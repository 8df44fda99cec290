"""The range of what a network gives: given, from samples, proven, or a guess that is said to be one."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import BinaryLIF, DirectEncoding, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, load, quantize_aware, verify

INPUTS, HIDDEN = 5, 60


def network(units, *, bias=0.0, weight=1.0, threshold=0.2, activation=None, neuron=TernaryLIF):
    """Dense, neuron, Dense with one bias and weights up to `weight`."""
    keras.utils.set_random_seed(0)
    x = keras.Input((INPUTS,), name="x")
    spikes = neuron(threshold=threshold)(layers.Dense(HIDDEN)(DirectEncoding(2)(x)))
    kernel = keras.initializers.RandomUniform(-weight, weight)
    numbers = layers.Dense(units, kernel_initializer=kernel, bias_initializer=keras.initializers.Constant(bias))(spikes)
    return keras.Model(x, layers.Activation(activation, name="y")(TimeAverage()(numbers)))


def reached(tflite_bytes):
    """(smallest, largest) number that the output tensor can hold, and its step."""
    program = load(tflite_bytes).program
    tensor = program.tensors[program.outputs[0]]
    low, high = (float(tensor.scale) * (end - tensor.zero_point) for end in (-128, 127))
    return low, high, float(tensor.scale)


@pytest.fixture
def samples(rng):
    return rng.uniform(0, 1, (64, INPUTS)).astype("float32")


def test_a_single_number_has_a_range_that_no_input_leaves(recwarn):
    model = network(1, bias=3.0, weight=2.0)
    tflite_bytes = export_tflite(model)
    kernel, bias = (np.asarray(value, np.float64) for value in model.get_layer(index=-3).get_weights())
    # Every spike at its worst, at all timesteps.
    low, high, step = reached(tflite_bytes)
    assert low <= bias[0] - np.abs(kernel).sum() + step / 2 and high >= bias[0] + np.abs(kernel).sum() - step / 2
    assert step <= 1.05 * 2 * np.abs(kernel).sum() / 255 + 3.0 / 127
    assert not [warning for warning in recwarn if "guess" in str(warning.message)]


def test_spikes_of_one_sign_reach_only_one_end_of_each_weight():
    model = network(1, weight=2.0, neuron=BinaryLIF)
    kernel = np.asarray(model.get_layer(index=-3).get_weights()[0], np.float64)
    low, high, step = reached(export_tflite(model))
    assert low == pytest.approx(np.minimum(kernel, 0).sum(), abs=4 * step)  # rounded kernels reach a few steps further
    assert high == pytest.approx(np.maximum(kernel, 0).sum(), abs=4 * step)


def test_no_input_at_all_saturates_a_single_number():
    tflite_bytes = export_tflite(network(1, bias=3.0, weight=2.0))
    program = load(tflite_bytes).program
    corners = np.array(list(itertools.product((-128, -30, 0, 60, 127), repeat=INPUTS)), np.int8)
    integers = program.run(corners)
    assert integers.min() > -128 and integers.max() < 127


def test_several_numbers_are_a_guess_that_is_warned_of():
    with pytest.warns(UserWarning, match=r"range of output 'y' is a guess.*samples=.*output_range=\(low, high\)"):
        tflite_bytes = export_tflite(network(3))
    assert load(tflite_bytes).program.metadata["guessed_outputs"] == ["y"]


@pytest.mark.parametrize("kind", ["softmax", "loss"])
def test_classes_are_not_warned_of(kind, recwarn):
    model = network(3, activation="softmax" if kind == "softmax" else None)
    if kind == "loss":
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    export_tflite(model)
    assert not [warning for warning in recwarn if "guess" in str(warning.message)]


def test_samples_tell_the_range_and_whether_it_has_two_sides(samples):
    model = network(2, bias=20.0)
    expected = computed(model, samples)
    low, high, step = reached(export_tflite(model, samples=samples, verbose=0))
    margin = np.ptp(expected) / 32
    assert low == pytest.approx(0, abs=step)  # 0 is always held, nothing below is
    assert high == pytest.approx(expected.max() + margin, abs=step)


def test_regression_far_from_zero_is_as_fine_as_eight_bits_over_its_range_allow(samples):
    model = network(1, bias=305.0, weight=0.8)
    expected = computed(model, samples)
    tflite_bytes = export_tflite(model, samples=samples, verbose=0)
    step = (expected.max() + np.ptp(expected) / 32) / 255  # int8 with a zero point holds 0 to the largest
    assert reached(tflite_bytes)[2] == pytest.approx(step, rel=0.02)
    assert np.abs(load(tflite_bytes).predict(samples) - expected).mean() < 0.5 * step


def test_a_given_range_is_kept_whatever_the_samples(samples):
    low, high, step = reached(export_tflite(network(2), output_range=(-10, 30), samples=samples, verbose=0))
    assert low == pytest.approx(-10, abs=step) and high == pytest.approx(30, abs=step)


def test_a_range_is_given_to_one_of_several_outputs_by_name(samples):
    keras.utils.set_random_seed(0)
    x = keras.Input((INPUTS,))
    spikes = TernaryLIF(threshold=0.2)(layers.Dense(HIDDEN)(DirectEncoding(2)(x)))
    outputs = {name: TimeAverage(name=name)(layers.Dense(2)(spikes)) for name in ("near", "far")}
    program = load(export_tflite(keras.Model(x, outputs), output_range={"far": (0, 510)})).program
    scales = {name: float(program.tensors[index].scale) for name, index in program.named_outputs.items()}
    assert scales["far"] == pytest.approx(2.0) and scales["near"] < 0.1


def test_what_is_no_output_is_refused_by_name():
    with pytest.raises(ValueError, match=r"`output_range` must be.*\['y'\].*Received ranges for: \['z'\]"):
        export_tflite(network(2), output_range={"z": (0, 1)})
    with pytest.raises(ValueError, match=r"`output_range` must be \(low, high\) with low < high"):
        export_tflite(network(2), output_range=(1, 0))


@pytest.mark.parametrize("units", [1, 3])
def test_a_network_that_is_silent_on_noise_is_exported(units, samples):
    model = network(units, threshold=50.0, bias=0.0)
    report = verify(model, export_tflite(model, output_range=(-2, 2)), samples)
    assert report.exact
    assert verify(model, export_tflite(model), samples).exact


def test_where_noise_is_silent_no_input_leaves_the_range_of_several_numbers(recwarn):
    model = network(3, threshold=50.0, bias=1.0)
    kernel = np.asarray(model.get_layer(index=-3).get_weights()[0], np.float64)
    low, high, step = reached(export_tflite(model))
    worst = np.abs(kernel).sum(axis=0).max() + 1
    assert low <= step - worst and worst - step <= high < 1.1 * worst
    assert not [warning for warning in recwarn if "guess" in str(warning.message)]


@pytest.mark.parametrize("bias", [0.0, 40.0, -7.0])
def test_every_runtime_and_integer_exact_training_agree_on_a_zero_point(bias, samples):
    model = network(2, bias=bias)
    exact = quantize_aware(model, samples=samples)
    tflite_bytes = export_tflite(exact)
    assert reached(tflite_bytes)[2] == reached(export_tflite(model, samples=samples, verbose=0))[2]
    assert verify(exact, tflite_bytes, samples).exact
    np.testing.assert_array_equal(computed(exact, samples), load(tflite_bytes).predict(samples))


def test_an_exact_model_has_its_range_in_it(samples):
    exact = quantize_aware(network(2), output_range=(-3, 5))
    with pytest.raises(ValueError, match="trained on integers has its output range in it"):
        export_tflite(exact, output_range=(-1, 1))
    assert reached(export_tflite(exact))[:2] == pytest.approx((-3, 5), abs=0.05)
