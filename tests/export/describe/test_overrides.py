"""Models that compute something else than their layers tell: own calls, weights stored otherwise, further values."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_ternary_spike import PerTimestep, TernaryLIF, TernaryLIFCell, TimeAverage
from keras_ternary_spike.export import export_tflite, fold, quantize_aware, verify
from keras_ternary_spike.export.describe.model import describe

WAYS = {"export_tflite": export_tflite, "fold": fold, "quantize_aware": quantize_aware}


def chain(*front, shape=(3, 4)):
    return [keras.Input(shape), *front, layers.Dense(3), TernaryLIF(), layers.Dense(2), TimeAverage()]


def functional(kind):
    inputs, *others = chain()
    value = inputs
    for layer in others:
        value = layer(value)
    return kind(inputs, value, name="mine")


class Doubled:
    """A mixin: the override stands in none of the classes that Keras sees."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs)


class DoubledModel(Doubled, keras.Model):
    pass


class DoubledSequential(Doubled, keras.Sequential):
    pass


class DoubledPerTimestep(Doubled, PerTimestep):
    pass


class DoubledAgain(DoubledPerTimestep):
    pass


class DoubledTimeDistributed(Doubled, layers.TimeDistributed):
    pass


class DoubledDense(Doubled, layers.Dense):
    pass


class DoubledCell(TernaryLIFCell):
    def call(self, inputs, states, **kwargs):
        return super().call(2 * inputs, states, **kwargs)


class OtherDunder(keras.Sequential):
    def __call__(self, *args, **kwargs):
        return 2 * super().__call__(*args, **kwargs)


def of_one_object():
    dense = layers.Dense(4, name="mine")
    model = keras.Sequential(chain(dense))
    dense.call = lambda inputs: 2 * layers.Dense.call(dense, inputs)
    return model


def wrapped(layer):
    return keras.Sequential(chain(layer))


OVERRIDING = {
    "functional model": lambda: functional(DoubledModel),
    "sequential model": lambda: DoubledSequential(chain(), name="mine"),
    "nested sequential model": lambda: wrapped(DoubledSequential([layers.Dense(4), TernaryLIF()], name="mine")),
    "PerTimestep": lambda: wrapped(DoubledPerTimestep(layers.Dense(4), name="mine")),
    "class of a class": lambda: wrapped(DoubledAgain(layers.Dense(4), name="mine")),
    "TimeDistributed": lambda: wrapped(DoubledTimeDistributed(layers.Dense(4), name="mine")),
    "Bidirectional": lambda: wrapped(
        layers.Bidirectional(layers.RNN(TernaryLIFCell(), return_sequences=True), name="mine")
    ),
    "Dense": lambda: wrapped(DoubledDense(4, name="mine")),
    "cell": lambda: wrapped(layers.RNN(DoubledCell(), return_sequences=True, name="mine")),
    "__call__": lambda: OtherDunder(chain(), name="mine"),
    "one object": of_one_object,
}


@pytest.mark.parametrize("case", OVERRIDING)
def test_a_call_of_the_users_own_is_refused_by_name(case):
    model = OVERRIDING[case]()
    for way in WAYS.values():
        with pytest.raises(ValueError, match="'mine'"):
            way(model)


class OwnTraining(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)

    def test_step(self, data):
        return super().test_step(data)

    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


def test_methods_of_training_may_be_overridden(rng):
    model = OwnTraining(chain())
    samples = rng.uniform(0, 1, (4, 3, 4)).astype("float32")
    assert verify(model, export_tflite(model), samples).exact


class Classes(keras.Model):
    def predict_step(self, data):
        return ops.argmax(super().predict_step(data), -1)


class Shifted(keras.Model):
    def predict(self, *args, **kwargs):
        return 1 + super().predict(*args, **kwargs)


@pytest.mark.parametrize("kind, method", [(Classes, "predict_step"), (Shifted, "predict")])
def test_verify_names_an_overridden_prediction(kind, method):
    model = functional(kind)
    with pytest.raises(ValueError, match=rf"`{method}` of the model must be Keras's own.*'mine'.*model.outputs"):
        verify(model, export_tflite(model), np.zeros((1, 3, 4), "float32"))


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_weights_that_keras_has_quantized_are_refused(mode, tmp_path):
    model = wrapped(layers.Dense(4, name="first"))
    model.quantize(mode)
    model.save(tmp_path / "model.keras")
    for quantized in (model, keras.saving.load_model(tmp_path / "model.keras")):
        for way in WAYS.values():
            with pytest.raises(ValueError, match=rf"stored as the numbers.*'first', quantized by Keras \({mode}\)"):
                way(quantized)


