"""Batch normalization by one operator: NumPy's numbers, Keras's gradients and statistics, and where it steps aside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import BatchNormalization, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite

OPERATOR = "FusedBatchNormV3"
SHAPES = {"vectors": (12, 5), "lines": (6, 4, 5), "images": (6, 3, 4, 5), "sequences": (4, 3, 2, 3, 5)}
TOLERANCE = 1e-4  # sums of up to 72 float32 of about 10


def both(shape, rng, **options):
    """Ours and Keras's layer with the same random weights."""
    layers = BatchNormalization(**options), keras.layers.BatchNormalization(momentum=0.9, **options)
    for layer in layers:
        layer.build(shape)
    for ours, theirs in zip(*(layer.weights for layer in layers), strict=True):
        values = rng.uniform(0.5, 2.0, ours.shape)
        ours.assign(values)
        theirs.assign(values)
    return layers


def trained(layer, x, upstream):
    """Outputs in training, gradients of the input and of all trained weights, and all weights afterwards."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
    gradients = tape.gradient(outputs, [x, *layer.trainable_weights], output_gradients=tf.constant(upstream))
    return [outputs, *gradients, *layer.weights]


def operators(layer, shape, dtype="float32", *, training=True, **arguments):
    """The kinds of operators in the graph of a call."""
    function = tf.function(lambda x: layer(x, training=training, **arguments))
    graph = function.get_concrete_function(tf.TensorSpec(shape, dtype)).graph
    return {operator.type for operator in graph.get_operations()}


@pytest.mark.parametrize("kind", SHAPES)
def test_outputs_are_normalized_over_all_axes_but_the_last(rng, kind):
    x = rng.normal(2.0, 3.0, SHAPES[kind]).astype("float32")
    layer = BatchNormalization(epsilon=0.01)
    rows = x.reshape(-1, x.shape[-1]).astype("float64")
    expected = (x - rows.mean(0)) / np.sqrt(rows.var(0) + 0.01)
    np.testing.assert_allclose(layer(x, training=True), expected, atol=TOLERANCE)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * rows.mean(0), atol=TOLERANCE)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * rows.var(0), atol=TOLERANCE)


@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False}], ids=str
)
@pytest.mark.parametrize("kind", SHAPES)
def test_training_is_that_of_keras(rng, kind, options):
    ours, theirs = both(SHAPES[kind], rng, **options)
    x, upstream = rng.normal(1.0, 2.0, (2, *SHAPES[kind])).astype("float32")
    assert OPERATOR in operators(ours, SHAPES[kind])
    assert OPERATOR not in operators(theirs, SHAPES[kind])
    for one, other in zip(trained(ours, x, upstream), trained(theirs, x, upstream), strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_values_far_from_zero_keep_their_variance(rng):
    x = (1000.0 + rng.normal(size=(4096, 2))).astype("float32")
    layer = BatchNormalization(momentum=0.0)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_variance, x.astype("float64").var(0), rtol=1e-4)


def test_one_value_has_no_variance():
    layer = BatchNormalization(momentum=0.5)
    np.testing.assert_array_equal(layer(np.array([[3.0, -1.0]], "float32"), training=True), [[0.0, 0.0]])
    np.testing.assert_array_equal(layer.moving_mean, [1.5, -0.5])
    np.testing.assert_array_equal(layer.moving_variance, [0.5, 0.5])


def test_inference_uses_the_moving_statistics(rng):
    ours, theirs = both((6, 5), rng)
    x = rng.normal(size=(6, 5)).astype("float32")
    np.testing.assert_array_equal(ours(x), theirs(x))
    assert OPERATOR not in operators(ours, (6, 5), training=False)


def test_frozen_layer_uses_the_moving_statistics_in_training(rng):
    ours, _ = both((6, 5), rng)
    x = rng.normal(size=(6, 5)).astype("float32")
    ours.trainable, before = False, ours.moving_mean.numpy()
    np.testing.assert_array_equal(ours(x, training=True), ours(x))
    np.testing.assert_array_equal(ours.moving_mean, before)


@pytest.mark.parametrize(
    "options, dtype",
    [({"synchronized": True}, "float32"), ({"axis": 1}, "float32"), ({"epsilon": 1e-6}, "float32"), ({}, "float64")],
    ids=str,
)
def test_keras_computes_what_the_operator_does_not(rng, options, dtype):
    ours, theirs = both((6, 5, 5), rng, dtype=dtype, **options)
    x, upstream = rng.normal(1.0, 2.0, (2, 6, 5, 5)).astype(dtype)
    assert OPERATOR not in operators(ours, (6, 5, 5), dtype)
    for one, other in zip(trained(ours, x, upstream), trained(theirs, x, upstream), strict=True):
        np.testing.assert_array_equal(one, other)


def test_masked_timesteps_stay_out_of_the_statistics(rng):
    x = rng.normal(size=(4, 3, 5)).astype("float32")
    mask = np.arange(3) < np.array([1, 2, 3, 0])[:, None]
    layer = BatchNormalization(momentum=0.0)
    PerTimestep(layer)(x, training=True, mask=mask)
    np.testing.assert_allclose(layer.moving_mean, x[mask].mean(0), atol=TOLERANCE)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_normalized_in_float32(rng, policy):
    x = rng.normal(200.0, 3.0, (512, 5)).astype("float32")
    layer = BatchNormalization(dtype=policy)
    half = tf.cast(x, layer.compute_dtype)
    rows = tf.cast(half, "float32").numpy()
    outputs = layer(half, training=True)
    assert outputs.dtype == layer.compute_dtype
    expected = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-3)
    steps = 2.0**-11 if policy == "mixed_float16" else 2.0**-8
    np.testing.assert_allclose(tf.cast(outputs, "float32"), expected, rtol=steps, atol=1e-4)


def test_unknown_batch_and_timesteps_train(rng):
    inputs = keras.Input((None, 4, 4, 3))
    model = keras.Model(inputs, PerTimestep(BatchNormalization())(inputs))
    model.compile("sgd", "mse")
    x = rng.normal(size=(2, 5, 4, 4, 3)).astype("float32")
    model.fit(x, x, verbose=0)
    assert model.predict(x, verbose=0).shape == x.shape


def test_momentum_differs_from_keras_and_is_saved(tmp_path):
    model = keras.Sequential([keras.Input((4,)), BatchNormalization(epsilon=0.25, name="norm")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("norm")
    assert isinstance(loaded, BatchNormalization)
    assert (loaded.momentum, loaded.epsilon) == (0.9, 0.25)


def exported(kind):
    """The file of a network with a batch normalization of that class, and always the same weights and names."""
    keras.utils.set_random_seed(0)
    norm = kind(name="norm", gamma_initializer=keras.initializers.RandomNormal(1.0, 0.5))
    layers = [keras.Input((6, 6, 1), name="image"), keras.layers.Conv2D(4, 3, name="conv"), norm]
    layers += [DirectEncoding(2, name="encoding"), TernaryLIF(name="lif")]
    layers += [PerTimestep(keras.layers.Flatten(name="flat")), PerTimestep(keras.layers.Dense(3, name="logits"))]
    return export_tflite(keras.Sequential([*layers, TimeAverage(name="mean")], name="model"))


def test_the_exporter_folds_it_as_that_of_keras():
    assert exported(BatchNormalization) == exported(keras.layers.BatchNormalization)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_training_in_half_precision_is_that_of_keras(rng, policy):
    ours, theirs = both(SHAPES["images"], rng, dtype=policy)
    x = rng.normal(2.0, 3.0, SHAPES["images"]).astype("float32")
    upstream = rng.normal(size=x.shape).astype("float32")
    dtype = ours.compute_dtype
    results = [trained(layer, tf.cast(x, dtype), tf.cast(upstream, dtype)) for layer in (ours, theirs)]
    step = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]  # of numbers from 1 to 2
    for our, their in zip(*results, strict=True):
        assert our.dtype == their.dtype
        our, their = (
            np.asarray(keras.ops.cast(keras.ops.convert_to_tensor(tensor), "float32")) for tensor in (our, their)
        )
        np.testing.assert_allclose(our, their, rtol=2 * step, atol=2 * step * np.abs(their).max())
