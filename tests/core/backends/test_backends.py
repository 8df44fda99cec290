"""The recurrence, the layer and a training step against NumPy, with whatever backend Keras runs on."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ternary_spike import (
    ATan,
    BatchNormalization,
    DirectEncoding,
    FiringRate,
    Health,
    PerTimestep,
    TernaryLIF,
    TernaryLIFCell,
    TimeAverage,
    measure_health,
)
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.sequence import lif_sequence

BACKEND = keras.backend.backend()
AMPLITUDE, DECAY, THRESHOLD = 1.75, 0.25, 0.4


def numpy_sequence(current, state, dynamics, threshold=THRESHOLD):
    """Outputs, last state and the membranes of every timestep."""
    outputs, membranes, states = [], [], [state]
    for t in range(current.shape[1]):
        membrane = DECAY * states[-1] + current[:, t]
        spike = 1.0 * (membrane >= threshold)
        if dynamics.levels == "ternary":
            spike -= membrane <= -threshold
        zeroed, subtracted = np.where(spike != 0, 0.0, membrane), membrane - threshold * spike
        outputs.append(AMPLITUDE * spike)
        membranes.append(membrane)
        states.append({"zero": zeroed, "subtract": subtracted, "none": membrane}[dynamics.reset])
    return np.stack(outputs, 1), states[-1], membranes, states


def numpy_gradients(current, state, dynamics, grad_outputs, grad_state):
    """Backpropagation through time with the rectangular surrogate: of all five arguments."""
    outputs, _, membranes, states = numpy_sequence(current, state, dynamics)
    grad_current, grad_decay, grad_threshold, threshold = np.zeros_like(current), 0.0, 0.0, THRESHOLD
    for t in reversed(range(current.shape[1])):
        membrane, spike = membranes[t], outputs[:, t] / AMPLITUDE
        height = np.abs(membrane) if dynamics.levels == "ternary" else membrane
        slope = (np.abs(height - threshold) <= threshold) / (2 * threshold)
        subtracts, seen = dynamics.reset == "subtract", not dynamics.detach_reset
        by_spike = -membrane * spike * seen if dynamics.reset == "zero" else -threshold * subtracts * seen
        through_spike = (grad_outputs[:, t] * AMPLITUDE + grad_state * by_spike) * slope
        grad_current[:, t] = through_spike + grad_state * ((spike == 0) if dynamics.reset == "zero" else 1)
        grad_threshold -= (through_spike * membrane / threshold + grad_state * spike * subtracts).sum()
        grad_decay += (grad_current[:, t] * states[t]).sum()
        grad_state = DECAY * grad_current[:, t]
    return grad_current, grad_state, (grad_outputs * outputs).sum() / AMPLITUDE, grad_decay, grad_threshold


def gradients(function, values):
    """Gradients of a scalar function of tensors, by the backend's own means."""
    tensors = [ops.convert_to_tensor(np.asarray(value, "float32")) for value in values]
    if BACKEND == "jax":
        import jax

        found = jax.grad(lambda arguments: function(*arguments))(tensors)
    elif BACKEND == "torch":
        import torch

        tensors = [tensor.detach().clone().requires_grad_() for tensor in tensors]
        found = torch.autograd.grad(function(*tensors), tensors)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = function(*tensors)
        found = tape.gradient(total, tensors)
    return [ops.convert_to_numpy(gradient) for gradient in found]


def numbers(tensor):
    return ops.convert_to_numpy(ops.stop_gradient(tensor))


