"""The gradient of neurons with a memory: against the backend's own, through a plain loop, and differences."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ternary_spike import Triangular
from keras_ternary_spike.neuron import recurrence
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.memory import Memory
from keras_ternary_spike.neuron.sequence import lif_membranes, lif_sequence

FEATURES = (3, 2)
# current, state, complement, decay, threshold, a, b and c, after the number of timesteps
NUMBERS = [0.4, 0.6, 0.3, 0.7, 0.8]


def draw(rng, timesteps):
    arrays = [rng.normal(0, 0.7, shape) for shape in ((2, timesteps, *FEATURES), (2, *FEATURES), (2, *FEATURES))]
    return [np.asarray(array, "float32") for array in (*arrays, *NUMBERS)]


def gradients(function, arrays):
    """Of a scalar function of tensors, by the backend's own means."""
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    if keras.backend.backend() == "jax":
        import jax

        return [np.asarray(found) for found in jax.grad(function, argnums=range(len(tensors)))(*tensors)]
    if keras.backend.backend() == "torch":
        tensors = [tensor.detach().requires_grad_(True) for tensor in tensors]
        function(*tensors).backward()
        return [tensor.grad.numpy() for tensor in tensors]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        loss = function(*tensors)
    return [found.numpy() for found in tape.gradient(loss, tensors)]


def plain(kind, reset, current, state, complement, decay, threshold, a, b, c):
    """Spikes, membranes, last state and complement, operator by operator, with the paper's straight-through spikes."""
    membranes, spikes = [], []
    for timestep in range(current.shape[1]):
        leaked = decay * state
        if kind == "static":
            complement = a * ops.relu(complement) - b * ops.relu(-complement) + c * leaked
        else:
            complement = a * complement + b * ops.relu(leaked) - c * ops.relu(-leaked)
        membrane = complement + current[:, timestep]
        line = ops.clip(membrane / (2 * threshold), -1.0, 1.0)
        fired = ops.cast(membrane >= threshold, "float32") - ops.cast(membrane <= -threshold, "float32")
        spike = line + ops.stop_gradient(fired - line)
        state = membrane * (1 - fired * spike) if reset == "zero" else membrane - threshold * spike
        membranes.append(membrane)
        spikes.append(spike)
    return ops.stack(spikes, axis=1), ops.stack(membranes, axis=1), state, complement


def ours(kind, reset, current, state, complement, decay, threshold, *factors, fuse):
    options = {"decay": decay, "threshold": threshold, "memory": Memory(kind, factors), "fuse": fuse}
    spikes, membranes, last = lif_membranes(current, (state, complement), dynamics=Dynamics(reset=reset), **options)
    return spikes, membranes, *last


@pytest.mark.parametrize(
    "timesteps, limit, fuse",
    [(6, 32, True), (6, 32, False), (6, 4, True), (6, 4, False), (1, 32, True)],
    ids=["fused", "unrolled", "chunks", "loop", "one timestep"],
)
@pytest.mark.parametrize("kind, reset", [("static", "zero"), ("dynamic", "zero"), ("dynamic", "subtract")])
def test_gradients_are_those_of_a_plain_loop(kind, reset, timesteps, limit, fuse, rng, monkeypatch):
    monkeypatch.setattr(recurrence, "UNROLL_LIMIT", limit)
    arrays, upstream = draw(rng, timesteps), [rng.normal(size=(2, timesteps, *FEATURES)) for _ in range(2)]
    upstream += [rng.normal(size=(2, *FEATURES)) for _ in range(2)]

    def weighed(outputs):
        return sum(
            ops.sum(output * ops.cast(weight, "float32")) for output, weight in zip(outputs, upstream, strict=True)
        )

    computed = gradients(lambda *tensors: weighed(ours(kind, reset, *tensors, fuse=fuse)), arrays)
    expected = gradients(lambda *tensors: weighed(plain(kind, reset, *tensors)), arrays)
    for mine, other in zip(computed, expected, strict=True):
        assert np.any(other)
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


def numpy_membranes(kind, current, state, complement, decay, threshold, a, b, c):
    """As long as nothing fires."""
    membranes = []
    for timestep in range(current.shape[1]):
        leaked = decay * state
        if kind == "static":
            complement = a * np.maximum(complement, 0) + b * np.minimum(complement, 0) + c * leaked
        else:
            complement = a * complement + b * np.maximum(leaked, 0) + c * np.minimum(leaked, 0)
        state = complement + current[:, timestep]
        membranes.append(state)
    return np.stack(membranes, 1)


@pytest.mark.parametrize("limit", [32, 2])
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_gradients_of_silent_neurons_are_differences(kind, limit, rng, monkeypatch):
    """Where nothing fires, and the surrogate is 0, membranes are smooth in everything but the threshold."""
    monkeypatch.setattr(recurrence, "UNROLL_LIMIT", limit)
    arrays, weights = draw(rng, 4), rng.normal(size=(2, 4, *FEATURES)).astype("float32")
    arrays[4] = np.float32(100.0)
    dynamics = Dynamics(surrogate=Triangular(0.1))

    def function(*tensors):
        current, state, complement, decay, threshold, *factors = tensors
        options = {"decay": decay, "threshold": threshold, "memory": Memory(kind, tuple(factors))}
        membranes = lif_membranes(current, (state, complement), dynamics=dynamics, **options)[1]
        return ops.sum(membranes * ops.convert_to_tensor(weights))

    for place, computed in enumerate(gradients(function, arrays)):
        index, losses = tuple(size // 2 for size in computed.shape), []
        for step in (1e-5, -1e-5):
            moved = [np.array(array, "float64") for array in arrays]
            moved[place][index] += step
            losses.append((numpy_membranes(kind, *moved) * weights).sum())
        assert computed[index] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_amplitude_weighs_spikes_and_their_gradient(kind, rng):
    current, state, complement, decay, threshold, *factors = draw(rng, 3)
    options = {"decay": decay, "threshold": threshold, "memory": Memory(kind, tuple(factors))}

    def function(amplitude):
        return ops.sum(lif_sequence(current, (state, complement), amplitude=amplitude, **options)[0])

    spikes, *_ = plain(kind, "zero", *map(ops.convert_to_tensor, draw(np.random.default_rng(0), 3)))
    total = float(ops.sum(spikes))
    assert gradients(function, [np.float32(1.5)])[0] == pytest.approx(total)
