"""A described network computes what its Keras model computes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed, in_float64
from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TernaryLIFCell, TimeAverage
from keras_ternary_spike.export.describe.model import describe
from network_evaluation import evaluate

T = 2
IMAGE = (7, 6, 2)


def norm():
    """Batch normalization with statistics and factors away from 0 and 1, negative gammas among them."""
    uniform = keras.initializers.RandomUniform
    return layers.BatchNormalization(
        gamma_initializer=uniform(-1, 2, seed=1),
        beta_initializer=uniform(-0.5, 0.5, seed=2),
        moving_mean_initializer=uniform(-0.5, 0.5, seed=3),
        moving_variance_initializer=uniform(0.2, 1, seed=4),
    )


CHAINS = {
    "same_and_strides": lambda: [
        layers.Rescaling(2.0, 0.5),
        layers.Conv2D(3, (3, 2), strides=2, padding="same", bias_initializer="ones"),
        norm(),
        DirectEncoding(T),
        TernaryLIF(amplitude_initializer=keras.initializers.Constant(-0.7), threshold=0.3),
        PerTimestep(layers.MaxPooling2D(3, strides=2, padding="same")),
        PerTimestep(layers.Flatten()),
        layers.Dense(4, bias_initializer="ones"),
        TimeAverage(),
    ],
    "dilation_and_depthwise": lambda: [
        DirectEncoding(T),
        PerTimestep(layers.Conv2D(3, 2, dilation_rate=2, padding="same", use_bias=False)),
        PerTimestep(layers.SpatialDropout2D(0.5)),
        PerTimestep(layers.DepthwiseConv2D((2, 3), depth_multiplier=2, padding="same")),
        BinaryLIF(decay=1.0, threshold=0.2),
        PerTimestep(layers.AveragePooling2D((2, 1))),
        PerTimestep(layers.GlobalAveragePooling2D()),
        TimeAverage(),
    ],
    "nested_block": lambda: [
        DirectEncoding(T),
        PerTimestep(keras.Sequential([layers.Conv2D(4, 3), norm(), layers.MaxPooling2D()])),
        TernaryLIF(decay=0.0),
        PerTimestep(layers.GlobalAveragePooling2D(keepdims=True)),
        TimeAverage(),
    ],
    "separable_and_grouped": lambda: [
        layers.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, padding="same", bias_initializer="ones"),
        layers.Conv2D(6, (2, 1), groups=2, bias_initializer="ones"),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.Reshape((3, 2)),
    ],
    "transposed_same": lambda: [
        layers.Conv2DTranspose(3, (3, 4), strides=2, padding="same", bias_initializer="ones"),
        layers.Conv2DTranspose(2, 1, strides=(2, 3), padding="same"),
    ],
    "transposed_valid": lambda: [
        layers.Conv2DTranspose(3, (3, 1), strides=(1, 2), bias_initializer="ones"),
        layers.Conv2DTranspose(2, 2, strides=3, use_bias=False),
    ],
    "borders_and_sizes": lambda: [
        layers.ZeroPadding2D(((1, 0), (2, 1))),
        layers.UpSampling2D((2, 3)),
        layers.Cropping2D(((0, 1), (3, 0))),
        layers.GlobalMaxPooling2D(),
        layers.Reshape((1, 2, 1)),
        layers.Permute((2, 1, 3)),
    ],
    "lines": lambda: [
        layers.Reshape((21, 4)),
        layers.Conv1D(3, 4, strides=2, padding="same", bias_initializer="ones"),
        DirectEncoding(T),
        PerTimestep(layers.SeparableConv1D(5, 3, padding="same", dilation_rate=2)),
        PerTimestep(layers.Conv1D(5, 3, padding="causal", dilation_rate=2)),
        TernaryLIF(threshold=0.1),
        PerTimestep(layers.MaxPooling1D(2)),
        PerTimestep(layers.DepthwiseConv1D(2, depth_multiplier=2)),
        PerTimestep(layers.AveragePooling1D(2)),
        PerTimestep(layers.GlobalMaxPooling1D()),
        TimeAverage(),
    ],
    "statistics_per_channel": lambda: [
        layers.Normalization(mean=[0.5, -1.0], variance=[2.0, 0.3]),
        layers.Rescaling([2.0, -1.0], [0.5, 0.25]),
        layers.Reshape((-1, 2)),
        layers.GlobalAveragePooling1D(),
    ],
    "cell_in_rnn": lambda: [
        layers.Flatten(),
        DirectEncoding(T),
        layers.TimeDistributed(layers.Dense(5)),
        layers.RNN(TernaryLIFCell(), return_sequences=True),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("functional", [False, True])
def test_a_described_chain_computes_what_keras_computes(name, functional, rng):
    model = in_float64(lambda: keras.Sequential([keras.Input(IMAGE), *CHAINS[name]()]))
    if functional:
        value = inputs = keras.Input(IMAGE, dtype="float64")
        for layer in model.layers:
            value = layer(value)
        model = keras.Model(inputs, value)
    samples = rng.normal(0, 1, (4, *IMAGE)).astype("float32").astype("float64")  # Keras rounds them
    np.testing.assert_allclose(evaluate(describe(model), samples), computed(model, samples), atol=1e-12)


def test_a_layer_used_twice_is_described_twice(rng):
    shared = in_float64(lambda: layers.Dense(4, name="shared"))
    inputs = in_float64(lambda: keras.Input((4,)))
    model = keras.Model(inputs, shared(shared(inputs)))
    network = describe(model)
    assert [node.name for node in network.nodes] == ["input", "shared", "shared_1"]
    samples = rng.normal(0, 1, (3, 4)).astype("float32").astype("float64")
    np.testing.assert_allclose(evaluate(network, samples), computed(model, samples), atol=1e-12)


def test_a_nested_model_is_described_layer_by_layer(rng):
    def block():
        inner = keras.Input((T, 4))
        return keras.Model(inner, layers.Add()([layers.Dense(4)(TernaryLIF()(inner)), inner]), name="block")

    def build():
        inputs = keras.Input((T, 4))
        nested = block()
        return keras.Model(inputs, nested(nested(inputs)))

    model = in_float64(build)
    samples = rng.normal(0, 1, (3, T, 4)).astype("float32").astype("float64")
    np.testing.assert_allclose(evaluate(describe(model), samples), computed(model, samples), atol=1e-12)


def test_a_described_model_is_left_as_it_is():
    inputs = keras.Input((4,))
    dense = layers.Dense(2)
    model = keras.Model(inputs, dense(inputs))
    model.compile("adam", "mse")
    describe(model)
    assert dense.output is model.outputs[0]  # raises if the layer had been called a second time
    assert model.compiled
