"""What converted neurons fire in sum, against the quantized activation in NumPy, current by current."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF, convert

CURRENTS = np.linspace(-3, 5, 4001).astype("float32")[:, None]


def one_activation(layer):
    """The activation alone, behind a Dense that copies its input."""
    copy = layers.Dense(1, use_bias=False, name="copy")
    model = keras.Sequential([keras.Input((1,)), copy, layer, layers.Identity(name="end")])
    model.get_layer("copy").set_weights([np.eye(1)])
    return model


def values(model, samples):
    return keras.ops.convert_to_numpy(model(samples))


def scale_of(neuron):
    """Of its channels, or the one of its only channel."""
    return 2 * neuron.cell.dynamics.highest * np.squeeze(np.asarray(neuron.threshold))


@pytest.mark.parametrize("timesteps, levels", [(1, 1), (1, 7), (2, 1), (3, 2), (4, 1), (5, 7), (16, 1)])
def test_spikes_of_a_constant_current_add_up_to_the_quantized_relu(timesteps, levels):
    model = convert(one_activation(layers.ReLU(name="relu")), CURRENTS, timesteps=timesteps, levels=levels)
    neuron = model.get_layer("relu")
    assert type(neuron) is (BinaryLIF if levels == 1 else MultiLevelLIF) and not neuron.cell.dynamics.signed
    step, steps = scale_of(neuron) / (levels * timesteps), levels * timesteps
    expected = np.clip(np.floor(CURRENTS.astype(float) / step + 0.5), 0, steps)
    apart = np.rint(values(model, CURRENTS) / step) - expected
    at_the_edge = abs(CURRENTS / step + 0.5 - np.rint(CURRENTS / step + 0.5)) < 1e-4
    assert not apart[~at_the_edge].any() and abs(apart).max() <= 1
    assert np.mean(at_the_edge) < 0.01


@pytest.mark.parametrize("timesteps", [1, 4])
def test_hard_tanh_becomes_ternary(timesteps):
    tanh = layers.Activation("hard_tanh", name="tanh")
    model = convert(one_activation(tanh), CURRENTS, timesteps=timesteps, levels=1)
    neuron = model.get_layer("tanh")
    assert type(neuron) is TernaryLIF
    step = scale_of(neuron) / timesteps
    expected = np.clip(np.rint(CURRENTS.astype(float) / step), -timesteps, timesteps)
    assert np.mean(np.rint(values(model, CURRENTS) / step) != expected) < 0.002  # halves, in float32


@pytest.mark.parametrize(
    "layer, highest", [(layers.ReLU(1.5, name="a"), 1.5), (layers.Activation("relu6", name="a"), 6.0)]
)
def test_a_clipped_activation_has_no_level_beyond_its_clip(layer, highest):
    samples = np.linspace(0, 100, 400)[:, None].astype("float32")
    model = convert(one_activation(layer), samples, levels=3)
    assert scale_of(model.get_layer("a")) == pytest.approx(highest)
    assert values(model, samples).max() == pytest.approx(highest)


def test_the_scale_is_a_percentile_of_what_is_not_0():
    rng = np.random.default_rng(3)
    samples = np.maximum(rng.normal(size=(2000, 1)), 0).astype("float32")
    model = convert(one_activation(layers.ReLU(name="relu")), samples, percentile=90)
    assert scale_of(model.get_layer("relu")) == pytest.approx(np.percentile(samples[samples > 0], 90), rel=1e-5)


def test_every_channel_has_the_scale_that_it_would_have_alone_unless_a_layer_shares_one():
    samples = np.random.default_rng(9).gamma(1.0, [0.1, 1.0, 30.0, 0.0], (500, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), layers.ReLU(name="relu")])
    found = scale_of(convert(model, samples, timesteps=3).get_layer("relu"))
    single = one_activation(layers.ReLU(name="relu"))
    alone = [convert(single, samples[:, [channel]], timesteps=3) for channel in range(3)]
    expected = [scale_of(one.get_layer("relu")) for one in alone]
    np.testing.assert_allclose(found, [*expected, expected[2]], rtol=1e-6)  # the last is silent: the largest
    together = convert(single, samples.reshape(-1, 1), timesteps=3)
    shared = scale_of(convert(model, samples, timesteps=3, scale_per="layer").get_layer("relu"))
    np.testing.assert_allclose(shared, 4 * [scale_of(together.get_layer("relu"))], rtol=1e-6)


def test_the_scale_has_the_least_squared_error_of_a_hundred():
    rng = np.random.default_rng(4)
    samples = np.maximum(rng.normal(size=(2000, 1)), 0).astype("float32")
    scale = scale_of(convert(one_activation(layers.ReLU(name="relu")), samples, timesteps=4).get_layer("relu"))
    errors = {
        share: np.mean((np.minimum(np.rint(samples * 4 / share), 4) * share / 4 - samples) ** 2)
        for share in np.linspace(0.01, 1, 100) * samples.max()
    }
    assert scale == pytest.approx(min(errors, key=errors.get), rel=1e-5)


def reference(model, images, steps, scale):
    """The quantized ReLU network, layer by layer in float64."""
    found = (model.get_layer(name) for name in ("first", "second", "last"))
    first, second, last = (getattr(layer, "layer", layer) for layer in found)
    x = images.reshape(len(images), -1).astype(float)
    for layer, name in ((first, "first_neuron"), (second, "second_neuron")):
        kernel, bias = (weight.astype(float) for weight in layer.get_weights())
        step = scale[name] / steps
        x = step * np.clip(np.floor((x @ kernel + bias) / step + 0.5), 0, steps)
    kernel, bias = last.get_weights()
    logits = x @ kernel + bias
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_at_one_timestep_every_layer_is_the_quantized_relu():
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((4, 3)), layers.Flatten()])
    for name, units, activation in (("first", 16, "relu"), ("second", 12, "relu"), ("last", 5, "softmax")):
        model.add(layers.Dense(units, activation=activation, name=name))
    images = np.random.default_rng(6).normal(size=(200, 4, 3)).astype("float32")
    graded = convert(model, images, levels=5)
    scales = {name: scale_of(graded.get_layer(name)) for name in ("first_neuron", "second_neuron")}
    apart = abs(values(graded, images) - reference(graded, images, 5, scales)).max(-1)
    assert np.mean(apart < 1e-5) > 0.98  # elsewhere float32 and float64 fall on two sides of a half


def test_more_timesteps_come_nearer_to_the_relu_network():
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((8,)), *(layers.Dense(16, activation="relu") for _ in range(3))])
    samples = np.random.default_rng(8).normal(size=(100, 8)).astype("float32")
    wanted = values(model, samples)
    errors = [
        np.mean((values(convert(model, samples, timesteps=timesteps), samples) - wanted) ** 2)
        for timesteps in (2, 6, 16)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
