"""Graded spikes: integers up to a highest level, against numbers by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF
from keras_ternary_spike.layers.lif_cell import scale_gradient


def fire(currents, **options):
    """Spikes of one neuron over its timesteps."""
    layer = MultiLevelLIF(**options)
    return layer(np.array(currents, "float32")[None, :, None]).numpy().ravel().tolist()


def test_unsigned_levels_start_at_odd_multiples_of_the_threshold_and_end_at_the_highest():
    currents = [-9.0, 0.0, 0.24, 0.25, 0.74, 0.75, 1.24, 1.25, 9.0]
    assert fire(currents, levels=3, signed=False, threshold=0.25, decay=0.0) == [0, 0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    "signed, expected", [(True, [-2, -1, 0, 0, 0, 1, 1, 2, 2]), (False, [0, 0, 0, 0, 0, 1, 1, 2, 2])]
)
def test_below_a_dead_zone_nothing_fires_and_beyond_it_a_level_every_two_thresholds(signed, expected):
    currents = [-1.25, -0.75, -0.74, 0.25, 0.74, 0.75, 1.24, 1.25, 9.0]  # 3 and 5 thresholds of 1/4
    assert fire(currents, levels=2, signed=signed, threshold=0.25, dead_zone=3.0, decay=0.0) == expected


def test_a_dead_zone_keeps_the_membrane_of_what_does_not_fire():
    # membranes 0.6, 0.3 + 0.6 (1), 0.0 + 0.7, 0.35 + 1.4 (2)
    assert fire([0.6, 0.6, 0.7, 1.4], levels=2, signed=False, threshold=0.25, dead_zone=3.0, decay=0.5) == [0, 1, 0, 2]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
@pytest.mark.parametrize("levels, signed", [(1, True), (3, True), (3, False)])
def test_behind_a_dead_zone_the_rectangle_of_width_1_is_straight_through(levels, signed):
    import tensorflow as tf

    heights = np.array([-2.1, 0.4, 0.6, 1.2, 2.2, 2.4, 2.6, 3.3], "float32")  # windows from 0.5 to 0.5 + levels
    currents = tf.constant(heights[None, None])
    with tf.GradientTape() as tape:
        tape.watch(currents)
        spikes = MultiLevelLIF(levels, signed=signed, threshold=0.5, dead_zone=2.0)(currents)
    found = tape.gradient(spikes, currents).numpy().ravel()
    seen = np.abs(heights) if signed else heights
    np.testing.assert_array_equal(found, (seen >= 0.5) & (seen <= 0.5 + levels))


@pytest.mark.parametrize("dead_zone", [0.5, float("inf"), float("nan")])
def test_a_dead_zone_is_at_least_a_threshold(dead_zone):
    with pytest.raises(ValueError, match=r"`dead_zone`.*at least 1.*Received: dead_zone="):
        MultiLevelLIF(2, dead_zone=dead_zone)


def test_what_a_level_takes_off_grows_with_it():
    # membranes 1.7, 0.5 * (1.7 - 2 * 1) + 1 = 0.85, 0.5 * (0.85 - 1) + 1.6 = 1.525, 0.5 * (1.525 - 2) - 2 = -2.2375
    assert fire(
        [1.7, 1.0, 1.6, -2.0], levels=2, signed=False, threshold=0.5, decay=0.5, reset="subtract", reset_amount=2.0
    ) == [2, 1, 2, 0]


def test_any_level_clears_the_membrane():
    # membranes 0.6 (1), 0.4 + 0, 0.2 + 0.4 (1), 0.0 + 3.0 (2)
    assert fire([0.6, 0.4, 0.4, 3.0], levels=2, signed=False, threshold=0.5, decay=0.5) == [1, 0, 1, 2]


@pytest.mark.parametrize("signed, same", [(True, TernaryLIF), (False, BinaryLIF)])
def test_one_level_is_the_ternary_or_the_binary_neuron(rng, signed, same):
    currents = rng.normal(size=(3, 4, 5)).astype("float32")
    np.testing.assert_array_equal(MultiLevelLIF(1, signed=signed)(currents), same()(currents))


def test_sign_and_dead_zone_are_part_of_the_configuration():
    layer = MultiLevelLIF(3, signed=False, dead_zone=1.5)
    dynamics = MultiLevelLIF.from_config(layer.get_config()).cell.dynamics
    assert (dynamics.signed, dynamics.dead_zone) == (False, 1.5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
def test_a_trained_step_has_the_gradient_of_the_threshold_over_the_root_of_neurons_times_levels(rng):
    import tensorflow as tf

    currents = tf.constant(rng.normal(size=(2, 1, 6)).astype("float32"))
    layer = MultiLevelLIF(4, signed=False, threshold=0.25, trainable_threshold=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(currents))
    (found,) = tape.gradient(loss, [weight for weight in layer.trainable_weights if "log_threshold" in weight.path])
    # d spike / d log(threshold) = -membrane * slope, and slope = 1 / (2 * threshold) up to 2 * levels * threshold
    inside = (currents.numpy() >= 0) & (currents.numpy() <= 2.0)
    expected = -np.sum(currents.numpy() * inside) / 0.5 / np.sqrt(6 * 4)
    np.testing.assert_allclose(float(found), expected, rtol=1e-5)


def test_scaling_a_gradient_leaves_the_value():
    value = ops.convert_to_tensor(np.array([0.1, -3.7], "float32"))
    np.testing.assert_array_equal(scale_gradient(value, 0.3), value)