def test_whole_numbers_are_no_weights():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")])
    model.layers[0]._kernel = np.ones((4, 2), np.int32)
    with pytest.raises(ValueError, match=r"'kernel' of layer 'head' as int32"):
        describe(model)


@pytest.mark.parametrize("kind", ["Dense", "Conv2D"])
def test_low_rank_updates_are_part_of_the_kernel(kind, rng):
    layer, shape = {"Dense": (layers.Dense(3), (6,)), "Conv2D": (layers.Conv2D(3, 3), (5, 5, 2))}[kind]
    model = keras.Sequential([keras.Input(shape), layer])
    before = keras.ops.convert_to_numpy(layer.kernel).copy()
    layer.enable_lora(2)
    first, second = (rng.normal(size=x.shape).astype("float32") for x in (layer.lora_kernel_a, layer.lora_kernel_b))
    layer.lora_kernel_a.assign(first)
    layer.lora_kernel_b.assign(second)
    expected = before + first @ second * (layer.lora_alpha / layer.lora_rank)
    np.testing.assert_allclose(describe(model)[layer.name].kernel, expected, atol=1e-6)


def test_tied_weights_are_those_that_the_layer_computes_with():
    first, second = layers.Dense(3, name="first"), layers.Dense(4, use_bias=False, name="second")
    model = keras.Sequential([keras.Input((4,)), first, second])
    second._kernel = ops.transpose(first.kernel)
    np.testing.assert_array_equal(describe(model)["second"].kernel, ops.convert_to_numpy(first.kernel).T)


@pytest.mark.parametrize("which", ["states", "both"])
def test_values_that_no_rule_accounts_for_are_refused_by_the_layers_name(which):
    inputs = keras.Input((3, 4))
    spikes, states = TernaryLIF(reset="none", return_state=True, name="lif")(layers.Dense(4)(inputs))
    outputs = {"states": layers.Dense(2)(states), "both": [spikes, states]}[which]
    for way in WAYS.values():
        with pytest.raises(ValueError, match=r"must be one that a spike clears.*'lif' with reset='none'"):
            way(keras.Model(inputs, outputs))


class Halves(layers.Layer):
    def call(self, inputs):
        return ops.split(inputs, 2, axis=-1)


def test_a_layer_of_several_values_is_refused_by_name():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Halves(name="halves")(inputs)[1]))
    with pytest.raises(ValueError, match=r"'split' \(Split\) with 2\. Use layers that give one value each"):
        describe(model)


@pytest.mark.parametrize(
    ("layer", "arguments"),
    [
        (TernaryLIF(name="mine"), {"mask": np.array([[True, False, True]])}),
        (TernaryLIF(name="mine"), {"initial_state": [np.full((2, 4), 0.4, "float32")]}),
        (TimeAverage(name="mine"), {"mask": np.array([[True, False, True]])}),
        (layers.Softmax(name="mine"), {"mask": np.array([True, False, True, True])}),
        (layers.BatchNormalization(name="mine"), {"mask": np.array([[True, False, True]])}),
    ],
)
def test_what_a_layer_was_called_with_beside_values_is_refused_by_name(layer, arguments):
    inputs = keras.Input(batch_shape=(2, 3, 4))
    model = keras.Model(inputs, layer(layers.Dense(4)(inputs), **arguments))
    for way in WAYS.values():
        with pytest.raises(ValueError, match=f"nothing but values.*'mine' with {next(iter(arguments))} of type"):
            way(model)


def test_training_of_a_call_plays_no_part_in_prediction(rng):
    inputs = keras.Input((3, 4))
    noisy = layers.Dropout(0.9)(layers.BatchNormalization()(inputs, training=True), training=True)
    model = keras.Model(inputs, layers.Dense(3)(noisy))
    samples = rng.uniform(0, 1, (4, 3, 4)).astype("float32")
    np.testing.assert_allclose(fold(model).predict(samples), model.predict(samples), atol=1e-6)


@pytest.mark.parametrize("layer", [layers.Rescaling(3.0, dtype="int32"), layers.Activation("linear", dtype="uint8")])
def test_a_layer_that_computes_in_integers_is_refused_by_name(layer):
    with pytest.raises(ValueError, match=f"compute in floating point.*{layer.name!r} with dtype='u?int"):
        describe(keras.Sequential([keras.Input((4,)), layer, layers.Dense(2)]))
