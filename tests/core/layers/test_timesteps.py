"""DirectEncoding, PerTimestep, TimeAverage, TimeMax and LastTimestep."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import DirectEncoding, LastTimestep, PerTimestep, TimeAverage, TimeMax

LAYERS = [
    (lambda: keras.layers.Conv2D(4, 3), (6, 5, 3)),
    (lambda: keras.layers.Dense(4), (6,)),
    (lambda: keras.layers.Flatten(), (6, 5, 3)),
    (lambda: keras.layers.GlobalAveragePooling2D(), (6, 5, 3)),
    (lambda: keras.layers.BatchNormalization(), (6, 5, 3)),
    (lambda: keras.layers.LSTM(4), (6, 3)),
    (lambda: keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]), (6, 5, 3)),
]


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 5, 3)])
def test_direct_encoding_repeats_its_input(rng, shape):
    inputs = rng.normal(size=shape).astype("float32")
    outputs = DirectEncoding(4)(inputs)
    np.testing.assert_array_equal(outputs, np.repeat(inputs[:, None], 4, axis=1))
    assert DirectEncoding(4)(keras.Input(shape[1:])).shape == (None, 4, *shape[1:])


@pytest.mark.parametrize("timesteps", [0, -1, 1.5, "2", None, True])
def test_direct_encoding_needs_a_timestep(timesteps):
    with pytest.raises(ValueError, match="`timesteps` must be an integer of at least 1"):
        DirectEncoding(timesteps)


@pytest.mark.parametrize("make, features", LAYERS)
def test_per_timestep_equals_the_layer_on_each_timestep(rng, make, features):
    inputs = rng.normal(size=(2, 4, *features)).astype("float32")
    wrapper = PerTimestep(make())
    outputs = wrapper(inputs)
    for t in range(4):
        np.testing.assert_allclose(outputs[:, t], wrapper.layer(inputs[:, t]), atol=1e-5)


@pytest.mark.parametrize("make, features", LAYERS)
@pytest.mark.parametrize("leading", [(2, 4), (None, 4), (None, None), (2, None)])
def test_per_timestep_takes_unknown_batch_and_timesteps(rng, make, features, leading):
    symbolic = keras.Input(batch_shape=(*leading, *features))
    wrapper = PerTimestep(make())
    outputs = wrapper(symbolic)
    eager = keras.Model(symbolic, outputs)(rng.normal(size=(2, 4, *features)).astype("float32"))
    assert outputs.shape == (*leading, *eager.shape[2:])
    assert wrapper.compute_output_shape(symbolic.shape) == outputs.shape


def test_per_timestep_takes_unknown_image_sizes(rng):
    symbolic = keras.Input((4, None, None, 3))
    outputs = PerTimestep(keras.layers.Conv2D(5, 3))(symbolic)
    assert outputs.shape == (None, 4, None, None, 5)
    assert keras.Model(symbolic, outputs)(rng.normal(size=(2, 4, 6, 7, 3))).shape == (2, 4, 4, 5, 5)


@pytest.mark.parametrize("wrap", [lambda norm: norm, lambda norm: keras.Sequential([norm])])
def test_batch_normalization_sees_batch_and_time_together(rng, wrap):
    inputs = rng.normal(2.0, 3.0, size=(8, 4, 5, 5, 3)).astype("float32")
    norm = keras.layers.BatchNormalization(momentum=0.0)
    outputs = PerTimestep(wrap(norm))(inputs, training=True)
    np.testing.assert_allclose(norm.moving_mean, inputs.mean(axis=(0, 1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(np.mean(outputs, axis=(0, 1, 2, 3)), np.zeros(3), atol=1e-4)
    np.testing.assert_allclose(np.std(outputs, axis=(0, 1, 2, 3)), np.ones(3), atol=1e-3)


def test_training_reaches_the_wrapped_layer():
    dropout = PerTimestep(keras.layers.Dropout(0.5))
    ones = np.ones((2, 4, 100), "float32")
    assert (dropout(ones, training=True).numpy() == 0).any()
    assert (dropout(ones, training=False).numpy() == 1).all()
    assert (keras.Sequential([dropout])(ones, training=True).numpy() == 0).any()


def test_masked_timesteps_stay_out_of_the_statistics(rng):
    inputs = rng.normal(size=(3, 4, 5, 5, 2)).astype("float32")
    mask = rng.random((3, 4)) < 0.5
    norm = keras.layers.BatchNormalization(momentum=0.0)
    PerTimestep(norm)(inputs, training=True, mask=mask)
    np.testing.assert_allclose(norm.moving_mean, inputs[mask].mean(axis=(0, 1, 2)), atol=1e-5)


def test_time_average_is_the_mean_over_timesteps(rng):
    inputs = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    np.testing.assert_allclose(TimeAverage()(inputs), inputs.mean(axis=1), atol=1e-6)
    assert TimeAverage()(keras.Input((None, 5, 3))).shape == (None, 5, 3)


def test_time_average_leaves_masked_timesteps_out():
    inputs = np.array([[[1.0], [2.0], [np.nan]], [[5.0], [6.0], [7.0]]], "float32")
    mask = np.array([[True, True, False], [False, False, False]])
    assert TimeAverage()(inputs, mask=mask).numpy().tolist() == [[1.5], [0.0]]


def test_mask_travels_from_masking_to_the_average(rng):
    inputs = rng.normal(size=(2, 4, 3)).astype("float32")
    inputs[:, 2:] = 0.0
    dense = keras.layers.Dense(5)
    model = keras.Sequential([keras.layers.Masking(), PerTimestep(dense), TimeAverage()])
    np.testing.assert_allclose(model(inputs), np.mean(dense(inputs[:, :2]), axis=1), atol=1e-6)


def test_no_mask_outlives_the_time_axis():
    mask = np.ones((2, 4), bool)
    assert TimeAverage().compute_mask(None, mask) is None
    assert PerTimestep(keras.layers.Dense(2)).compute_mask(None, mask) is mask


def test_per_timestep_needs_a_feature_axis():
    with pytest.raises(ValueError, match=r"\(batch, timesteps, \*features\).*Received: shape \(2, 4\)"):
        PerTimestep(keras.layers.Dense(2))(np.zeros((2, 4), "float32"))


def test_gradients_pass_through_the_time_layers():
    inputs = tf.Variable(np.ones((2, 3), "float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(TimeAverage()(PerTimestep(keras.layers.ReLU())(DirectEncoding(4)(inputs))))
    np.testing.assert_allclose(tape.gradient(loss, inputs), np.ones((2, 3)))


OVER_TIME = {TimeAverage: np.mean, TimeMax: np.max, LastTimestep: lambda x, axis: np.take(x, -1, axis)}


@pytest.mark.parametrize("kind", OVER_TIME)
@pytest.mark.parametrize("features", [(3,), (2, 2, 3)])
def test_what_is_made_of_all_timesteps(rng, kind, features):
    inputs = rng.normal(size=(4, 5, *features)).astype("float32")
    np.testing.assert_allclose(kind()(inputs), OVER_TIME[kind](inputs, axis=1), atol=1e-6)
    assert kind()(keras.Input((None, *features))).shape == (None, *features)


@pytest.mark.parametrize("kind", OVER_TIME)
def test_masked_timesteps_play_no_part(rng, kind):
    inputs, mask = rng.normal(size=(3, 4, 2)).astype("float32"), np.zeros((3, 4), bool)
    mask[0, :2] = mask[1, [0, 2]] = True
    expected = [*(OVER_TIME[kind](values[seen], axis=0) for values, seen in zip(inputs[:2], mask, strict=False))]
    np.testing.assert_allclose(kind()(inputs, mask=mask), [*expected, [0, 0]], atol=1e-6)