@pytest.mark.usefixtures("unroll_limit")
@pytest.mark.parametrize("timesteps", [1, 6])
@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize(
    "dynamics",
    [
        *(Dynamics(), Dynamics(reset="subtract", detach_reset=True)),
        *(Dynamics(reset="none"), Dynamics(levels="binary")),
    ],
    ids=["ternary", "subtract", "no reset", "binary"],
)
def test_values_and_gradients_equal_numpy(rng, timesteps, fuse, dynamics):
    current, state = rng.integers(-6, 7, (2, timesteps, 3, 5)) / 4, rng.integers(-6, 7, (2, 3, 5)) / 4
    grad_outputs, grad_state = rng.normal(size=current.shape), rng.normal(size=state.shape)

    def run(current, state, amplitude, decay, threshold):
        numbers = {"amplitude": amplitude, "decay": decay, "threshold": threshold}
        return lif_sequence(current, state, dynamics=dynamics, fuse=fuse, **numbers)

    def total(*tensors):
        outputs, last_state = run(*tensors)
        weights = (ops.cast(grad_outputs, "float32"), ops.cast(grad_state, "float32"))
        return ops.sum(outputs * weights[0]) + ops.sum(last_state * weights[1])

    values = (current, state, AMPLITUDE, DECAY, THRESHOLD)
    tensors = [ops.convert_to_tensor(np.asarray(value, "float32")) for value in values]
    for ours, expected in zip(run(*tensors), numpy_sequence(current, state, dynamics)[:2], strict=True):
        np.testing.assert_allclose(numbers(ours), expected, atol=1e-6)
    expected = numpy_gradients(current, state, dynamics, grad_outputs, grad_state)
    for ours, wanted in zip(gradients(total, values), expected, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.usefixtures("unroll_limit")
def test_gradient_of_amplitudes_per_channel_equals_numpy(rng, fuse):
    current, grad_outputs = rng.normal(size=(2, 6, 3, 5)), rng.normal(size=(2, 6, 3, 5))
    spikes = numpy_sequence(current, np.zeros((2, 3, 5)), Dynamics(), 0.5)[0] / AMPLITUDE

    def total(current, amplitude):
        outputs, _ = lif_sequence(current, amplitude=amplitude, decay=DECAY, fuse=fuse)
        return ops.sum(outputs * ops.cast(grad_outputs, "float32"))

    _, gradient = gradients(total, (current, rng.normal(size=(5,))))
    np.testing.assert_allclose(gradient, (grad_outputs * spikes).sum(axis=(0, 1, 2)), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_layer_equals_its_cell(rng, training):
    sequences = rng.normal(size=(2, 5, 4, 3)).astype("float32")
    layer = TernaryLIF(return_state=True, surrogate=ATan(0.5))
    outputs, last_state = layer(sequences, training=training)
    state = ops.zeros((2, 4, 3))
    for t in range(5):
        output, [state] = layer.cell(sequences[:, t], [state])
        np.testing.assert_allclose(numbers(outputs[:, t]), numbers(output), atol=1e-6)
    np.testing.assert_allclose(numbers(last_state), numbers(state), atol=1e-6)


def test_masked_timesteps_leave_the_state_as_it_is(rng):
    sequences = rng.normal(size=(2, 4, 3)).astype("float32")
    mask = np.array([[True, True, False, True]] * 2)
    outputs = TernaryLIF()(sequences, mask=mask)
    np.testing.assert_allclose(numbers(outputs)[:, mask[0]], numbers(TernaryLIF()(sequences[:, mask[0]])), atol=1e-6)


def test_cell_runs_in_keras_rnn(rng):
    sequences = rng.normal(size=(2, 4, 3)).astype("float32")
    outputs = keras.layers.RNN(TernaryLIFCell(), return_sequences=True)(sequences)
    np.testing.assert_allclose(numbers(outputs), numbers(TernaryLIF()(sequences)), atol=1e-6)


def test_stateful_chunks_equal_one_long_call(rng):
    sequences = rng.normal(size=(2, 6, 3)).astype("float32")
    layer, whole = TernaryLIF(stateful=True), TernaryLIF()(sequences)
    chunks = [numbers(layer(sequences[:, :2])), numbers(layer(sequences[:, 2:]))]
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), numbers(whole), atol=1e-6)


