"""First amplitudes from data, against the mean by hand and NumPy's least squares."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, adapt_amplitudes


def test_amplitude_becomes_the_mean_current_where_it_fires():
    layer = TernaryLIF()
    layer.adapt(np.array([[[0.75, -2.0, 0.25]]], "float32"))  # 0.25 does not fire
    assert float(layer.amplitude) == (0.75 + 2.0) / 2


@pytest.mark.parametrize("amplitude_per, axes", [("layer", None), ("channel", (0, 1, 2)), ("element", (0, 1))])
@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF])
def test_amplitudes_are_least_squares_of_those_who_share_them(rng, neuron, amplitude_per, axes):
    currents = rng.normal(size=(6, 5, 2, 3)).astype("float32")
    layer = neuron(amplitude_per=amplitude_per, decay=0.5)
    layer.adapt(currents)
    spikes = neuron(decay=0.5)(currents).numpy()
    amplitude = layer.amplitude.numpy()
    groups = {"layer": [np.s_[...]], "channel": [np.s_[..., c] for c in range(3)]}.get(
        amplitude_per, [np.s_[:, :, i, c] for i in range(2) for c in range(3)]
    )
    for group, found in zip(groups, amplitude.ravel(), strict=True):
        expected = np.linalg.lstsq(spikes[group].reshape(-1, 1), currents[group].ravel(), rcond=None)[0]
        np.testing.assert_allclose(found, expected[0], rtol=1e-5)


def test_silent_channels_keep_their_amplitude_and_a_constraint_holds():
    layer = TernaryLIF(amplitude_per="channel", amplitude_initializer=keras.initializers.Constant(3.0))
    layer.adapt(np.array([[[0.1, 2.0]]], "float32"))
    assert layer.amplitude.numpy().tolist() == [3.0, 2.0]


def test_a_constraint_holds_where_the_best_amplitude_is_negative():
    currents = np.array([[[1.0], [-0.25], [-0.125]]], "float32")
    bounded = TernaryLIF(amplitude_constraint="non_neg")
    bounded.build((None, None, 1))
    for fit, expected in ((currents, 0.625 / 3), (-currents, 0.0)):
        bounded.cell.fit_amplitude(fit, np.ones_like(currents))
        assert float(bounded.amplitude) == pytest.approx(expected)


def test_a_model_adapts_layer_by_layer(rng):
    inner = keras.Sequential([PerTimestep(keras.layers.Dense(4)), TernaryLIF(name="second")], name="inner")
    layers = [DirectEncoding(2), PerTimestep(keras.layers.Dense(5)), BinaryLIF(name="first"), inner, TimeAverage()]
    model = keras.Sequential([keras.Input((6,)), *layers])
    samples = 3 * rng.normal(size=(16, 6)).astype("float32")
    found = adapt_amplitudes(model, samples)
    assert list(found) == ["first", "second"]
    first = model.get_layer("first")
    currents = layers[1](layers[0](samples)).numpy()
    spikes = BinaryLIF()(currents).numpy()
    np.testing.assert_allclose(found["first"], (currents * spikes).sum() / spikes.sum(), rtol=1e-5)
    later = inner.layers[0](first(currents)).numpy()
    spikes = TernaryLIF()(later).numpy()
    np.testing.assert_allclose(found["second"], (later * spikes).sum() / np.abs(spikes).sum(), rtol=1e-5)
    assert float(first.amplitude) == found["first"] and "call" not in vars(first)


def test_adapting_as_in_training_uses_the_statistics_of_the_batch(rng):
    model = keras.Sequential(
        [keras.Input((2, 3)), PerTimestep(keras.layers.BatchNormalization(momentum=0.9)), TernaryLIF(name="lif")]
    )
    samples = (100 + rng.normal(size=(64, 2, 3))).astype("float32")
    assert adapt_amplitudes(model, samples)["lif"] > 90
    assert 0.5 < adapt_amplitudes(model, samples, training=True)["lif"] < 1.5


def test_currents_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"`currents` must be finite to adapt to\. Received: NaN or infinity at 'lif'"):
        TernaryLIF(name="lif").adapt(np.array([[[np.nan]]], "float32"))


def test_a_model_without_neurons_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="plain")
    with pytest.raises(ValueError, match=r"A model must have spiking layers\. Received: 'plain'"):
        adapt_amplitudes(model, np.zeros((1, 3), "float32"))
