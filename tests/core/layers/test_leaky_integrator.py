"""LeakyIntegrator: a linear recurrence, in NumPy and in Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import LeakyIntegrator, LeakyIntegratorCell


def recurrence(sequences, decay, state=None):
    """membrane[t] = decay * membrane[t-1] + current[t], `(batch, timesteps, *features)`."""
    membrane, membranes = (0.0 * sequences[:, 0] if state is None else state), []
    for t in range(sequences.shape[1]):
        membrane = decay * membrane + sequences[:, t]
        membranes.append(membrane)
    return np.stack(membranes, axis=1)


@pytest.mark.parametrize("decay", [0.0, 0.3, 1.0, [0.1, 0.5, 0.9]])
@pytest.mark.parametrize("features", [(3,), (4, 2, 3)])
def test_it_is_the_recurrence(rng, decay, features):
    sequences = rng.normal(size=(2, 5, *features)).astype("float32")
    expected = recurrence(sequences, np.array(decay))
    np.testing.assert_allclose(LeakyIntegrator(decay)(sequences), expected, atol=1e-5)
    last, state = LeakyIntegrator(decay, return_sequences=False, return_state=True)(sequences)
    np.testing.assert_allclose(last, expected[:, -1], atol=1e-5)
    np.testing.assert_array_equal(last, state)


@pytest.mark.parametrize("timesteps", [5, 20])
def test_it_goes_backwards_over_short_and_long_sequences(rng, timesteps):
    sequences = rng.normal(size=(2, timesteps, 3)).astype("float32")
    expected = recurrence(sequences[:, ::-1], 0.5)
    np.testing.assert_allclose(LeakyIntegrator(0.5, go_backwards=True)(sequences), expected, atol=1e-5)


def test_it_goes_on_from_a_state_and_in_chunks(rng):
    sequences = rng.normal(size=(2, 6, 3)).astype("float32")
    start = rng.normal(size=(2, 3)).astype("float32")
    expected = recurrence(sequences, 0.5, start)
    np.testing.assert_allclose(LeakyIntegrator(0.5)(sequences, initial_state=start), expected, atol=1e-5)
    stateful, whole = LeakyIntegrator(0.5, stateful=True), LeakyIntegrator(0.5)(sequences)
    for _ in range(2):
        chunks = [stateful(sequences[:, :4]), stateful(sequences[:, 4:])]
        np.testing.assert_allclose(np.concatenate(chunks, axis=1), whole, atol=1e-6)
        stateful.reset_state()


def test_a_masked_timestep_leaves_the_membrane_as_it_is(rng):
    sequences, mask = rng.normal(size=(2, 4, 3)).astype("float32"), np.array([[1, 0, 1, 0], [1, 1, 0, 1]], bool)
    last = LeakyIntegrator(0.5, return_sequences=False)(sequences, mask=mask)
    expected = [recurrence(sequences[n : n + 1, mask[n]], 0.5)[0, -1] for n in range(2)]
    np.testing.assert_allclose(last, expected, atol=1e-5)


def test_its_gradient_is_that_of_the_geometric_series():
    sequences = tf.ones((1, 4, 1))
    layer = LeakyIntegrator(0.5, return_sequences=False, trainable_decay=True)
    with tf.GradientTape() as tape:
        tape.watch(sequences)
        last = layer(sequences)  # 1 + d + d^2 + d^3
    by_current, by_weight = tape.gradient(last, [sequences, layer.trainable_weights[0].value])
    np.testing.assert_allclose(np.ravel(by_current), [0.125, 0.25, 0.5, 1.0])
    np.testing.assert_allclose(by_weight, (1 + 2 * 0.5 + 3 * 0.25) * 0.5 * (1 - 0.5))


@pytest.mark.parametrize("sizes", [(None, None, None, None, 3), (2, None, 6, 6, 3)])
def test_unknown_sizes_are_no_obstacle(rng, sizes):
    inputs = keras.Input(batch_shape=sizes)
    outputs = LeakyIntegrator(0.5)(inputs)
    assert outputs.shape == sizes
    sequences = rng.normal(size=(2, 4, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(keras.Model(inputs, outputs)(sequences), recurrence(sequences, 0.5), atol=1e-5)


def test_wrong_options_and_inputs_are_refused():
    with pytest.raises(ValueError, match=r"`decay` must lie in \[0, 1\]"):
        LeakyIntegrator(1.5)
    with pytest.raises(ValueError, match=r"LeakyIntegrator takes sequences.*Received: shape \(2, 4\)"):
        LeakyIntegrator()(np.zeros((2, 4), "float32"))
    with pytest.raises(ValueError, match=r"stateful=True needs a fixed batch size"):
        LeakyIntegrator(stateful=True)(keras.Input((4, 3)))
    with pytest.raises(ValueError, match=r"One `decay` for each channel|one for each channel"):
        LeakyIntegrator([0.1, 0.2])(np.zeros((1, 2, 3), "float32"))


def test_repr_and_weights():
    assert repr(LeakyIntegrator(0.5, name="out")) == "<LeakyIntegrator name=out, decay=0.5, built=False>"
    assert repr(LeakyIntegratorCell(name="cell")) == "<LeakyIntegratorCell name=cell, built=False>"
    layer = LeakyIntegrator(trainable_decay=True)
    layer(np.zeros((1, 2, 3), "float32"))
    assert [weight.name for weight in layer.weights] == ["logit_decay"]
