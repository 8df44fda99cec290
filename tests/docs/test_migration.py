"""What docs/migration.md calls equal: the published equations of other libraries, in NumPy, beside these neurons."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF


@pytest.fixture
def currents(rng):
    return rng.normal(0, 1.5, (3, 12, 20)).astype("float32")


def spikes(layer, currents):
    return np.asarray(layer(currents))


def test_a_spiking_activation_is_a_graded_neuron_that_takes_off_what_it_fired(rng):
    """KerasSpiking: voltage += relu(x) * dt; spikes = floor(voltage); voltage -= spikes."""
    rates = rng.integers(0, 64, (3, 12, 20)).astype("float32") / 16  # exact in float32
    voltage, expected = np.full((3, 20), 0.5), []
    for rate in rates.swapaxes(0, 1):
        voltage = voltage + rate
        expected.append(np.floor(voltage))
        voltage = voltage - expected[-1]
    neuron = MultiLevelLIF(8, signed=False, decay=1, threshold=0.5, reset="subtract", reset_amount=2)
    np.testing.assert_array_equal(spikes(neuron, rates), np.stack(expected, axis=1))


@pytest.mark.parametrize(("neuron", "signs"), [(TernaryLIF, (-1, 1)), (BinaryLIF, (1,))])
def test_lavas_neurons_without_a_synapse_are_these(currents, neuron, signs):
    """Lava: v = v * (1 - dv) + input; fires beyond vth; v = 0."""
    threshold, dv = 1.25, 0.125
    voltage, expected = np.zeros((3, 20), "float32"), []
    for current in currents.swapaxes(0, 1):
        voltage = voltage * np.float32(1 - dv) + current
        fired = sum(sign * (sign * voltage > threshold) for sign in signs)
        expected.append(fired)
        voltage = np.where(fired != 0, 0, voltage)
    np.testing.assert_array_equal(spikes(neuron(threshold=threshold, decay=1 - dv), currents), np.stack(expected, 1))


def test_larqs_ternary_quantizer_is_a_neuron_of_one_timestep(currents):
    values, threshold = currents[:, :1], 0.05
    expected = np.sign(np.sign(values + threshold) + np.sign(values - threshold))
    np.testing.assert_array_equal(spikes(TernaryLIF(threshold=threshold), values), expected)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_dorefas_quantizer_is_an_unsigned_graded_neuron(currents, bits):
    levels = 2**bits - 1
    values = currents[:, :1]
    expected = np.round(np.clip(values, 0, 1) * levels) / levels
    amplitude = keras.initializers.Constant(1 / levels)
    neuron = MultiLevelLIF(levels, signed=False, threshold=1 / (2 * levels), amplitude_initializer=amplitude)
    np.testing.assert_allclose(spikes(neuron, values), expected, atol=1e-7)  # one product in float32
