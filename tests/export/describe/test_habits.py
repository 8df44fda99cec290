"""Layers and operations that users have around spikes: exported as what they compute, or refused with a way out."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, TimeMax
from keras_ternary_spike.export import export_tflite, quantize_aware
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.describe.rules.options import is_known
from keras_ternary_spike.export.describe.rules.reshaping import UNCHANGED
from keras_ternary_spike.export.describe.rules.table import RULES
from keras_ternary_spike.export.describe.told_ranges import rescaled_range, told_ranges
from keras_ternary_spike.export.verification.keras_outputs import sigmoid

P = PerTimestep


def network(before=lambda x: x, between=lambda x: x, after=None, *, shape=(6,), units=4):
    """before: on the input; between: behind neurons, over time; after: on the last currents, over time (the mean)."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, name="x")
    currents = P(layers.Conv1D(5, 1)) if len(shape) == 2 else layers.Dense(5)
    spikes = TernaryLIF()(currents(DirectEncoding(2)(before(inputs))))
    values = between(spikes)
    flat = values if len(values.shape) == 3 else P(layers.Flatten())(values)
    return keras.Model(inputs, (after or TimeAverage())(layers.Dense(units)(flat)))


def assert_describes(model, samples=None):
    """The Network computes what the model does, in float64 up to the model's float32."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, *model.inputs[0].shape[1:])) if samples is None else samples
    found = computed(assemble(describe(model), dtype="float64"), x.astype("float64"))
    np.testing.assert_allclose(found, computed(model, x.astype("float32")), rtol=1e-4, atol=1e-5)


def two(merge):
    return lambda spikes: merge(TernaryLIF()(layers.Dense(5)(spikes)), spikes)


COMPUTED = {
    "x / 255": network(lambda x: x / 255.0),
    "2 * x, x + number, vector": network(lambda x: 2 * x + np.linspace(-1, 1, 6, dtype="float32") - 0.25),
    "1 - x, -x": network(lambda x: -(1 - x)),
    "operations between": network(between=lambda s: 0.5 * s + 0.1),
    "average": network(between=two(lambda a, b: layers.Average()([a, b]))),
    "average of one twice": network(between=two(lambda a, b: layers.Average()([a, b, b]))),
    "subtract": network(between=two(lambda a, b: layers.Subtract()([a, b]))),
    "x - y": network(between=two(lambda a, b: a - b)),
    "mean over time": network(after=lambda x: ops.mean(x, axis=1)),
    "sum over time": network(after=lambda x: ops.sum(x, axis=1)),
    "max over time": network(after=lambda x: ops.max(x, axis=1)),
    "last timestep": network(after=lambda x: x[:, -1]),
    "last timestep by number": network(after=lambda x: x[:, 1, ...]),
    "last spikes": network(between=lambda s: P(layers.Flatten())(s), after=TernaryLIF(return_sequences=False)),
    "pad, crop, enlarge rows": network(
        between=lambda s: P(layers.UpSampling1D(2))(P(layers.Cropping1D((1, 0)))(P(layers.ZeroPadding1D((1, 2)))(s))),
        shape=(4, 6),
    ),
    "transposed row": network(between=P(layers.Conv1DTranspose(3, 3, strides=2, padding="same")), shape=(4, 6)),
    "wide transposed row": network(between=P(layers.Conv1DTranspose(3, 2, strides=3)), shape=(4, 6)),
    "pooled rows": network(between=P(layers.GlobalAveragePooling1D()), shape=(4, 6)),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_users_write_is_described_as_what_it_computes(name):
    assert_describes(COMPUTED[name])


@pytest.mark.parametrize(
    "name",
    [
        "average",
        "x - y",
        "sum over time",
        "max over time",
        "last timestep",
        "pad, crop, enlarge rows",
        "transposed row",
    ],
)
def test_it_is_exported_too(name):
    assert export_tflite(COMPUTED[name], output_range=(-8, 8), input_range=(-2, 2))


def test_arithmetic_tells_the_range_of_the_samples():
    assert told_ranges(COMPUTED["x / 255"]) == {"x": (0.0, 255.0)}
    assert told_ranges(network(lambda x: x / 127.5 - 1.0)) == {"x": (0.0, 255.0)}
    assert told_ranges(network(lambda x: layers.GaussianNoise(0.1)(x) / 255.0)) == {"x": (0.0, 255.0)}
    assert rescaled_range(1, 0.1) is None  # nothing is scaled, nothing is told


OPTIONS = {"factor": 0.3, "rate": 0.3, "stddev": 0.3, "height_factor": 0.3, "l1": 0.1, "width_factor": 0.3}
# Identities of this one sort of numbers, or by accident of their defaults: they compute something in inference.
NOT_ALWAYS = {
    *("Cropping2D", "ELU", "Equalization", "Lambda", "LeakyReLU", "Masking", "Normalization", "PReLU", "ReLU"),
    *("Activation", "Solarization", "RandomPosterization", "Rescaling", "Cropping1D", "Resizing"),
}


def built(kind):
    parameters = inspect.signature(kind.__init__).parameters
    return kind(**{name: value for name, value in OPTIONS.items() if name in parameters})


def inferred(layer, values):
    training = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}
    return np.asarray(layer(values, **training))


@pytest.mark.parametrize("kind", sorted(UNCHANGED, key=lambda kind: kind.__name__))
def test_a_layer_that_is_skipped_is_the_identity_in_inference(kind):
    shape = (2, 8, 3) if kind is layers.SpatialDropout1D else (2, 8, 8, 3)
    unknown = [option for option in built(kind).get_config() if not is_known(option, RULES[kind])]
    assert unknown == []
    for low, high in ((0, 255), (-3, 3)):
        values = np.random.default_rng(0).uniform(low, high, shape).astype("float32")
        np.testing.assert_array_equal(inferred(built(kind), values), values)


def test_every_identity_of_keras_is_skipped():
    values, found = np.random.default_rng(0).uniform(-300, 300, (2, 8, 8, 3)).astype("float32"), set()
    for name, kind in vars(layers).items():
        if inspect.isclass(kind) and name not in NOT_ALWAYS and kind not in UNCHANGED:
            try:
                result = inferred(built(kind), values)
            except Exception:  # needs options or other inputs: no identity of one value
                continue
            if result.shape == values.shape and (result == values).all():
                found.add(name)
    assert not found


def test_augmentation_is_skipped_and_its_options_are_known():
    model = network(lambda x: layers.RandomZoom(0.1)(layers.RandomFlip("horizontal")(x)), shape=(4, 4, 6))
    plain = network(shape=(4, 4, 6))
    plain.set_weights([w for w in model.get_weights() if w.dtype == "float32"])
    assert [type(node) for node in describe(model).nodes] == [type(node) for node in describe(plain).nodes]


@pytest.mark.parametrize("end", [layers.Activation("sigmoid"), layers.Softmax(), ops.sigmoid])
def test_a_function_at_the_end_is_left_out_with_a_note(end):
    model, logits = network(after=lambda x: end(TimeAverage()(x))), network()
    assert any("left out" in note for note in describe(model).notes)
    x = np.random.default_rng(0).normal(size=(4, 6))
    found = computed(assemble(describe(model), dtype="float64"), x)
    np.testing.assert_allclose(found, computed(logits, x), rtol=1e-4, atol=1e-5)


def test_fine_tuning_keeps_the_sigmoid():
    model = network(after=lambda x: layers.Activation("sigmoid", name="p")(TimeAverage()(x)))
    x = np.random.default_rng(0).uniform(size=(4, 6))
    aware = computed(quantize_aware(model, output_range=(-4, 4)), x)
    assert np.all((aware > 0) & (aware < 1))
    np.testing.assert_allclose(aware, computed(model, x), atol=0.2)


def test_the_sigmoid_of_verify_is_the_logistic_function():
    x = np.array([-1000.0, -2.0, 0.0, 0.5, 1000.0])
    np.testing.assert_allclose(sigmoid(x), [0, 1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-0.5), 1], atol=1e-15)


def sequence(*chain):
    return keras.Sequential([keras.Input((2, 6)), layers.Dense(5), TernaryLIF(), *chain])


# What is refused, what the message says, and the network that follows its advice.
REFUSED = {
    "first timestep": (
        lambda: network(after=lambda x: x[:, 0]),
        r"'get_item.*', the operation GetItem\. .*the last one is exported, x\[:, -1\]",
        lambda: network(after=lambda x: x[:, -1]),
    ),
    "max over pixels": (
        lambda: network(between=lambda s: ops.max(s, axis=2), shape=(4, 6)),
        r"operation Max\. Over time, axis=1, it is exported; over pixels use PerTimestep\(GlobalMaxPooling2D",
        lambda: network(between=P(layers.GlobalMaxPooling2D()), shape=(4, 4, 6)),
    ),
    "maximum pooling over time": (
        lambda: sequence(layers.GlobalMaxPooling1D(name="pool")),
        r"'pool'.*maximum over time use TimeMax\(\), which computes the same",
        lambda: sequence(TimeMax()),
    ),
    "pooling over time": (
        lambda: sequence(layers.GlobalAveragePooling1D(name="pool")),
        r"'pool'.*mean over time use TimeAverage\(\), which computes the same",
        lambda: sequence(TimeAverage()),
    ),
    "masking": (
        lambda: keras.Sequential([keras.Input((2, 6)), layers.Masking(name="hide"), TernaryLIF()]),
        r"Cannot export layer 'hide' \(Masking\)\. .*leave Masking out",
        lambda: keras.Sequential([keras.Input((2, 6)), TernaryLIF()]),
    ),
    "masking in a functional model": (
        lambda: network(lambda x: layers.Masking(name="hide")(x)),
        r"Cannot export layer 'hide' \(Masking\)\. .*leave Masking out",
        network,
    ),
    "leaky relu": (
        lambda: keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.LeakyReLU(name="leak"), layers.Dense(2)]),
        r"'leak' \(LeakyReLU\).*ReLU\(\) in its place.*TernaryLIF\(\), with DirectEncoding.*TimeAverage\(\) at the end",
        lambda: keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.ReLU(), layers.Dense(2)]),
    ),
    "gelu of a layer": (
        lambda: keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="gelu", name="fc"), layers.Dense(2)]),
        r"'gelu' in layer 'fc'.*ReLU\(\) in its place.*TernaryLIF\(\), with DirectEncoding",
        network,
    ),
    "number by value": (lambda: network(lambda x: 1 / x), "operation TrueDivide.*with layers", network),
    "the same twice": (
        lambda: network(between=lambda s: s + (s - s)),
        "needs two different values.*leave it out",
        lambda: network(between=lambda s: s + s),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_layer_and_its_advice_works(name):
    refused, message, advised = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        describe(refused())
    assert describe(advised()).outputs


def test_dense_on_rows_names_the_convolution_that_computes_the_same():
    rows = network(between=P(layers.Dense(3)), shape=(4, 6))
    with pytest.raises(ValueError, match=r"Conv1D\(3, 1\) computes the same"):
        export_tflite(rows, output_range=(-8, 8), input_range=(-2, 2))
    advised = network(between=P(layers.Conv1D(3, 1)), shape=(4, 6))
    for old, new in zip(rows.weights, advised.weights, strict=True):
        new.assign(ops.reshape(old, new.shape))
    x = np.random.default_rng(0).normal(size=(4, 4, 6))
    np.testing.assert_allclose(computed(rows, x), computed(advised, x), rtol=1e-4, atol=1e-5)
