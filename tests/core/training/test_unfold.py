"""One graded timestep as several of one level: sums of spikes against levels."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage, unfold


def network(levels, signed, depth=1, timesteps=1):
    keras.utils.set_random_seed(2)
    x = DirectEncoding(timesteps)(inputs := keras.Input((6,)))
    for index in range(depth):
        x = PerTimestep(layers.Dense(8), name=f"dense{index}")(x)
        constant = keras.initializers.Constant(0.3)
        x = MultiLevelLIF(levels, signed=signed, threshold=0.25, amplitude_initializer=constant, name=f"lif{index}")(x)
    return keras.Model(inputs, TimeAverage()(x))


@pytest.mark.parametrize("signed, kind", [(True, TernaryLIF), (False, BinaryLIF)])
@pytest.mark.parametrize("levels", [1, 2, 3, 4, 8])
def test_of_constant_currents_the_spikes_add_up_to_the_level(rng, levels, signed, kind):
    x = 4 * rng.normal(size=(500, 6)).astype("float32")
    model = network(levels, signed)
    unfolded = unfold(model)
    lif = unfolded.get_layer("lif0")
    assert type(lif) is kind and lif.output.shape[1] == levels
    np.testing.assert_allclose(unfolded(x), model(x), atol=1e-6)  # both are 0.3 times a whole number
    spikes = keras.Model(unfolded.inputs, lif.output)(x).numpy() / (0.3 * levels)
    assert set(np.rint(spikes).ravel()) <= {-1, 0, 1} and np.abs(spikes - np.rint(spikes)).max() < 1e-5
    currents = model.get_layer("dense0")(x[:, None]).numpy()[:, 0]
    expected = np.clip(np.rint(currents / 0.5), -levels if signed else 0, levels)
    np.testing.assert_array_equal(np.rint(spikes).sum(axis=1), expected)


def test_deeper_layers_are_nearly_the_same_and_the_first_model_stays(rng):
    x = rng.normal(size=(200, 6)).astype("float32")
    model = network(4, True, depth=3)
    before = model(x).numpy()
    apart = np.abs(unfold(model)(x).numpy() - before)
    assert np.mean(apart > 0.1) < 0.2 and apart.max() <= 0.3 * 3
    np.testing.assert_array_equal(model(x), before)


def test_models_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"levels \[\]"):
        unfold(keras.Sequential([keras.Input((3,)), layers.Dense(2)]))
    mixed = keras.Sequential([keras.Input((3,)), DirectEncoding(1), MultiLevelLIF(2), MultiLevelLIF(3)])
    with pytest.raises(ValueError, match=r"levels \[2, 3\]"):
        unfold(mixed)
    with pytest.raises(ValueError, match=r"one timestep.*timesteps \[2\]"):
        unfold(network(2, True, timesteps=2))
    with pytest.raises(ValueError, match=r"all start alike.*dead_zone \[1.5\].*Use dead_zone=1"):
        unfold(keras.Sequential([keras.Input((3,)), DirectEncoding(1), MultiLevelLIF(2, dead_zone=1.5)]))
