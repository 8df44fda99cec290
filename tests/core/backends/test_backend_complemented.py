"""The complemented ternary neuron against NumPy, with whatever backend Keras runs on."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ternary_spike import ComplementedTernaryLIF, ComplementedTernaryLIFCell, TemporalMembranePotential

DECAY, THRESHOLD, AMPLITUDE = 0.25, 0.5, 1.5
WEIGHTS = np.array([0.3, -0.6, 0.9])  # alpha, beta, gamma


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_sequence(current, weights, memory):
    """Outputs and, for each timestep, the state and complement before it, its complement and its membrane."""
    a, b, c = sigmoid(weights)
    left, complement, steps, outputs = np.zeros_like(current[:, 0]), np.zeros_like(current[:, 0]), [], []
    for t in range(current.shape[1]):
        state, before = DECAY * left, complement
        if memory == "static":
            complement = a * np.maximum(before, 0) + b * np.minimum(before, 0) + c * state
        else:
            complement = a * before + b * np.maximum(state, 0) + c * np.minimum(state, 0)
        membrane = complement + current[:, t]
        spike = 1.0 * (membrane >= THRESHOLD) - (membrane <= -THRESHOLD)
        left = membrane * (spike == 0)
        steps.append((state, before, complement, membrane, spike))
        outputs.append(AMPLITUDE * spike)
    return np.stack(outputs, 1), steps


def numpy_gradients(steps, weights, memory, upstream):
    """Of the current and of alpha, beta, gamma."""
    a, b, c = sigmoid(weights)
    grads, grad_current, grad_left, grad_after = np.zeros(3), np.zeros_like(upstream), 0.0, 0.0
    for t in reversed(range(len(steps))):
        state, before, _, membrane, spike = steps[t]
        slope = (np.abs(membrane) <= 2 * THRESHOLD) / (2 * THRESHOLD)
        keep = (spike == 0) - membrane * spike * slope
        grad_current[:, t] = upstream[:, t] * AMPLITUDE * slope + grad_left * keep
        grad = grad_current[:, t] + grad_after  # of the complement
        if memory == "static":
            terms = np.maximum(before, 0), np.minimum(before, 0), state
            grad_after, grad_state = grad * np.where(before > 0, a, np.where(before < 0, b, 0)), c * grad
        else:
            terms = before, np.maximum(state, 0), np.minimum(state, 0)
            grad_after, grad_state = a * grad, grad * np.where(state > 0, b, np.where(state < 0, c, 0))
        grads += [(grad * term).sum() for term in terms]
        grad_left = DECAY * grad_state
    return grad_current, grads * sigmoid(weights) * (1 - sigmoid(weights))


def built(memory, shape, **options):
    layer = ComplementedTernaryLIF(memory, **options)
    layer.build(shape)
    layer.amplitude.assign(AMPLITUDE)
    for weight, value in zip((layer.cell.alpha, layer.cell.beta, layer.cell.gamma), WEIGHTS, strict=True):
        weight.assign(value)
    return layer


def gradients(layer, current, upstream):
    """Of the current and of alpha, beta, gamma, for the loss sum(upstream * outputs), by the backend's own means."""
    weights = [layer.cell.alpha, layer.cell.beta, layer.cell.gamma]
    current, upstream = ops.convert_to_tensor(current), ops.convert_to_tensor(upstream)
    if keras.backend.backend() == "jax":
        import jax

        def loss(current, values):
            fixed = {id(weight): weight.value for weight in layer.trainable_weights}
            fixed.update(zip(map(id, weights), values, strict=True))
            given = [fixed[id(weight)] for weight in layer.trainable_weights]
            return ops.sum(upstream * layer.stateless_call(given, [], current)[0])

        found = jax.grad(loss, argnums=(0, 1))(current, [weight.value for weight in weights])
        return np.asarray(found[0]), np.array(found[1])
    if keras.backend.backend() == "torch":
        current.requires_grad_(True)
        ops.sum(upstream * layer(current)).backward()
        return current.grad.numpy(), np.array([float(weight.value.grad) for weight in weights])
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(current)
        loss = ops.sum(upstream * layer(current))
    found = tape.gradient(loss, [current, *(weight.value for weight in weights)])
    return found[0].numpy(), np.array([float(gradient) for gradient in found[1:]])


@pytest.mark.parametrize("timesteps", [1, 5, 40])
@pytest.mark.parametrize("memory", ["static", "dynamic"])
def test_outputs_and_gradients_are_those_of_numpy(memory, timesteps, rng):
    shape = (3, timesteps, 4, 2)
    current, upstream = rng.normal(0, 0.4, shape).astype("float32"), rng.normal(size=shape).astype("float32")
    layer = built(memory, shape)
    outputs, steps = numpy_sequence(current.astype(float), WEIGHTS, memory)
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.stop_gradient(layer(current))), outputs)
    expected = numpy_gradients(steps, WEIGHTS, memory, upstream)
    for computed, wanted in zip(gradients(layer, current, upstream), expected, strict=True):
        np.testing.assert_allclose(computed, wanted, rtol=1e-4, atol=1e-4)


