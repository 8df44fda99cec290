"""The firing-rate metric, and the callback that finds dead and saturated neurons."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import (
    BinaryLIF,
    DirectEncoding,
    FiringRate,
    Health,
    NeuronHealth,
    PerTimestep,
    TernaryLIF,
    TernaryLIFCell,
    TimeAverage,
    measure_health,
)

# Neuron by neuron: silent, silent, fires once, always positive, always of changing sign.
CURRENT = np.array([[[0.1, 0.0, 0.1, 2.0, 2.0], [0.1, 0.0, 3.0, 2.0, -2.0]]], "float32")


def test_rate_is_the_share_of_spikes_over_all_updates():
    metric = FiringRate()
    metric.update_state(np.array([[0.0, -0.7, 0.7, 0.0]]))
    metric.update_state(np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, -0.1]]))
    assert float(metric.result()) == 3 / 12
    metric.reset_state()
    metric.update_state([3.0])
    assert float(metric.result()) == 1.0
    assert FiringRate.from_config(metric.get_config()).name == "firing_rate"


def test_rate_weighs_samples():
    metric = FiringRate(name="rate")
    metric.update_state(np.array([[1.0, -1.0], [0.0, 0.0]]), sample_weight=np.array([3.0, 1.0]))
    assert float(metric.result()) == 0.75


def test_rate_does_not_hide_what_is_not_a_number():
    metric = FiringRate()
    metric.update_state(np.array([np.nan, 0.0]))
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_dead_and_saturated_neurons_are_counted(batch_size):
    model = keras.Sequential([keras.Input((2, 5)), TernaryLIF(amplitude_initializer="he_normal", name="lif")])
    model.layers[0].amplitude.assign(-0.3)
    other = np.array([[[0.0, 0.0, 0.1, -2.0, 2.0], [0.1, -0.1, 0.0, 2.0, 2.0]]], "float32")
    samples = np.concatenate([CURRENT, CURRENT, other])
    # per sample of two timesteps: 5 spikes of 10 with CURRENT, 4 of 10 with the other
    expected = Health(firing_rate=14 / 30, neurons=5, dead=2, saturated=2)
    assert measure_health(model, samples, batch_size=batch_size) == {"lif": expected}


def test_layers_are_found_at_any_depth():
    class Block(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.parts = [TernaryLIF(name="in_layer"), BinaryLIF(name="in_list")]

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return x

        def compute_output_shape(self, shape):
            return shape

    nested = keras.Sequential([keras.Input((2, 5)), TernaryLIF(name="in_model"), layers.Dense(5)])
    rnn = layers.RNN(TernaryLIFCell(), name="rnn")
    model = keras.Sequential([keras.Input((5,)), DirectEncoding(2), nested, Block(), rnn])
    found = measure_health(model, np.ones((4, 5), "float32"))
    assert set(found) == {"in_model", "in_layer", "in_list", "rnn"}
    assert all(health.neurons == 5 for health in found.values())


def test_a_look_leaves_the_model_as_it_was():
    model = keras.Sequential([keras.Input((2, 5)), TernaryLIF(return_sequences=False)])
    before, names = model.predict(CURRENT, verbose=0), set(vars(model.layers[0]))
    measure_health(model, CURRENT)
    assert set(vars(model.layers[0])) == names
    np.testing.assert_array_equal(model.predict(CURRENT, verbose=0), before)


def image_model(mean=0.0):
    norm = layers.BatchNormalization(momentum=0.9, beta_initializer=keras.initializers.Constant(mean))
    parts = [PerTimestep(layers.Conv2D(4, 3)), PerTimestep(norm), TernaryLIF(name="lif")]
    model = keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(2), *parts])
    for layer in (PerTimestep(layers.Flatten()), layers.Dense(2), TimeAverage()):
        model.add(layer)
    model.compile(optimizer=keras.optimizers.SGD(1e-6), loss="mse")
    return model


def trained(rng, callbacks, mean=0.0, epochs=1):
    images = rng.normal(size=(8, 6, 6, 1)).astype("float32")
    model = image_model(mean)
    return model.fit(images, np.ones((8, 2)), epochs=epochs, verbose=0, callbacks=callbacks(images)).history


def test_a_healthy_layer_is_logged_without_a_warning(rng):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Layer")
        history = trained(rng, lambda images: [NeuronHealth(images)], epochs=2)
    assert len(history["lif_firing_rate"]) == 2 and 0.1 < history["lif_firing_rate"][0] < 0.9
    assert history["lif_dead"][0] <= 0.1 and history["lif_saturated"][0] <= 0.1


def test_saturated_neurons_are_warned_of_by_layer(rng):
    with pytest.warns(UserWarning, match=r"Layer 'lif': 64 of 64 neurons are saturated.*BatchNormalization.*raise"):
        history = trained(rng, lambda images: [NeuronHealth(images)], mean=100.0)
    assert (history["lif_saturated"], history["lif_firing_rate"], history["lif_dead"]) == ([1.0], [1.0], [0.0])


def test_dead_neurons_are_warned_of_by_layer(rng):
    with pytest.warns(UserWarning, match=r"Layer 'lif': 64 of 64 neurons are dead.*BatchNormalization.*lower"):
        history = trained(rng, lambda images: [NeuronHealth(images[:4] * 0)], mean=0.0)
    assert history["lif_dead"] == [1.0]


def test_a_look_every_other_epoch_and_no_warning_within_the_tolerance(rng):
    callback = NeuronHealth(np.zeros((2, 6, 6, 1), "float32"), every=2, tolerance=1.0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Layer")
        history = trained(rng, lambda images: [callback], epochs=4)
    assert len(history["loss"]) == 4 and len(history["lif_dead"]) == 2
    assert callback.report["lif"].neurons == 64


def test_callbacks_behind_see_the_shares(rng):
    seen = []
    behind = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["lif_firing_rate"]))
    assert trained(rng, lambda images: [NeuronHealth(images), behind], epochs=2)["lif_firing_rate"] == seen


def test_values_that_are_not_numbers_show_in_the_rate():
    model = keras.Sequential([keras.Input((2, 5)), TernaryLIF(name="lif")])
    assert np.isnan(measure_health(model, CURRENT * np.nan)["lif"].firing_rate)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tolerance": -0.1}, r"`tolerance` must lie in \[0, 1\]. Received: tolerance=-0.1"),
        ({"every": 0}, r"`every` must be at least 1. Received: every=0"),
        ({"batch_size": 0}, r"`batch_size` must be at least 1. Received: batch_size=0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NeuronHealth(CURRENT, **options)


def test_what_cannot_be_measured_is_refused():
    model = keras.Sequential([keras.Input((2, 5)), TernaryLIF()])
    with pytest.raises(ValueError, match=r"`samples` must hold at least one sample. Received: 0"):
        measure_health(model, CURRENT[:0])
    with pytest.raises(ValueError, match=r"must have spiking layers.*\[\].*TernaryLIF"):
        measure_health(keras.Sequential([keras.Input((2, 5)), layers.Dense(3)]), CURRENT)
    stateful = keras.Sequential([keras.Input(batch_shape=(1, 2, 5)), TernaryLIF(stateful=True, name="lif")])
    with pytest.raises(ValueError, match=r"change the state.*'lif' with stateful=True"):
        measure_health(stateful, CURRENT)
