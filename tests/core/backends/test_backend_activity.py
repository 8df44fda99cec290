"""Losses on spikes and membranes against NumPy, with whatever backend Keras runs on."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ternary_spike import (
    FiringRateTarget,
    MembraneCentring,
    SynapticOperationBudget,
    TemporalMembranePotential,
    TernaryLIF,
    TernaryLIFCell,
)
from keras_ternary_spike.layers.spike_regularizers import activity_of
from keras_ternary_spike.neuron import recurrence
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.sequence import lif_membranes

DECAY, THRESHOLD = 0.25, 0.5
SHAPE = (4, 3, 5)


def numpy_neuron(current, signed=True):
    """Membranes, spikes and states of the hard reset."""
    state, membranes, spikes = np.zeros_like(current[:, 0]), [], []
    for t in range(current.shape[1]):
        membrane = DECAY * state + current[:, t]
        spike = 1.0 * (membrane >= THRESHOLD) - signed * (membrane <= -THRESHOLD)
        membranes.append(membrane)
        spikes.append(spike)
        state = membrane * (spike == 0)
    return np.stack(membranes, 1), np.stack(spikes, 1)


def numpy_gradient(membranes, spikes, grad_fired, grad_membranes, signed=True):
    """Of the current, from those of |spike| and of the membrane, with the rectangular surrogate."""
    grad_current, grad_state = np.zeros_like(membranes), 0.0
    for t in reversed(range(membranes.shape[1])):
        membrane, spike = membranes[:, t], spikes[:, t]
        height = np.abs(membrane) if signed else membrane
        slope = (np.abs(height - THRESHOLD) <= THRESHOLD) / (2 * THRESHOLD)
        fired_slope = np.sign(membrane) * slope if signed else slope
        keep = (spike == 0) - membrane * spike * slope
        grad_current[:, t] = grad_fired[:, t] * fired_slope + grad_membranes[:, t] + grad_state * keep
        grad_state = DECAY * grad_current[:, t]
    return grad_current


def gradient(function, value):
    """Of a scalar function of one tensor, by the backend's own means."""
    value = ops.convert_to_tensor(np.asarray(value, "float32"))
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(value))
    if keras.backend.backend() == "torch":
        value.requires_grad_(True)
        function(value).backward()
        return value.grad.numpy()
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(value)
        loss = function(value)
    return tape.gradient(loss, value).numpy()


def lif_activity(current, levels="ternary"):
    dynamics = Dynamics(levels=levels)
    spikes, membranes, _ = lif_membranes(current, decay=DECAY, threshold=THRESHOLD, dynamics=dynamics)
    return activity_of(spikes, membranes, signed=dynamics.signed)


def rate_target(membranes, spikes):
    rate, count = np.abs(spikes).mean(), spikes.size
    return 3 * (rate - 0.2) ** 2, np.full_like(spikes, 3 * 2 * (rate - 0.2) / count), 0 * membranes


def rate_target_per_neuron(membranes, spikes):
    excess, neurons = np.abs(spikes).mean((0, 1)) - 0.2, spikes.shape[2]
    grad = np.broadcast_to(2 * excess / neurons / (spikes.size / neurons), spikes.shape)
    return (excess**2).mean(), grad, 0 * membranes


def budget(membranes, spikes):
    batch = len(spikes)
    excess = 9 * np.abs(spikes).sum() / batch / 20 - 1
    assert excess > 0
    return excess**2, np.full_like(spikes, 2 * excess * 9 / 20 / batch), 0 * membranes


def centring(membranes, spikes):
    means, count = membranes.mean((0, 1)), membranes.size
    return 0.5 * (means**2).mean(), 0 * spikes, np.broadcast_to(0.5 * 2 * means / count, membranes.shape)


def temporal(membranes, spikes):
    weights = np.array([1, 1 / 2, 1 / 3])[:, None]
    return 2 * (weights * membranes**2).mean(), 0 * spikes, 2 * weights * 2 * membranes / membranes.size


CASES = {
    "rate_target": (FiringRateTarget(target=0.2, strength=3.0), rate_target),
    "rate_target_per_neuron": (FiringRateTarget(target=0.2, per="neuron"), rate_target_per_neuron),
    "budget": (SynapticOperationBudget(budget=20.0, fan_out=9.0), budget),
    "centring": (MembraneCentring(strength=0.5), centring),
    "temporal": (TemporalMembranePotential(strength=2.0), temporal),
}


