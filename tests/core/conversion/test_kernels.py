"""Kernels fit again to spikes, against least squares in NumPy on windows cut by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import convert
from keras_ternary_spike.conversion import kernels

IMAGES = np.random.default_rng(0).uniform(0, 1, (80, 6, 6, 2)).astype("float32")  # two batches
SEQUENCES = IMAGES.reshape(80, 36, 2)


def network(shape, first, second):
    keras.utils.set_random_seed(3)
    inner = [keras.Input(shape), first, layers.ReLU(name="relu"), second, layers.Identity(name="end")]
    return keras.Sequential(inner)


CASES = {
    "Conv2D": (IMAGES, layers.Conv2D(3, 3, padding="same"), lambda: layers.Conv2D(4, 2, strides=2, name="second")),
    "without a bias": (
        IMAGES,
        layers.Conv2D(3, 3),
        lambda: layers.Conv2D(4, 2, strides=2, use_bias=False, name="second"),
    ),
    "Conv1D": (SEQUENCES, layers.Conv1D(3, 3), lambda: layers.Conv1D(4, 2, strides=2, name="second")),
    "Dense": (IMAGES, layers.Dense(5), lambda: layers.Dense(4, name="second")),
}


def values(model, name, samples):
    return keras.Model(model.inputs[0], model.get_layer(name).output)(samples).numpy().astype(float)


def windows(x, kind):
    """What each output of the second layer weighs: `(outputs, inputs)`."""
    if kind == "Dense":
        return x.reshape(-1, x.shape[-1])
    if kind == "Conv1D":
        parts = [x[:, start : start + 2] for start in range(0, x.shape[1] - 1, 2)]
    else:
        starts = range(0, x.shape[1] - 1, 2)
        parts = [x[:, i : i + 2, j : j + 2] for i in starts for j in starts]
    return np.stack(parts, 1).reshape(len(x) * len(parts), -1)


@pytest.mark.parametrize("timesteps", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_kernel_is_the_solution_of_its_least_squares(case, timesteps, monkeypatch):
    monkeypatch.setattr(kernels, "MOST_VALUES", 3000)  # in several pieces
    monkeypatch.setattr(kernels, "PULL", 0.3)
    samples, first, second = CASES[case]
    model = network(samples.shape[1:], first, second())
    spiking = convert(model, samples, timesteps=timesteps, levels=2)
    kind = type(second()).__name__
    rows = windows(values(spiking, "relu", samples).mean(1), kind)
    rows = np.pad(rows, ((0, 0), (0, 1)), constant_values=1)
    old = model.get_layer("second").get_weights()
    weights = np.vstack([old[0].reshape(rows.shape[1] - 1, -1), old[1] if len(old) > 1 else np.zeros(4)])
    wanted = values(model, "second", samples).reshape(len(rows), -1)
    # The squared distance from the weights as further rows: each as the root of what it counts.
    pull = np.sqrt(0.3 * np.mean(np.sum(rows[:, :-1] ** 2, 0)))
    further = pull * np.eye(rows.shape[1])[:-1]
    expected = np.linalg.lstsq(np.vstack([rows, further]), np.vstack([wanted, further @ weights]), rcond=None)[0]
    found = spiking.get_layer("second").layer.get_weights()
    np.testing.assert_allclose(found[0].reshape(expected[:-1].shape), expected[:-1], atol=1e-4)
    assert abs(found[0] - old[0]).max() > 0.003  # thirty tolerances
    for bias in found[1:]:
        np.testing.assert_allclose(bias, expected[-1], atol=1e-4)


STILL = {
    "depthwise": layers.DepthwiseConv2D(2, name="second"),
    "in groups": layers.Conv2D(3, 2, groups=3, name="second"),
    "too large": layers.Conv2D(4, 2, name="second"),
}


@pytest.mark.parametrize("case", STILL)
def test_other_kernels_stay(case, monkeypatch):
    if case == "too large":
        monkeypatch.setattr(kernels, "MOST_INPUTS", 11)
    model = network(IMAGES.shape[1:], layers.Conv2D(3, 3, name="first"), STILL[case])
    spiking = convert(model, IMAGES)
    for name in ("first", "second"):  # the first reads no spikes
        layer = spiking.get_layer(name)
        np.testing.assert_array_equal(
            getattr(layer, "layer", layer).get_weights()[0], model.get_layer(name).get_weights()[0]
        )


def test_a_kernel_that_reads_silence_stays():
    first = layers.Dense(5, kernel_initializer="zeros", use_bias=False, name="first")
    model = network(IMAGES.shape[1:], first, layers.Dense(3, name="second"))
    found = convert(model, IMAGES).get_layer("second").layer.get_weights()
    np.testing.assert_array_equal(found[0], model.get_layer("second").get_weights()[0])
