"""What describe refuses: the message names the layer, the rule and the way out."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, TernaryLIF, TimeAverage
from keras_ternary_spike.export.describe.model import describe

T = 2


def two_sides(merge, change, shape=(5, 4, 2)):
    def build():
        inputs = keras.Input(shape)
        return keras.Model(inputs, merge([inputs, change(inputs)]))

    return build


def different_timesteps():
    inputs = keras.Input((4,))
    encoded = [DirectEncoding(steps, name=f"code_{steps}")(inputs) for steps in (1, 2)]
    return keras.Model(inputs, layers.Add()([TernaryLIF()(value) for value in encoded]))


def spiking(*chain, shape=(T, 4)):
    return lambda: keras.Sequential([keras.Input(shape), *chain])


def infinite_kernel():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="head")])
    model.layers[0].kernel.assign(np.full((4, 1), np.inf))
    return model


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


REFUSED = {
    "not_a_model": (lambda: 3, r"must be a Keras model.*3.*int"),
    "subclassed": (Subclassed, r"must be built\. .*\(Subclassed\).*Call it on some samples first"),
    "never_built": (lambda: keras.Sequential([layers.Dense(2)]), r"built Sequential or functional.*keras.Input"),
    "unsupported": (
        lambda: keras.Sequential([keras.Input((4,)), layers.LayerNormalization(name="norm")]),
        r"Cannot export layer 'norm' \(LayerNormalization\)\. Use BatchNormalization",
    ),
    "unknown": (
        lambda: keras.Sequential([keras.Input((4,)), layers.Discretization([0.0], name="bins")]),
        r"Cannot export layer 'bins' \(Discretization\)\. Use layers of docs/targets\.md.*Layer of your own",
    ),
    "gelu": (
        spiking(layers.Dense(2, activation="gelu", name="fc"), TernaryLIF()),
        "activation 'gelu'.*'fc'.*TernaryLIF",
    ),
    "activation": (spiking(layers.Activation("tanh", name="act"), TernaryLIF()), "activation 'tanh'.*'act'"),
    "softmax_inside": (spiking(layers.Softmax(name="soft"), TernaryLIF()), "softmax may stand at the very end.*'soft'"),
    "timesteps": (spiking(TernaryLIF(), shape=(None, 4)), r"timesteps must be known.*None.*keras.Input\(\(timesteps"),
    "unknown_and_averaged": (
        spiking(TernaryLIF(), TimeAverage(name="mean"), shape=(None, 4)),
        r"timesteps must be known.*over which 'mean' averages",
    ),
    "two_lengths": (
        spiking(TernaryLIF(), TimeAverage(), DirectEncoding(3), TernaryLIF()),
        "timesteps of a model must be equal",
    ),
    "size": (
        lambda: keras.Sequential([keras.Input((None, 8, 1), name="image"), layers.Conv2D(1, 3)]),
        "size of the input must be known.*'image'",
    ),
    "infinite": (infinite_kernel, "must be finite.*'kernel' of layer 'head'"),
    "amplitude": (
        spiking(TernaryLIF(amplitude_initializer="zeros", name="lif")),
        "`amplitude` must not be 0.*'lif'",
    ),
    "average_of_the_last": (
        spiking(TernaryLIF(return_sequences=False), TimeAverage(name="mean")),
        r"TimeAverage needs a sequence.*'mean' on '.*', without time axis",
    ),
    "backwards": (spiking(TernaryLIF(go_backwards=True, name="lif")), "`go_backwards` must be False.*'lif'"),
    "foreign_cell": (
        spiking(layers.RNN(layers.LSTMCell(3), return_sequences=True, name="lstm")),
        "Of recurrent layers only.*'lstm'.*LSTMCell",
    ),
    "channels_first": (
        lambda: keras.Sequential([keras.Input((4, 8, 8)), layers.MaxPooling2D(data_format="channels_first", name="p")]),
        "channels_last.*'p'",
    ),
    "padded_average": (
        lambda: keras.Sequential([keras.Input((5, 5, 1)), layers.AveragePooling2D(2, padding="same", name="p")]),
        "divides by fewer pixels at the border.*'p'.*padding=\"valid\"",
    ),
    "permuted": (
        lambda: keras.Sequential([keras.Input((5, 4, 1)), layers.Permute((2, 1, 3), name="turn")]),
        r"Permute may only move axes of size 1.*'turn'.*\(2, 1, 3\).*\(5, 4, 1\)",
    ),
    "interpolated": (
        lambda: keras.Sequential([keras.Input((5, 4, 1)), layers.UpSampling2D(interpolation="bilinear", name="up")]),
        "must be \"nearest\".*'up'.*bilinear.*Conv2DTranspose",
    ),
    "output_padding": (
        lambda: keras.Sequential(
            [keras.Input((5, 4, 1)), layers.Conv2DTranspose(1, 3, strides=2, output_padding=1, name="up")]
        ),
        "`output_padding` must be None.*'up'",
    ),
    "dilated_transposed": (
        lambda: keras.Sequential([keras.Input((5, 4, 1)), layers.Conv2DTranspose(1, 3, dilation_rate=2, name="up")]),
        "must not be dilated.*'up'",
    ),
    "inverted": (
        lambda: keras.Sequential([keras.Input((5,)), layers.Normalization(mean=1, variance=2, invert=True, name="n")]),
        "must not be inverted.*'n'",
    ),
    "convolved_over_time": (
        spiking(layers.Conv1D(3, 2, padding="causal", name="over_time"), TernaryLIF()),
        r"Conv1D would mix timesteps.*'over_time'.*PerTimestep\(Conv1D",
    ),
    "attention": (
        two_sides(layers.Attention(name="look"), layers.Dense(4), shape=(T, 4)),
        r"Cannot export layer 'look' \(Attention\)",
    ),
    "axis": (
        lambda: keras.Sequential([keras.Input((5, 4)), layers.BatchNormalization(axis=1, name="bn")]),
        "`axis` must be the last.*'bn'",
    ),
    "flattened_time": (
        spiking(TernaryLIF(), layers.Flatten(name="flat")),
        r"Flatten would mix timesteps.*'flat'.*PerTimestep\(Flatten",
    ),
    "broadcast": (
        two_sides(layers.Add(name="sum"), layers.Conv2D(1, 1)),
        r"Add needs equal shapes.*\(5, 4, 2\).*\(5, 4, 1\).*'sum'",
    ),
    "broadcast_ranks": (
        two_sides(layers.Add(name="sum"), layers.GlobalAveragePooling2D()),
        "Add needs equal ranks.*'sum'",
    ),
    "concatenated_rows": (
        two_sides(layers.Concatenate(axis=1, name="join"), layers.Conv2D(2, 1)),
        "along the channels.*axis=1.*'join'.*axis=-1",
    ),
    "different_timesteps": (different_timesteps, "timesteps of a model must be equal.*'code_2': 2, 'code_1': 1"),
    "multiplied": (
        two_sides(layers.Multiply(name="gate"), layers.Conv2D(2, 1)),
        r"Cannot export layer 'gate' \(Multiply\)\. .*Add, Subtract",
    ),
    "no_time_axis": (
        spiking(TernaryLIF(), TimeAverage(), TernaryLIF(name="late"), shape=(T, 3, 4)),
        "needs a sequence.*'late'.*DirectEncoding",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_described_is_refused_by_name(name):
    build, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        describe(build())


def test_the_layer_that_a_spectral_normalization_wraps_is_exported_in_its_place(rng):
    wrapper = layers.SpectralNormalization(layers.Dense(3))
    samples = rng.normal(size=(5, 4)).astype("float32")
    wrapper(samples, training=True)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, wrapper.layer(inputs))
    np.testing.assert_allclose(model(samples), wrapper(samples, training=False), rtol=1e-6)
    assert describe(model)[wrapper.layer.name].kernel.shape == (4, 3)


def test_an_embedding_is_a_dense_layer_of_one_hot_vectors(rng):
    embedding, dense = layers.Embedding(6, 3), layers.Dense(3, use_bias=False)
    words = rng.integers(0, 6, size=(5,))
    expected = embedding(words)
    dense.build((None, 6))
    dense.set_weights(embedding.get_weights())
    np.testing.assert_array_equal(dense(np.eye(6, dtype="float32")[words]), expected)
