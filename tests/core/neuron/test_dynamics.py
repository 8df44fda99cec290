"""The recurrence and its gradient against NumPy: forward values, and tangents carried forward in time."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import ATan, Rectangular
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.recurrence import UNROLL_LIMIT
from keras_ternary_spike.neuron.sequence import lif_sequence, lif_step

BATCH, FEATURES = 2, (3, 5)


def numpy_spike(membrane, threshold, dynamics):
    if dynamics.levels == "binary":
        return 1.0 * (membrane >= threshold)
    highest = 1 if dynamics.levels == "ternary" else dynamics.levels
    # halves away from zero; multiples of 1/20 and of 1/4 are far enough from other halves in float64
    return np.sign(membrane) * np.clip(np.floor(np.abs(membrane) / (2 * threshold) + 0.5), 0, highest)


def numpy_rectangle(distance, threshold):
    """The rectangular bump of width 1, from the paper, at a distance from the threshold."""
    return (np.abs(distance) <= threshold) / (2 * threshold)


def numpy_slopes(membrane, spike, threshold, dynamics):
    """d spike / d membrane and d |spike| / d membrane, each |spike| counted as at most 1."""
    up, down = numpy_rectangle(membrane - threshold, threshold), numpy_rectangle(-membrane - threshold, threshold)
    if dynamics.levels == "binary":
        return up, up if dynamics.separate_bumps else up * (spike != 0)
    if dynamics.separate_bumps:
        return up + down, up - down
    highest = 1 if dynamics.levels == "ternary" else dynamics.levels
    slope = (np.abs(membrane) <= 2 * highest * threshold) / (2 * threshold)
    return slope, slope * np.sign(spike) * (np.abs(spike) <= 1)


def numpy_lif(current, state, amplitude, decay, threshold, dynamics, tangents=None):
    """Outputs and last state, and their tangents along `tangents` of the five arguments (forward mode)."""
    d_current, d_state, d_amplitude, d_decay, d_threshold = tangents or (0 * current, 0 * state, 0.0, 0.0, 0.0)
    outputs, d_outputs = [], []
    for t in range(current.shape[1]):
        d_membrane = d_decay * state + decay * d_state + d_current[:, t]
        membrane = decay * state + current[:, t]
        spike = numpy_spike(membrane, threshold, dynamics)
        # firing sees membrane / threshold
        d_ratio = d_membrane - membrane / threshold * d_threshold
        d_spike, d_fired = (slope * d_ratio for slope in numpy_slopes(membrane, spike, threshold, dynamics))
        outputs.append(amplitude * spike)
        d_outputs.append(d_amplitude * spike + amplitude * d_spike)
        seen = 0.0 if dynamics.detach_reset else 1.0
        if dynamics.reset == "zero":
            state = np.where(spike != 0, 0.0, membrane)
            d_state = np.where(spike != 0, 0.0, d_membrane) - membrane * d_fired * seen
        elif dynamics.reset == "subtract":
            amount = dynamics.reset_amount
            state = membrane - amount * threshold * spike
            d_state = d_membrane - amount * (d_threshold * spike + threshold * d_spike * seen)
        else:
            state, d_state = membrane, d_membrane
    return np.stack(outputs, 1), state, np.stack(d_outputs, 1), d_state


def numpy_gradients(current, state, amplitude, decay, threshold, dynamics, grad_outputs, grad_state):
    """Gradients from tangents: neurons do not interact, so one timestep is perturbed in all of them at once."""

    def pull(tangents):
        *_, d_outputs, d_state = numpy_lif(current, state, amplitude, decay, threshold, dynamics, tangents)
        return (grad_outputs * d_outputs).sum(axis=1) + grad_state * d_state

    def pull_number(index, number):
        per_neuron = pull((zero, still, *np.eye(3)[index]))
        return per_neuron.sum() if np.ndim(number) == 0 else per_neuron.reshape(-1, np.size(number)).sum(axis=0)

    zero, still = np.zeros_like(current), np.zeros_like(state)
    grad_current = []
    for t in range(current.shape[1]):
        direction = zero.copy()
        direction[:, t] = 1.0
        grad_current.append(pull((direction, still, 0.0, 0.0, 0.0)))
    numbers = [pull_number(index, number) for index, number in enumerate((amplitude, decay, threshold))]
    return np.stack(grad_current, axis=1), pull((zero, np.ones_like(state), 0.0, 0.0, 0.0)), *numbers


def quarters(rng, shape):
    """Multiples of 1/4 in [-1.5, 1.5]: membranes meet the thresholds and the surrogate's edges exactly."""
    return rng.integers(-6, 7, shape) / 4