@pytest.mark.parametrize("levels", ["ternary", "binary"])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_numpy(case, levels, rng):
    regularizer, expected = CASES[case]
    current, signed = rng.normal(0.1, 0.7, SHAPE), levels == "ternary"
    membranes, spikes = numpy_neuron(current, signed)
    loss, grad_fired, grad_membranes = expected(membranes, spikes)

    def function(current):
        return regularizer(lif_activity(current, levels))

    computed = function(ops.convert_to_tensor(current.astype("float32")))
    assert float(computed) == pytest.approx(loss, rel=1e-5)
    grad_current = numpy_gradient(membranes, spikes, grad_fired, grad_membranes, signed)
    assert np.any(grad_current)
    np.testing.assert_allclose(gradient(function, current), grad_current, atol=1e-6)


def test_a_loop_gives_what_the_unrolled_sequence_gives(rng):
    current = rng.normal(0, 0.7, (2, 40, 3))
    membranes, spikes = numpy_neuron(current)
    activity = lif_activity(ops.convert_to_tensor(current.astype("float32")))
    np.testing.assert_allclose(ops.convert_to_numpy(activity.membranes), membranes, atol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(activity.fired), np.abs(spikes))
    weights = rng.normal(size=(2, 40, 3)).astype("float32")

    def function(current):
        return ops.sum(lif_activity(current).fired * ops.convert_to_tensor(weights))

    expected = numpy_gradient(membranes, spikes, weights, 0 * membranes)
    np.testing.assert_allclose(gradient(function, current), expected, atol=1e-5)


def model(regularizer):
    neurons = TernaryLIF(spike_regularizer=regularizer, amplitude_initializer="zeros", name="lif")
    return keras.Sequential([keras.Input((3, 4)), keras.layers.Dense(6, name="dense"), neurons])


def test_silent_neurons_of_amplitude_0_are_woken_by_training(rng):
    trained = model(FiringRateTarget(target=0.5, strength=5.0))
    trained.get_layer("dense").kernel.assign(rng.uniform(0, 0.05, (4, 6)))
    samples, targets = rng.uniform(0.5, 1, (1280, 3, 4)).astype("float32"), np.zeros((1280, 3, 6), "float32")
    trained.compile(keras.optimizers.Adam(0.02), "mse")
    assert trained.evaluate(samples, targets, verbose=0) == pytest.approx(5 * 0.5**2)  # nobody fires
    trained.fit(samples, targets, batch_size=32, verbose=0)
    trained.get_layer("lif").amplitude.assign(1.0)
    rate = np.abs(trained.predict(samples, verbose=0)).mean()
    assert 0.35 < rate < 0.65


def test_losses_add_up_and_do_not_shrink_the_amplitude(rng):
    regularizers = [FiringRateTarget(target=0.0), MembraneCentring(strength=2.0)]
    layer = TernaryLIF(spike_regularizer=regularizers)
    current = rng.normal(0.1, 0.7, SHAPE)
    membranes, spikes = numpy_neuron(current)
    for amplitude in (1.0, 0.001, 0.0):
        layer(current)
        layer.amplitude.assign(amplitude)
        layer(current)
        expected = np.abs(spikes).mean() ** 2 + 2 * (membranes.mean((0, 1)) ** 2).mean()
        assert float(keras.ops.convert_to_numpy(layer.losses[-1])) == pytest.approx(expected, rel=1e-5)


def test_state_direction_and_evaluation_are_respected(rng):
    current, state = rng.normal(size=SHAPE).astype("float32"), rng.normal(size=(4, 5)).astype("float32")
    layer = TernaryLIF(go_backwards=True, spike_regularizer=MembraneCentring())
    layer(current, initial_state=ops.convert_to_tensor(state))
    shifted = current[:, ::-1].copy()
    shifted[:, 0] += DECAY * state
    expected = (numpy_neuron(shifted)[0].mean((0, 1)) ** 2).mean()
    assert float(keras.ops.convert_to_numpy(layer.losses[-1])) == pytest.approx(expected, rel=1e-5)
    evaluated = model(FiringRateTarget(target=1.0))
    evaluated.compile("sgd", "mse")
    zeros = np.zeros((2, 3, 4), "float32")
    assert evaluated.evaluate(zeros, np.zeros((2, 3, 6)), verbose=0) == pytest.approx(1.0)


def test_half_precision_losses_are_float32(rng):
    layer = TernaryLIF(dtype="mixed_float16", spike_regularizer=TemporalMembranePotential())
    layer(rng.normal(size=SHAPE))
    assert keras.backend.standardize_dtype(layer.losses[-1].dtype) == "float32"


def test_regularizers_are_saved_with_the_model(rng, tmp_path):
    regularizers = [regularizer for regularizer, _ in CASES.values()]
    saved = model(regularizers)
    saved.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("lif")
    assert loaded.spike_regularizers == tuple(regularizers)
    assert TernaryLIF.from_config(TernaryLIF().get_config()).spike_regularizers == ()


