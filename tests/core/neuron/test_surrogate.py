"""Surrogates: area 1, closed forms, and the ways to name one."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import ATan, FastSigmoid, Rectangular, Sigmoid, Triangular
from keras_ternary_spike.neuron import surrogate as surrogates
from keras_ternary_spike.neuron.dynamics import Dynamics

SHAPES = [Rectangular, Triangular, ATan, Sigmoid, FastSigmoid]


def bump(surrogate, distance):
    return keras.ops.convert_to_numpy(surrogate(keras.ops.convert_to_tensor(distance)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_bump_has_area_one(shape, width):
    # distance = tan(angle) covers the whole line, heavy tails included
    angle = (np.arange(200_000) + 0.5) / 200_000 * np.pi - np.pi / 2
    values = bump(shape(width), np.tan(angle)) / np.cos(angle) ** 2
    assert values.mean() * np.pi == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    "surrogate, expected",
    [
        (Rectangular(2.0), [0.25, 0.25, 0.25, 0.0]),
        (Triangular(2.0), [0.5, 0.25, 0.0, 0.0]),
        (ATan(2.0), [1 / (2 * np.pi), 1 / (2.5 * np.pi), 1 / (4 * np.pi), 1 / (6.5 * np.pi)]),
        (Sigmoid(2.0), [0.125, 0.1175018561, 0.0983059667, 0.0745732329]),
        (FastSigmoid(2.0), [1 / 4, 1 / 9, 1 / 16, 1 / 25]),
    ],
)
def test_bump_has_its_closed_form(surrogate, expected):
    distance = np.array([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(bump(surrogate, distance), expected, atol=1e-9)
    np.testing.assert_allclose(bump(surrogate, -distance), expected, atol=1e-9)


@pytest.mark.parametrize("threshold", [0.5, 0.3, 1.0, 0.7])
def test_rectangle_of_width_one_is_the_papers_with_its_edges(threshold):
    edge = 2 * np.float32(threshold)
    inside = np.array([-edge, -threshold, 0.0, threshold, edge], "float32")
    outside = np.array([-1.001, 1.001], "float32") * edge
    slope = Dynamics(surrogate=Rectangular()).spike_slope
    expected = [1 / (2 * threshold)] * 5
    np.testing.assert_allclose(slope(keras.ops.convert_to_tensor(inside), threshold), expected, rtol=1e-6)
    np.testing.assert_array_equal(slope(keras.ops.convert_to_tensor(outside), threshold), [0.0, 0.0])


def test_slope_of_a_binary_neuron_ignores_the_negative_threshold():
    slope = Dynamics(levels="binary", surrogate=Rectangular(0.5)).spike_slope
    membrane = keras.ops.convert_to_tensor(np.array([-0.5, 0.0, 0.25, 0.5, 0.75, 1.0], "float32"))
    np.testing.assert_array_equal(slope(membrane, 0.5), [0.0, 0.0, 2.0, 2.0, 2.0, 0.0])


@pytest.mark.parametrize("name", list(surrogates.SURROGATES))
def test_surrogate_is_found_by_name_config_and_value(name):
    surrogate = surrogates.get(name)
    assert surrogates.get(surrogate) is surrogate
    assert surrogates.get(keras.saving.serialize_keras_object(surrogate)) == surrogate
    assert type(surrogate).from_config(surrogate.get_config()) == surrogate


def test_default_is_the_papers_rectangle():
    assert surrogates.get(None) == Rectangular(width=1.0)


def test_surrogates_are_equal_by_shape_and_width():
    assert ATan(2.0) == ATan(2.0)
    assert ATan(2.0) != ATan(1.0)
    assert ATan(1.0) != Sigmoid(1.0)
    assert repr(ATan(2.0)) == "ATan(width=2.0)"


@pytest.mark.parametrize("unknown", ["box", 3.0, Rectangular])
def test_unknown_surrogate_lists_the_known_ones(unknown):
    with pytest.raises(ValueError, match="one of 'rectangular', 'triangular', 'atan', 'sigmoid', 'fast_sigmoid'"):
        surrogates.get(unknown)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_width_must_be_positive(width):
    with pytest.raises(ValueError, match="`width` must be positive and finite"):
        Triangular(width)
