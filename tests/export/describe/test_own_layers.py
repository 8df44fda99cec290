"""Layers and models of users' own, whose `call` is made of layers: exported as those, or refused with a way out."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import certify, export_tflite, fold, quantize_aware, verify
from keras_ternary_spike.export.describe.model import describe

P = PerTimestep
SAMPLES = np.random.default_rng(0).uniform(0, 1, (4, 6, 6, 2)).astype("float32")


class Block(layers.Layer):
    """Convolution, normalization and neuron, with a shortcut."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.conv = P(layers.Conv2D(channels, 3, padding="same", name="conv"))
        self.norm = P(layers.BatchNormalization(name="norm"))
        self.drop = layers.Dropout(0.5)
        self.neurons = [TernaryLIF(name="lif"), TernaryLIF(name="last")]

    def call(self, inputs, training=None):
        first, last = self.neurons
        x = first(self.drop(self.norm(self.conv(inputs)), training=training))
        return last(0.5 * x + self.norm(inputs) if inputs.shape[-1] == x.shape[-1] else x)


class Classifier(keras.Model):
    """A model that is written as a class."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encode, self.block = DirectEncoding(2), Block(3, name="block")
        self.head, self.mean = layers.Dense(3, name="head"), TimeAverage()

    def call(self, inputs):
        return self.mean(self.head(P(layers.Flatten())(self.block(self.encode(inputs)))))


def classifier():
    keras.utils.set_random_seed(0)
    model = Classifier(name="classifier")
    model(SAMPLES)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1, weight.shape) if "variance" in weight.path else rng.normal(size=weight.shape))
    return model


def of_layers(block, shape=(6, 6, 2)):
    """A functional model around a user's own layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, name="x")
    spikes = block(DirectEncoding(2)(inputs))
    flat = spikes if len(spikes.shape) == 3 else P(layers.Flatten())(spikes)
    return keras.Model(inputs, TimeAverage()(layers.Dense(3)(flat)))


def assert_folds(model, samples=SAMPLES):
    np.testing.assert_allclose(computed(fold(model), samples), computed(model, samples), atol=1e-3)


def test_a_layer_of_layers_is_exported_as_them():
    model = of_layers(Block(2))
    nodes = [node.name for node in describe(model).nodes]
    assert [name for name in nodes if name in ("conv", "lif", "last")] == ["conv", "lif", "last"]
    assert_folds(model)
    assert verify(model, export_tflite(model, output_range=(-4, 4)), SAMPLES).exact


def test_two_blocks_of_equal_names_stay_apart():
    model = of_layers(lambda x: Block(2)(Block(2)(x)))
    assert [node.name for node in describe(model).nodes].count("lif") == 1
    assert_folds(model)


def test_a_layer_of_layers_stands_in_a_sequential_model_and_in_PerTimestep():
    class Front(layers.Layer):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = layers.Conv2D(3, 3, strides=2), layers.BatchNormalization()

        def call(self, inputs):
            return self.norm(self.conv(inputs))

    chain = [DirectEncoding(2), P(Front()), TernaryLIF(), P(layers.Flatten()), layers.Dense(3), TimeAverage()]
    model = keras.Sequential([keras.Input((6, 6, 2)), *chain])
    assert_folds(model)
    model = keras.Sequential([keras.Input((6, 6, 2)), Front(), DirectEncoding(2), *chain[2:]])
    assert_folds(model)


def test_a_layer_of_several_inputs_and_options_is_called_as_it_was():
    class Merge(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)

        def call(self, first, second, times=1):
            return times * self.dense(first) - second

    inputs = keras.Input((4,))
    encoded = DirectEncoding(2)(inputs)
    values = Merge()(TernaryLIF()(encoded), second=layers.Dense(4)(encoded), times=3)
    model = keras.Model(inputs, TimeAverage()(values))
    assert_folds(model, np.random.default_rng(0).normal(size=(5, 4)).astype("float32"))


def test_a_model_that_is_a_class_is_exported_verified_folded_and_fine_tuned():
    model = classifier()
    tflite_bytes = export_tflite(model, samples=SAMPLES, verbose=0)
    report = verify(model, tflite_bytes, SAMPLES)
    assert report.exact and report.agreement.compared == len(SAMPLES)
    assert_folds(model)
    aware = quantize_aware(model, samples=SAMPLES)
    np.testing.assert_allclose(computed(aware, SAMPLES), computed(model, SAMPLES), atol=0.5)
    assert certify(model, tflite_bytes, SAMPLES[:1]).beside_relu is not None