def masked_loss(case, fired, membranes, counts):
    """The loss of what counts, from its definition: the first `counts[sample]` timesteps of each sample."""
    values = [np.concatenate([array[b, :count] for b, count in enumerate(counts)]) for array in (fired, membranes)]
    if case == "rate_target":
        return 3 * (values[0].mean() - 0.2) ** 2
    if case == "rate_target_per_neuron":
        return ((values[0].mean(0) - 0.2) ** 2).mean()
    if case == "budget":
        return (9 * values[0].sum() / len(counts) / 20 - 1) ** 2
    if case == "centring":
        return 0.5 * (values[1].mean(0) ** 2).mean()
    steps = [(membranes[counts > t, t] ** 2).mean() / (t + 1) for t in range(counts.max())]
    return 2 * np.mean(steps)


def differences(function, array):
    """Central differences of a scalar function."""
    slopes, step = np.zeros_like(array), 1e-4
    for index in np.ndindex(array.shape):
        ends = [array.copy(), array.copy()]
        ends[0][index], ends[1][index] = array[index] + step, array[index] - step
        slopes[index] = (function(ends[0]) - function(ends[1])) / (2 * step)
    return slopes


MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 0], [0, 1, 1, 1, 0]], bool)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_masked_timesteps_count_neither_in_losses_nor_in_gradients(case, go_backwards, rng):
    current, counts = rng.normal(0.1, 0.9, (4, 5, 3)), MASK.sum(1)
    current[~MASK] = np.nan
    seen, mask = (array[:, ::-1] if go_backwards else array for array in (current, MASK))
    front = np.arange(5) < counts[:, None]
    moved = np.zeros_like(current)
    moved[front] = seen[mask]
    membranes, spikes = numpy_neuron(moved)
    fired = np.abs(spikes)
    expected = masked_loss(case, fired, membranes, counts)
    grad_fired = differences(lambda fired: masked_loss(case, fired, membranes, counts), fired)
    grad_membranes = differences(lambda membranes: masked_loss(case, fired, membranes, counts), membranes)
    grad_moved, grad_seen = numpy_gradient(membranes, spikes, grad_fired, grad_membranes), np.zeros_like(current)
    grad_seen[mask] = grad_moved[front]
    layer = TernaryLIF(go_backwards=go_backwards, spike_regularizer=CASES[case][0])

    def function(current):
        layer(current, mask=ops.convert_to_tensor(MASK))
        return layer.losses[-1]

    assert expected > 0 and np.any(grad_seen)
    assert float(function(ops.convert_to_tensor(current.astype("float32")))) == pytest.approx(expected, rel=1e-5)
    wanted = grad_seen[:, ::-1] if go_backwards else grad_seen
    np.testing.assert_allclose(gradient(function, current), wanted, atol=1e-5)


def test_a_batch_that_is_masked_altogether_costs_nothing():
    layer = TernaryLIF(spike_regularizer=[MembraneCentring(), TemporalMembranePotential()])
    layer(np.ones((2, 3, 4), "float32"), mask=np.zeros((2, 3), bool))
    assert float(keras.ops.convert_to_numpy(layer.losses[-1])) == 0


def test_spikes_and_losses_come_from_one_pass(rng, monkeypatch):
    calls = []
    run = recurrence.run
    monkeypatch.setattr(recurrence, "run", lambda *given, **options: calls.append(options) or run(*given, **options))
    TernaryLIF(spike_regularizer=[FiringRateTarget(target=0.1), MembraneCentring()])(rng.normal(size=SHAPE))
    assert len(calls) == 1 and calls[0]["return_membranes"]


BAD = {
    "strength=-1": lambda: MembraneCentring(strength=-1),
    "target=1.5": lambda: FiringRateTarget(target=1.5),
    "per='channel'": lambda: FiringRateTarget(target=0.1, per="channel"),
    "budget=0": lambda: SynapticOperationBudget(budget=0),
    "fan_out=-2": lambda: SynapticOperationBudget(budget=9.0, fan_out=-2),
    "spike_regularizer='l2'": lambda: TernaryLIF(spike_regularizer="l2"),
    r"spike_regularizer=3": lambda: TernaryLIF(spike_regularizer=[MembraneCentring(), 3]),
}


@pytest.mark.parametrize("received", BAD)
def test_bad_values_are_named(received):
    with pytest.raises(ValueError, match=f"^`{received.split('=')[0]}` must .*Received: {received}"):
        BAD[received]()


def test_a_cell_alone_takes_no_regularizer():
    with pytest.raises((TypeError, ValueError), match="spike_regularizer"):
        TernaryLIFCell(spike_regularizer=MembraneCentring())