def keras_gradients(values, dynamics, grad_outputs, grad_state, function=lif_sequence):
    arguments = [tf.constant(value, "float32") for value in values]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        numbers = dict(zip(("amplitude", "decay", "threshold"), arguments[2:], strict=True))
        outputs, last_state = function(*arguments[:2], **numbers, dynamics=dynamics)
    upstream = [tf.constant(grad_outputs, "float32"), tf.constant(grad_state, "float32")]
    return (outputs, last_state), tape.gradient([outputs, last_state], arguments, output_gradients=upstream)


def draw(rng, timesteps):
    current = quarters(rng, (BATCH, timesteps, *FEATURES))
    state = quarters(rng, (BATCH, *FEATURES))
    return current, state, rng.normal(size=current.shape), rng.normal(size=state.shape)


def assert_equals_numpy(rng, timesteps, decay, dynamics, function=lif_sequence, threshold=0.5):
    current, state, grad_outputs, grad_state = draw(rng, timesteps)
    values = (current, state, 1.75, decay, threshold)
    (outputs, last_state), gradients = keras_gradients(values, dynamics, grad_outputs, grad_state, function)
    expected_outputs, expected_state, *_ = numpy_lif(*values, dynamics)
    np.testing.assert_allclose(outputs, expected_outputs, atol=1e-6)
    np.testing.assert_allclose(last_state, expected_state, atol=2e-6)
    for ours, expected in zip(gradients, numpy_gradients(*values, dynamics, grad_outputs, grad_state), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("timesteps", [1, 2, 5, 8])
@pytest.mark.parametrize("decay", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("detach_reset", [False, True])
def test_values_and_gradients_equal_numpy(rng, timesteps, decay, reset, detach_reset):
    dynamics = Dynamics(reset=reset, detach_reset=detach_reset)
    assert_equals_numpy(rng, timesteps, decay, dynamics)


@pytest.mark.parametrize("timesteps", [1, 5, 40])
@pytest.mark.parametrize(
    "dynamics",
    [
        Dynamics(separate_bumps=True),
        Dynamics(separate_bumps=True, reset="subtract", reset_amount=2.0),
        Dynamics(levels="binary", separate_bumps=True),
        Dynamics(levels=3),
        Dynamics(levels=3, reset="subtract", reset_amount=2.0),
        Dynamics(levels=2, reset="subtract", reset_amount=2.0, detach_reset=True),
    ],
    ids=["separate", "separate subtract", "separate binary", "levels", "levels subtract", "levels detached"],
)
def test_options_equal_numpy(rng, dynamics, timesteps):
    assert_equals_numpy(rng, timesteps, 0.25, dynamics, threshold=0.3)


@pytest.mark.parametrize("timesteps", [4, 40])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_threshold_and_decay_per_channel_equal_numpy(rng, timesteps, reset):
    decay, threshold = np.array([0.0, 0.3, 0.55, 0.75, 0.9]), np.array([0.15, 0.3, 0.45, 0.6, 0.9])
    assert_equals_numpy(rng, timesteps, decay, Dynamics(reset=reset), threshold=threshold)


@pytest.mark.parametrize("timesteps, fuse", [(4, False), (4, True), (40, False)])
def test_constants_per_channel_equal_tensors(rng, timesteps, fuse):
    current, upstream = (
        tf.constant(quarters(rng, (2, timesteps, 3, 2)), "float32"),
        rng.normal(size=(2, timesteps, 3, 2)),
    )
    results = []
    for make in (tuple, lambda values: tf.constant(values)):
        with tf.GradientTape() as tape:
            tape.watch(current)
            outputs, state = lif_sequence(current, decay=make([0.25, 0.5]), threshold=make([0.3, 0.7]), fuse=fuse)
        results.append(
            [outputs, state, tape.gradient(outputs, current, output_gradients=tf.constant(upstream, "float32"))]
        )
    for constant, tensor in zip(*results, strict=True):
        np.testing.assert_allclose(constant, tensor, atol=1e-6)


def test_one_level_is_the_ternary_neuron(rng):
    current = quarters(rng, (2, 6, 4)).astype("float32")
    for ours, expected in zip(lif_sequence(current, dynamics=Dynamics(levels=1)), lif_sequence(current), strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("timesteps", [1, 4, 40])
def test_binary_values_and_gradients_equal_numpy(rng, reset, timesteps):
    assert_equals_numpy(rng, timesteps, 0.25, Dynamics(levels="binary", reset=reset), threshold=0.25)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_loop_equals_numpy_too(rng, reset, detach_reset, decay):
    # threshold 0.4 is no multiple of a quarter: over 40 timesteps no membrane is a rounding away from it
    dynamics = Dynamics(reset=reset, detach_reset=detach_reset)
    assert_equals_numpy(rng, UNROLL_LIMIT + 8, decay, dynamics, threshold=0.4)


@pytest.mark.parametrize("timesteps", [1, 2, 40])
def test_unknown_timesteps_equal_numpy(rng, timesteps):
    def function(current, state, amplitude, decay, threshold, dynamics):
        signature = [tf.TensorSpec((None, None, *FEATURES)), tf.TensorSpec((None, *FEATURES))]

        @tf.function(input_signature=signature + [tf.TensorSpec(())] * 3)
        def traced(current, state, amplitude, decay, threshold):
            numbers = {"amplitude": amplitude, "decay": decay, "threshold": threshold}
            return lif_sequence(current, state, dynamics=dynamics, **numbers)

        return traced(current, state, amplitude, decay, threshold)

    assert_equals_numpy(rng, timesteps, 0.25, Dynamics(), function)


@pytest.mark.parametrize("timesteps", [4, 40])
@pytest.mark.parametrize("surrogate", [Rectangular(), ATan(0.5)])
def test_compiled_equals_eager(rng, timesteps, surrogate):
    dynamics = Dynamics(surrogate=surrogate)
    arguments = draw(rng, timesteps)

    def compute():
        return keras_gradients((*arguments[:2], 1.75, 0.25, 0.5), dynamics, *arguments[2:])

    eager, compiled = compute(), tf.function(compute, jit_compile=True)()
    for ours, expected in zip(tf.nest.flatten(compiled), tf.nest.flatten(eager), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_graph_of_a_loop_does_not_grow_with_timesteps():
    def nodes(timesteps):
        spec = tf.TensorSpec((1, timesteps, 3))
        traced = tf.function(lambda current: lif_sequence(current, current[:, 0] * 0.0))
        return len(traced.get_concrete_function(spec).graph.get_operations())

    assert nodes(40) == nodes(80)


def test_steps_one_by_one_equal_the_sequence(rng):
    current = quarters(rng, (2, 6, 4)).astype("float32")
    outputs, last_state = lif_sequence(current, np.zeros((2, 4), "float32"), amplitude=1.5)
    state = np.zeros((2, 4), "float32")
    for t in range(6):
        output, state = lif_step(current[:, t], state, amplitude=1.5)
        np.testing.assert_array_equal(output, outputs[:, t])
    np.testing.assert_array_equal(state, last_state)


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("levels", [2, 7, 127])
def test_levels_in_one_step_are_the_thresholds_crossed_one_by_one(levels, unsigned):
    dynamics = Dynamics(levels=levels, unsigned=unsigned)
    for threshold in np.float32([0.5, 0.1, 1 / 3, 0.0123]):
        edges = np.arange(-2 * levels - 3, 2 * levels + 4, dtype=np.float32) * threshold
        membrane = np.concatenate([edges, np.nextafter(edges, np.float32(-9e9)), np.nextafter(edges, np.float32(9e9))])
        counted = sum(1.0 * (membrane >= (2 * level + 1) * threshold) for level in range(levels))
        if not unsigned:
            counted = counted - sum(1.0 * (membrane <= -(2 * level + 1) * threshold) for level in range(levels))
        np.testing.assert_array_equal(dynamics.fire(tf.constant(membrane), threshold), counted)