def test_firing_rate_and_dead_neurons_are_found():
    model = keras.Sequential([keras.Input((2, 3)), TernaryLIF(amplitude_per="channel", name="lif")])
    current = np.array([[[2.0, 0.0, 0.1], [-2.0, 0.1, 3.0]]] * 3, "float32")
    expected = Health(firing_rate=0.5, neurons=3, dead=1, saturated=1)
    assert measure_health(model, current, batch_size=2) == {"lif": expected}
    metric = FiringRate()
    metric.update_state(model(current))
    np.testing.assert_allclose(float(numbers(metric.result())), 0.5, rtol=1e-6)


def test_symbolic_shape_and_config(rng):
    layer = TernaryLIF(decay=0.5, surrogate="triangular")
    assert layer(keras.Input((None, 6, 3))).shape == (None, None, 6, 3)
    assert TernaryLIF.from_config(layer.get_config()).get_config() == layer.get_config()


def test_a_network_learns_and_survives_its_file(rng, tmp_path):
    inputs = rng.normal(size=(16, 6, 6, 1)).astype("float32")
    layers = [DirectEncoding(2), PerTimestep(keras.layers.Conv2D(4, 3)), PerTimestep(BatchNormalization())]
    layers += [TernaryLIF(), PerTimestep(keras.layers.Flatten()), keras.layers.Dense(3), TimeAverage()]
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(inputs, np.ones((16, 3)), epochs=5, batch_size=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert float(numbers(layers[3].amplitude.value)) != 1.0
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(copy.predict(inputs, verbose=0), model.predict(inputs, verbose=0), atol=1e-6)


def test_one_training_step_equals_numpy(rng):
    """Plain gradient descent on the amplitude alone: outputs are amplitude * spike, the loss their squared error."""
    inputs, targets = rng.normal(size=(4, 3, 5)).astype("float32"), rng.normal(size=(4, 3, 5)).astype("float32")
    model = keras.Sequential([keras.Input((3, 5)), TernaryLIF()])
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    model.fit(inputs, targets, batch_size=4, epochs=1, verbose=0)
    spikes = numpy_sequence(inputs, np.zeros((4, 5)), Dynamics(), 0.5)[0] / AMPLITUDE
    expected = 1.0 - 0.5 * np.mean(2 * (spikes - targets) * spikes)
    np.testing.assert_allclose(numbers(model.layers[0].amplitude.value), expected, atol=1e-5)


def test_trained_threshold_and_snapped_decay_of_a_layer_learn(rng):
    """The effective decay is 16/63 at every step until the trained one is nearer to another fraction."""
    inputs, targets = rng.normal(size=(8, 4, 6)).astype("float32"), rng.normal(size=(8, 4, 6)).astype("float32")
    layer = TernaryLIF(trainable_threshold=True, threshold_per="channel", trainable_decay=True, snap_decay=True)
    model = keras.Sequential([keras.Input((4, 6)), layer])
    assert float(numbers(layer.decay)) == np.float32(16 / 63)
    np.testing.assert_allclose(numbers(layer.threshold), [0.5] * 6, rtol=1e-6)
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    model.fit(inputs, targets, batch_size=8, epochs=3, verbose=0)
    threshold, decay = numbers(layer.threshold), float(numbers(layer.decay))
    assert threshold.shape == (6,) and len(np.unique(threshold)) == 6 and (threshold > 0).all()
    assert min(abs(decay - n / d) for d in range(1, 64, 2) for n in range(d + 1)) < 1e-7


def test_fixed_numbers_per_channel_are_those_of_single_layers(rng):
    sequences = rng.normal(size=(2, 5, 3)).astype("float32")
    decay, threshold = [0.1, 0.5, 0.9], [0.3, 0.5, 1.5]
    outputs = numbers(TernaryLIF(decay=decay, threshold=threshold)(sequences))
    for channel in range(3):
        alone = TernaryLIF(decay=decay[channel], threshold=threshold[channel])(sequences[..., channel : channel + 1])
        np.testing.assert_array_equal(outputs[..., channel : channel + 1], numbers(alone))
