"""What is recorded equals a NumPy recurrence; nothing of the model changes."""

import keras
import numpy as np
import pytest

from keras_models import computed
from keras_ternary_spike import BinaryLIF, MultiLevelLIF, PerTimestep, TernaryLIF
from keras_ternary_spike.inside import record

SAMPLES, TIMESTEPS, FEATURES = 7, 3, 5


@pytest.fixture
def currents(rng):
    return rng.normal(size=(SAMPLES, TIMESTEPS, FEATURES)).astype(np.float32)


def recurrence(currents, fire, decay=0.25):
    """Spikes and membranes before a hard reset."""
    state, spikes, membranes = 0.0, [], []
    for current in np.moveaxis(currents, 1, 0):
        membrane = np.float32(decay) * state + current
        spike = fire(membrane)
        state = np.where(spike == 0, membrane, 0)
        spikes.append(spike)
        membranes.append(membrane)
    return np.stack(spikes, 1), np.stack(membranes, 1)


NEURONS = {
    "ternary": (lambda: TernaryLIF(), lambda m: np.sign(m) * (abs(m) >= 0.5), [-0.5, 0.5], range(-1, 2)),
    "binary": (lambda: BinaryLIF(threshold=0.75), lambda m: 1 * (m >= 0.75), [0.75], range(0, 2)),
    "graded": (
        lambda: MultiLevelLIF(levels=2, threshold=0.25),
        lambda m: np.sign(m) * np.minimum(np.floor(abs(m) / 0.5 + 0.5), 2),
        [-0.75, -0.25, 0.25, 0.75],
        range(-2, 3),
    ),
    "graded, dead zone": (
        lambda: MultiLevelLIF(levels=2, threshold=0.25, signed=False, dead_zone=2.0),
        lambda m: np.where(m >= 0.5, np.minimum(np.floor((m - 0.5) / 0.5) + 1, 2), 0),
        [0.5, 1.0],
        range(0, 3),
    ),
}


@pytest.mark.parametrize("kind", NEURONS)
def test_spikes_and_membranes_equal_numpy(kind, currents):
    build, fire, thresholds, levels = NEURONS[kind]
    model = keras.Sequential([keras.Input((TIMESTEPS, FEATURES)), build()])
    (found,) = record(model, currents, batch_size=3).values()
    spikes, membranes = recurrence(currents, fire)
    np.testing.assert_array_equal(found.spikes, spikes)
    np.testing.assert_allclose(found.membranes, membranes, rtol=1e-6)
    np.testing.assert_allclose(found.thresholds.ravel(), thresholds)
    assert found.levels == levels
    counts = np.array([np.count_nonzero(spikes == level) for level in levels]) / spikes.size
    assert list(found.shares.values()) == pytest.approx(list(counts))
    assert found.firing_rate == pytest.approx(np.mean(spikes != 0))
    assert found.bits == pytest.approx(-np.sum(counts * np.log2(np.where(counts, counts, 1))))


def test_a_silent_layer_tells_nothing_and_an_even_one_the_most(currents):
    model = keras.Sequential([keras.Input((TIMESTEPS, FEATURES)), TernaryLIF()])
    (silent,) = record(model, 0 * currents).values()
    assert (silent.firing_rate, silent.bits) == (0, 0)
    even = np.resize(np.float32([-9, 0, 9]), (SAMPLES, 3, 1)) * np.ones((1, 1, FEATURES), np.float32)
    (found,) = record(keras.Sequential([keras.Input((3, FEATURES)), TernaryLIF(decay=0.0)]), even).values()
    assert found.bits == pytest.approx(found.most_bits) == pytest.approx(np.log2(3))


def test_layers_within_models_and_thresholds_of_channels_are_found(currents):
    threshold = np.linspace(0.25, 1, FEATURES)
    inner = keras.Sequential([keras.Input((TIMESTEPS, FEATURES)), TernaryLIF(threshold=threshold, name="inner")])
    model = keras.Sequential([keras.Input((TIMESTEPS, FEATURES)), PerTimestep(keras.layers.Dense(FEATURES)), inner])
    found = record(model, currents)
    assert [*found] == ["inner"]
    np.testing.assert_allclose(found["inner"].thresholds, [-threshold, threshold], rtol=1e-6)


def test_the_model_is_as_it_was(currents):
    model = keras.Sequential([keras.Input((TIMESTEPS, FEATURES)), TernaryLIF()])
    before = model.get_config(), computed(model, currents)
    record(model, currents)
    assert model.get_config() == before[0] and model.layers[0].spike_regularizers == ()
    assert [float(loss) for loss in model.losses] == [0.0]  # of the last call; the next one clears it
    np.testing.assert_array_equal(computed(model, currents), before[1])


def test_a_model_without_spikes_is_refused(currents):
    with pytest.raises(ValueError, match="must have spiking layers"):
        record(keras.Sequential([keras.Input((TIMESTEPS, FEATURES)), keras.layers.Dense(2)]), currents)