def test_a_model_called_on_an_input_is_a_layer_of_layers():
    model, inputs = classifier(), keras.Input((6, 6, 2))
    outer = keras.Model(inputs, model(inputs))
    np.testing.assert_array_equal(computed(outer, SAMPLES), computed(model, SAMPLES))
    assert_folds(outer)


def test_a_loss_of_classes_is_known_of_a_class_too():
    model = classifier()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        export_tflite(model)


class OwnWeight(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lif = TernaryLIF()

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, inputs):
        return self.lif(ops.matmul(inputs, self.kernel))


class Noisy(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return self.dense(inputs) + keras.random.normal((4,))


class Unused(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.used, self.other = layers.Dense(4), layers.Dense(4)

    def build(self, shape):
        self.used.build(shape)
        self.other.build(shape)

    def call(self, inputs):
        return self.used(inputs)


class Chosen(layers.Layer):
    """Computes something else of numbers than of symbols."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return self.dense(inputs) if isinstance(inputs, keras.KerasTensor) else -self.dense(inputs)


REFUSED = {
    "weights of its own": (OwnWeight, r"'mine' \(OwnWeight\): its weight 'mine/kernel' belongs to none of the layers"),
    "noise": (Noisy, "with the same numbers it gives others"),
    "a part that is not used": (Unused, r"its weight 'mine/dense_\d*/?.*' belongs to none of the layers"),
    "another of symbols": (Chosen, "with the same numbers it gives others"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_chain_of_layers_is_refused_by_name(case):
    kind, message = REFUSED[case]
    layer = kind(name="mine")
    layer(np.zeros((1, 2, 4), "float32"))
    model = keras.Sequential([keras.Input((2, 4)), layer, TernaryLIF(), layers.Dense(2), TimeAverage()])
    with pytest.raises(ValueError, match=message) as refusal:
        describe(model)
    assert "Write it as a function that calls layers on a tensor" in str(refusal.value)


class Numbers(keras.Model):
    """Reads the numbers of a tensor, of which there are none before somebody calls it."""

    def call(self, inputs):
        return inputs * float(ops.convert_to_numpy(ops.max(inputs)))


def test_a_model_that_looks_at_numbers_is_refused_by_name():
    model = Numbers(name="mine")
    model(SAMPLES)
    with pytest.raises(ValueError, match=r"'mine' \(Numbers\): .*Write it as a function"):
        describe(model)


def test_the_way_out_of_a_refusal_works():
    """The function that the message asks for, and the weights copied."""
    own = OwnWeight(name="mine")
    refused = keras.Sequential([keras.Input((2, 4)), own, layers.Dense(2), TimeAverage()])
    assert len(refused.weights) == 4

    def block(x):
        return TernaryLIF()(layers.Dense(4, use_bias=False)(x))

    inputs = keras.Input((2, 4))
    model = keras.Model(inputs, TimeAverage()(layers.Dense(2)(block(inputs))))
    model.set_weights(
        sorted(refused.get_weights(), key=lambda weight: [w.shape for w in model.weights].index(weight.shape))
    )
    samples = np.random.default_rng(0).normal(size=(5, 2, 4)).astype("float32")
    np.testing.assert_allclose(computed(model, samples), computed(refused, samples), atol=1e-5)
    assert_folds(model, samples)


def test_a_class_that_was_never_built_says_what_to_do():
    with pytest.raises(ValueError, match=r"'mine' \(Classifier\).* Call it on some samples first"):
        export_tflite(Classifier(name="mine"))
    model = Classifier(name="mine")
    model(SAMPLES)
    assert export_tflite(model, output_range=(-4, 4))


class AlwaysDropped(layers.Layer):
    """Drops in inference, too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.drop = layers.Dense(4), layers.Dropout(0.5)

    def call(self, inputs):
        return self.drop(self.dense(inputs), training=True)


def test_noise_in_inference_is_refused_inside_a_layer_and_has_no_part_in_a_functional_model():
    model = keras.Sequential([keras.Input((2, 4)), AlwaysDropped(name="mine"), TernaryLIF(), TimeAverage()])
    with pytest.raises(ValueError, match=r"'mine' \(AlwaysDropped\): with the same numbers it gives others"):
        describe(model)
    # Keras runs a functional model with the `training` of `predict`, whatever its layers were called with.
    assert_folds(of_layers(lambda x: TernaryLIF()(layers.Dropout(0.5)(P(layers.Flatten())(x), training=True))))
