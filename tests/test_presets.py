"""Presets against what they stand for."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import TernaryLIF


def released_code(sequences):
    """As Guo et al.'s code has it: V_th = 1, fires at half of it, equality included; a spike clears the membrane."""
    membrane, spike, spikes, membranes = 0.0, 0.0, [], []
    for t in range(sequences.shape[1]):
        membrane = 0.25 * membrane * (1 - np.abs(spike)) + sequences[:, t]
        level = np.clip(membrane / 1.0, -1, 1)
        spike = np.where(np.abs(level) >= 0.5, np.sign(level), 0.0)
        spikes.append(spike)
        membranes.append(membrane)
    return np.stack(spikes, axis=1), np.stack(membranes, axis=1)


@pytest.mark.parametrize("name, weights", [("paper", ["amplitude"]), ("official_code", [])])
def test_preset_computes_what_the_released_code_does(rng, name, weights):
    sequences = rng.integers(-6, 7, (3, 4, 5)) / 4
    layer = TernaryLIF.from_preset(name)
    np.testing.assert_array_equal(layer(sequences.astype("float32")), released_code(sequences)[0])
    assert [weight.name for weight in layer.trainable_weights] == weights
    assert layer.amplitude.shape == () and float(layer.amplitude) == 1.0


@pytest.mark.parametrize("name", ["paper", "official_code"])
def test_gradient_is_straight_through_up_to_a_membrane_of_one(rng, name):
    current = tf.constant([[[-1.25, -1.0, -0.5, 0.0, 0.25, 1.0, 1.25]]])
    layer = TernaryLIF.from_preset(name)
    with tf.GradientTape() as tape:
        tape.watch(current)
        outputs = layer(current)
    assert tape.gradient(outputs, current).numpy().ravel().tolist() == [0, 1, 1, 1, 1, 1, 0]


def test_the_paper_is_the_default():
    config, default = TernaryLIF.from_preset("paper", name="lif").get_config(), TernaryLIF(name="lif").get_config()
    assert config == default


def test_further_arguments_come_first():
    layer = TernaryLIF.from_preset("official_code", name="lif", decay=0.5, return_sequences=False)
    assert (layer.name, layer.decay, layer.threshold, layer.return_sequences) == ("lif", 0.5, 0.5, False)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"`preset` must be one of 'paper', 'official_code'. Received: preset='norse'"):
        TernaryLIF.from_preset("norse")
