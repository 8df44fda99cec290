"""The sequence layers: states, masks, direction, and one whole-sequence function for the unmasked path."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import BinaryLIF, TernaryLIF

FEATURES = [(3,), (4, 5, 2)]


def steps(layer, sequences, state=None):
    """Outputs and last state by the cell, one timestep after the other."""
    layer(sequences)
    states = [np.zeros_like(sequences[:, 0]) if state is None else state]
    outputs = []
    for t in range(sequences.shape[1]):
        output, states = layer.cell(sequences[:, t], states)
        outputs.append(output)
    return np.stack(outputs, axis=1), np.array(states[0])


@pytest.mark.parametrize("layer_class", [TernaryLIF, BinaryLIF])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("timesteps", [1, 4, 40])
def test_sequence_equals_its_steps(rng, layer_class, features, timesteps):
    sequences = rng.normal(size=(2, timesteps, *features)).astype("float32")
    layer = layer_class(return_state=True)
    outputs, state = layer(sequences)
    expected_outputs, expected_state = steps(layer, sequences)
    np.testing.assert_allclose(outputs, expected_outputs, atol=1e-6)
    np.testing.assert_allclose(state, expected_state, atol=1e-6)


def test_defaults_are_the_released_codes():
    layer = TernaryLIF()
    layer.build((None, 4, 3))
    assert (layer.decay, layer.threshold, float(layer.amplitude)) == (0.25, 0.5, 1.0)
    assert layer.amplitude is layer.cell.amplitude and layer.return_sequences


def test_last_output_alone_comes_without_return_sequences(rng):
    sequences = rng.normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_array_equal(TernaryLIF(return_sequences=False)(sequences), TernaryLIF()(sequences)[:, -1])


def test_going_backwards_reads_the_sequence_from_its_end(rng):
    sequences = rng.normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_array_equal(TernaryLIF(go_backwards=True)(sequences), TernaryLIF()(sequences[:, ::-1]))


def test_initial_state_enters_before_the_decay():
    # 0.25 * 1.0 + 0.25 = 0.5 fires; 0.25 * 0.96 + 0.25 does not
    outputs = TernaryLIF()(np.full((1, 1, 2), 0.25, "float32"), initial_state=np.array([[1.0, 0.96]], "float32"))
    assert outputs.numpy().tolist() == [[[1.0, 0.0]]]


@pytest.mark.parametrize("features", FEATURES)
def test_state_handed_on_continues_the_sequence(rng, features):
    sequences = rng.normal(size=(2, 6, *features)).astype("float32")
    layer = TernaryLIF(return_state=True)
    first, state = layer(sequences[:, :2])
    second, _ = layer(sequences[:, 2:], initial_state=state)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), layer(sequences)[0])


@pytest.mark.parametrize("features", FEATURES)
def test_stateful_chunks_equal_one_long_call_until_reset(rng, features):
    sequences = rng.normal(size=(2, 6, *features)).astype("float32")
    layer, whole = TernaryLIF(stateful=True), TernaryLIF()(sequences)
    for _ in range(2):
        chunks = [layer(sequences[:, :1]), layer(sequences[:, 1:4]), layer(sequences[:, 4:])]
        np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole)
        layer.reset_state()


def test_masked_timesteps_leave_the_state_as_it_is(rng):
    sequences = rng.normal(size=(2, 5, 3)).astype("float32")
    mask = np.array([[True, True, False, True, False], [False, True, True, True, True]])
    layer = TernaryLIF(return_state=True, zero_output_for_mask=True)
    outputs, state = layer(sequences, mask=mask)
    for sample in range(2):
        kept, last = layer(sequences[sample : sample + 1, mask[sample]])
        np.testing.assert_allclose(outputs[sample][mask[sample]], kept[0], atol=1e-6)
        np.testing.assert_allclose(state[sample], last[0], atol=1e-6)
    assert (outputs.numpy()[~mask] == 0).all()


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("features", FEATURES)
def test_a_mask_that_hides_nothing_changes_nothing(rng, unroll, go_backwards, features):
    sequences = rng.normal(size=(2, 5, *features)).astype("float32")
    layer = TernaryLIF(unroll=unroll, go_backwards=go_backwards)
    masked = tf.function(layer)(sequences, mask=np.ones((2, 5), bool))
    np.testing.assert_allclose(masked, layer(sequences), atol=1e-6)


def test_gradient_through_a_full_mask_equals_the_gradient_without(rng):
    sequences = tf.constant(rng.normal(size=(2, 5, 3)), "float32")
    layer = TernaryLIF()
    layer(sequences)

    @tf.function
    def gradient(mask):
        with tf.GradientTape() as tape:
            tape.watch(sequences)
            loss = tf.reduce_sum(layer(sequences, mask=mask) * tf.range(3.0))
        return tape.gradient(loss, [sequences, layer.amplitude.value])

    for masked, plain in zip(gradient(np.ones((2, 5), bool)), gradient(None), strict=True):
        np.testing.assert_allclose(masked, plain, atol=1e-5)


@pytest.mark.parametrize("sizes", [(None, None, None, None, 3), (None, 4, None, None, 3), (2, None, 6, 6, 3)])
def test_unknown_sizes_are_no_obstacle(rng, sizes):
    inputs = keras.Input(batch_shape=sizes)
    outputs = TernaryLIF()(inputs)
    assert outputs.shape == sizes
    sequences = rng.normal(size=(2, 4, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(keras.Model(inputs, outputs)(sequences), TernaryLIF()(sequences), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"return_sequences": False}, {"return_state": True}])
@pytest.mark.parametrize("features", FEATURES)
def test_symbolic_shape_equals_eager_shape(rng, options, features):
    symbolic = TernaryLIF(**options)(keras.Input(batch_shape=(2, 4, *features)))
    eager = TernaryLIF(**options)(rng.normal(size=(2, 4, *features)))
    for expected, tensor in zip(tf.nest.flatten(eager), tf.nest.flatten(symbolic), strict=True):
        assert tensor.shape == tuple(expected.shape) and tensor.dtype == expected.dtype.name


def test_a_sequence_without_features_is_refused():
    with pytest.raises(ValueError, match=r"\(batch, timesteps, \*features\).*Received: shape \(2, 4\)"):
        TernaryLIF()(np.zeros((2, 4), "float32"))


def test_stateful_needs_a_batch_size():
    with pytest.raises(ValueError, match=r"stateful=True needs a fixed batch size.*\(None, 4, 3\).*batch_shape"):
        TernaryLIF(stateful=True)(keras.Input((4, 3)))


@pytest.mark.parametrize("timesteps", [1, 3])
def test_predict_in_chunks_equals_one_long_call(rng, timesteps):
    sequences = rng.normal(size=(2, 6, 3)).astype("float32")
    model = keras.Sequential([keras.Input(batch_shape=(2, timesteps, 3)), TernaryLIF(stateful=True)])
    whole = TernaryLIF()(sequences)
    for _ in range(2):
        starts = range(0, 6, timesteps)
        chunks = [model.predict(sequences[:, t : t + timesteps], batch_size=2, verbose=0) for t in starts]
        np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole)
        model.layers[0].reset_state()


def test_batch_size_changes_after_a_reset_and_back(rng):
    layer, sequences = TernaryLIF(stateful=True), rng.normal(size=(5, 6, 3)).astype("float32")
    compiled = tf.function(layer)
    for samples in (2, 5, 2):
        if layer.built:
            layer.reset_state(batch_size=samples)
        chunks = [compiled(sequences[:samples, :4]), compiled(sequences[:samples, 4:])]
        np.testing.assert_array_equal(np.concatenate(chunks, axis=1), TernaryLIF()(sequences[:samples]))
    assert [weight.name for weight in layer.weights] == ["amplitude"]


def test_another_batch_size_without_a_reset_is_refused(rng):
    layer = TernaryLIF(stateful=True)
    layer(rng.normal(size=(2, 4, 3)))
    with pytest.raises(ValueError, match=r"(?s)batch size.*Expected batch size: 2.*Received batch size: 3"):
        layer(rng.normal(size=(3, 4, 3)))


@pytest.mark.parametrize("layer", [TernaryLIF(name="lif"), TernaryLIF(name="lif", stateful=True)])
def test_a_batch_size_without_a_state_is_refused(layer):
    with pytest.raises(ValueError, match=r"stateful=True and be built. Received: batch_size=3 at 'lif'.*built=False"):
        layer.reset_state(batch_size=3)


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2, 3, 1)])
def test_an_initial_state_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(batch, \*features\) = \(2, 3\)\. Received: state with shape"):
        TernaryLIF()(np.zeros((2, 4, 3), "float32"), initial_state=np.zeros(shape, "float32"))


def test_a_sequence_without_timesteps_is_refused():
    with pytest.raises(ValueError, match=r"`timesteps` must be at least 1. Received: current with shape \(2, 0, 3\)"):
        TernaryLIF()(np.zeros((2, 0, 3), "float32"))


@pytest.mark.parametrize("training", [False, True])
def test_integers_are_refused_where_keras_does_not_cast_them(training):
    with pytest.raises(ValueError, match=r"`current` must hold floats.*dtype int32.*keras.ops.cast"):
        TernaryLIF()(tf.ones((2, 4, 3), "int32"), training=training)


@pytest.mark.parametrize("training", [False, True])
def test_a_current_that_is_not_finite_shows_in_the_output(training):
    sequences = np.zeros((1, 4, 2), "float32")
    sequences[0, 1, 0] = np.nan
    options = {"threshold": [0.5, 1.0], "decay": 0.3, "trainable_threshold": True, "snap_decay": True}
    outputs = TernaryLIF(**options)(sequences, training=training).numpy()
    assert np.isnan(outputs[0, :, 0]).tolist() == [False, True, True, True] and np.isfinite(outputs[..., 1]).all()
