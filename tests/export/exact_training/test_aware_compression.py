"""Ternary kernels and shared weights in integer-exact training: they stay so, in the file too."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.backend import gradient
from keras_ternary_spike.compression import Cluster, TernaryKernels
from keras_ternary_spike.compression.kernels import find_kernels
from keras_ternary_spike.compression.ternary import THRESHOLD, ternary
from keras_ternary_spike.export import export_tflite, load, quantize_aware

P = PerTimestep
SHAPE = (8, 8, 2)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Nothing is compiled: that takes longer than these tests."""
    monkeypatch.setattr(gradient, "can_fuse", lambda: False)


@pytest.fixture
def samples(rng):
    return rng.random((32, *SHAPE), np.float32), rng.integers(0, 3, 32)


def spiking():
    """Kernels of every kind, with batch normalization behind two of them."""
    options = {"padding": "same", "use_bias": False}
    body = [layers.Conv2D(6, 3, **options), layers.BatchNormalization(), DirectEncoding(2), TernaryLIF()]
    body += [P(layers.DepthwiseConv2D(3, depth_multiplier=2, **options)), P(layers.BatchNormalization()), TernaryLIF()]
    body += [P(layers.Conv2DTranspose(4, 3, strides=2)), TernaryLIF()]
    body += [P(layers.GlobalAveragePooling2D()), P(layers.Dense(3)), TimeAverage()]
    return keras.Sequential([keras.Input(SHAPE), *body])


def with_ternary_kernels(model):
    for kernel in find_kernels(model):
        kernel.variable.assign(ternary(kernel.numpy(), kernel.per_channel, THRESHOLD))
    return model


def exact_after(model, samples, callback):
    """Fine-tuned on integers, with the integers of every kernel."""
    exact = quantize_aware(model)
    exact.compile(keras.optimizers.Adam(1e-3), LOSS, run_eagerly=True)
    exact.fit(*samples, batch_size=16, epochs=2, verbose=0, callbacks=[callback])
    return exact, [(kernel, np.array(kernel.layer.kernel_integers())) for kernel in find_kernels(exact)]


def assert_file_equals(exact, images):
    np.testing.assert_array_equal(load(export_tflite(exact)).predict(images), computed(exact, images))


def by_channel(kernel, integers):
    """(numbers of a channel, channels)."""
    inside = kernel.per_channel
    outside = [axis for axis in range(integers.ndim) if axis not in inside]
    return integers.transpose(*inside, *outside).reshape(np.prod([integers.shape[axis] for axis in inside]), -1)


def test_ternary_kernels_stay_ternary_on_integers_and_in_the_file(samples):
    model = with_ternary_kernels(spiking())
    before = [kernel.numpy() for kernel in find_kernels(quantize_aware(model))]
    exact, kernels = exact_after(model, samples, TernaryKernels())
    assert len(kernels) == 4
    for (kernel, integers), weights in zip(kernels, before, strict=True):
        assert np.any(kernel.numpy() != weights), kernel.name
        assert np.all(integers[weights == 0] == 0), kernel.name
        for channel in by_channel(kernel, integers).T:
            assert len(np.setdiff1d(np.abs(channel), 0)) == 1, kernel.name
    assert_file_equals(exact, samples[0])


def test_clustered_kernels_are_clustered_anew_on_integers(samples):
    """Four levels a kernel, which folding has given another size in every channel."""
    exact, kernels = exact_after(spiking(), samples, Cluster(4))
    for kernel, integers in kernels:
        assert len(np.unique(kernel.numpy())) == 4, kernel.name
        assert all(len(np.unique(channel)) <= 4 for channel in by_channel(kernel, integers).T)
    assert_file_equals(exact, samples[0])
