"""Presets against what they stand for."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import BinaryLIF, TernaryLIF


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
    with pytest.raises(
        ValueError, match=r"`preset` must be one of 'paper', 'official_code', 'spikingjelly', 'snntorch'. Rec.*'norse'"
    ):
        TernaryLIF.from_preset("norse")


def spikingjelly(sequences, tau=2.0, signed=False):
    """v += (x - v) / tau; fires at 1, equality included; a spike clears v (SpikingJelly 2.0, defaults)."""
    v, spikes = 0.0, []
    for t in range(sequences.shape[1]):
        v = v + (sequences[:, t] - v) / tau
        spike = 1.0 * (v >= 1.0) - (1.0 * (v <= -1.0) if signed else 0.0)
        v = v * (1 - np.abs(spike))
        spikes.append(spike)
    return np.stack(spikes, axis=1)


def snntorch(sequences, beta=0.9):
    """The threshold is taken off one timestep after the spike, and after the decay (snnTorch 1.0, defaults)."""
    mem, spikes = np.zeros_like(sequences[:, 0]), []
    for t in range(sequences.shape[1]):
        mem = beta * mem + sequences[:, t] - 1.0 * (mem > 1.0)
        spikes.append(1.0 * (mem > 1.0))
    return np.stack(spikes, axis=1)


@pytest.mark.parametrize("decay", [0.5, 0.8])
def test_presets_of_libraries_compute_their_equations(rng, decay):
    sequences, tau = rng.normal(0, 4, (4, 20, 6)), 1 / (1 - decay)
    arguments = {"decay": decay, "dtype": "float64"}
    for ours, expected in [
        (BinaryLIF.from_preset("spikingjelly", **arguments), spikingjelly(sequences, tau)),
        (TernaryLIF.from_preset("spikingjelly", **arguments), spikingjelly(sequences, tau, signed=True)),
        (BinaryLIF.from_preset("snntorch", **arguments), snntorch(sequences, decay)),
    ]:
        assert 0.05 < np.abs(expected).mean() < 0.9
        np.testing.assert_array_equal(ours(sequences), expected)


def test_presets_of_libraries_have_their_decays_and_fix_the_amplitude():
    assert TernaryLIF.from_preset("spikingjelly").decay == 0.5 and BinaryLIF.from_preset("snntorch").decay == 0.9
    assert not TernaryLIF.from_preset("spikingjelly").cell.trainable_amplitude


@pytest.mark.parametrize("name", ["spikingjelly", "snntorch"])
@pytest.mark.parametrize("decay", [0.0, 1.0, [0.5, 0.25]])
def test_a_decay_that_other_numbers_cannot_follow_from_is_refused(name, decay):
    with pytest.raises(ValueError, match=f"preset '{name}' derives.*between 0 and 1.*Received: decay="):
        BinaryLIF.from_preset(name, decay=decay)