def test_the_complement_outlives_a_spike():
    """Hand-computed, with a = b = c = 1/2: the reset clears the membrane, not what it had been before."""
    current = np.array([0.4, 0.6, 0.0, 0.5])[None, :, None]
    # state      0     0.1    0      0.003125...
    # complement 0     0.05   0.025  0.0125 + 0.003125
    # membrane   0.4   0.65   0.025  0.515625
    outputs = ComplementedTernaryLIF()(current.astype("float32"))
    assert np.ravel(ops.convert_to_numpy(ops.stop_gradient(outputs))).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("memory", ["static", "dynamic"])
def test_a_sequence_in_two_pieces_is_the_whole(memory, rng):
    current = rng.normal(0, 0.6, (2, 6, 3)).astype("float32")
    layer = built(memory, current.shape, return_state=True)
    whole, *last = layer(current)
    first, *states = layer(current[:, :2])
    second, *again = layer(current[:, 2:], initial_state=states)
    joined = ops.concatenate([first, second], axis=1)
    for one, other in zip((whole, *last), (joined, *again), strict=True):
        computed, wanted = (ops.convert_to_numpy(ops.stop_gradient(value)) for value in (other, one))
        np.testing.assert_allclose(computed, wanted, atol=1e-6)


def test_cell_steps_and_masks_agree_with_the_layer(rng):
    current = rng.normal(0, 0.6, (2, 4, 3)).astype("float32")
    layer = built("static", current.shape)
    outputs, _ = numpy_sequence(current.astype(float), WEIGHTS, "static")
    masked = layer(current, mask=np.ones((2, 4), bool))
    stepwise = keras.layers.RNN(layer.cell, return_sequences=True)(current)
    for computed in (masked, stepwise):
        np.testing.assert_array_equal(ops.convert_to_numpy(ops.stop_gradient(computed)), outputs)


@pytest.mark.parametrize("memory", ["static", "dynamic"])
def test_a_masked_timestep_leaves_both_states_as_they_are(memory, rng):
    current = rng.normal(0, 0.6, (3, 5, 2)).astype("float32")
    mask = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    given = [rng.normal(size=(3, 2)).astype("float32") for _ in range(2)]
    layer = built(memory, current.shape, return_state=True)
    computed = layer(current, initial_state=list(map(ops.convert_to_tensor, given)), mask=mask.astype(bool))
    outputs, *last = (ops.convert_to_numpy(ops.stop_gradient(value)) for value in computed)
    assert np.all(outputs[2] == 0) and np.all(outputs[1, 0] == 0)
    for state, before in zip(last, given, strict=True):
        np.testing.assert_array_equal(state[2], before[2])
    for sample in (0, 1):
        alone = [ops.convert_to_tensor(state[sample : sample + 1]) for state in given]
        kept, *wanted = layer(current[sample : sample + 1, mask[sample] == 1], initial_state=alone)
        kept, *wanted = (ops.convert_to_numpy(ops.stop_gradient(value))[0] for value in (kept, *wanted))
        np.testing.assert_array_equal(outputs[sample, mask[sample] == 1], kept)
        for state, other in zip(last, wanted, strict=True):
            np.testing.assert_allclose(state[sample], other, atol=1e-6)
    np.testing.assert_array_equal(outputs[0, 1], outputs[0, 0])


def test_its_regularizer_sees_its_membranes(rng):
    current = rng.normal(0, 0.6, (2, 3, 4)).astype("float32")
    layer = built("dynamic", current.shape, spike_regularizer=TemporalMembranePotential(strength=2.0))
    layer(current)
    membranes = np.stack([step[3] for step in numpy_sequence(current.astype(float), WEIGHTS, "dynamic")[1]], 1)
    expected = 2 * (membranes**2 / np.array([1, 2, 3])[:, None]).mean()
    assert float(keras.ops.convert_to_numpy(layer.losses[-1])) == pytest.approx(expected, rel=1e-5)


def test_it_is_trained_saved_and_loaded(rng, tmp_path):
    layer = ComplementedTernaryLIF("dynamic", decay=0.5, name="lif")
    model = keras.Sequential([keras.Input((3, 4)), keras.layers.Dense(5), layer])
    model.compile("sgd", "mse")
    model.fit(rng.normal(size=(8, 3, 4)), rng.normal(size=(8, 3, 5)), verbose=0)
    assert [weight.name for weight in layer.trainable_weights] == ["amplitude", "alpha", "beta", "gamma"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("lif").get_config() == layer.get_config()
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("kind", [ComplementedTernaryLIF, ComplementedTernaryLIFCell])
def test_an_unknown_memory_is_refused(kind):
    with pytest.raises(ValueError, match=r"`memory` must be 'static' or 'dynamic'. Received: memory='lstm'"):
        kind("lstm")
