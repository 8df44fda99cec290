"""The recurrence and its gradient against NumPy: forward values, and tangents carried forward in time."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import ATan, Rectangular
from keras_ternary_spike.dynamics import Dynamics, check_decay, lif_sequence, lif_step
from keras_ternary_spike.recurrence import UNROLL_LIMIT

BATCH, FEATURES = 2, (3, 5)


def numpy_spike(membrane, dynamics):
    down = np.zeros_like(membrane) if dynamics.levels == "binary" else 1.0 * (membrane <= -dynamics.threshold)
    return 1.0 * (membrane >= dynamics.threshold) - down


def numpy_rectangle(membrane, dynamics):
    """d spike / d membrane with the rectangular surrogate of width 1, from the paper."""
    threshold = dynamics.threshold
    if dynamics.levels == "binary":
        return ((membrane >= 0) & (membrane <= 2 * threshold)) / (2 * threshold)
    return (np.abs(membrane) <= 2 * threshold) / (2 * threshold)


def numpy_lif(current, state, amplitude, decay, dynamics, tangents=None):
    """Outputs and last state, and their tangents along `tangents` of the four arguments (forward mode)."""
    d_current, d_state, d_amplitude, d_decay = tangents or (np.zeros_like(current), np.zeros_like(state), 0, 0)
    outputs, d_outputs = [], []
    for t in range(current.shape[1]):
        d_membrane = d_decay * state + decay * d_state + d_current[:, t]
        membrane = decay * state + current[:, t]
        spike = numpy_spike(membrane, dynamics)
        d_spike = numpy_rectangle(membrane, dynamics) * d_membrane
        outputs.append(amplitude * spike)
        d_outputs.append(d_amplitude * spike + amplitude * d_spike)
        d_reset = 0 * d_spike if dynamics.detach_reset else d_spike
        if dynamics.reset == "zero":
            state = np.where(spike != 0, 0.0, membrane)
            d_state = np.where(spike != 0, 0.0, d_membrane) - membrane * np.sign(spike) * d_reset
        elif dynamics.reset == "subtract":
            state = membrane - dynamics.threshold * spike
            d_state = d_membrane - dynamics.threshold * d_reset
        else:
            state, d_state = membrane, d_membrane
    return np.stack(outputs, 1), state, np.stack(d_outputs, 1), d_state


def numpy_gradients(current, state, amplitude, decay, dynamics, grad_outputs, grad_state):
    """Gradients from tangents: neurons do not interact, so one timestep is perturbed in all of them at once."""

    def pull(tangents):
        *_, d_outputs, d_state = numpy_lif(current, state, amplitude, decay, dynamics, tangents)
        return (grad_outputs * d_outputs).sum(axis=1) + grad_state * d_state

    zero, still = np.zeros_like(current), np.zeros_like(state)
    grad_current = []
    for t in range(current.shape[1]):
        direction = zero.copy()
        direction[:, t] = 1.0
        grad_current.append(pull((direction, still, 0.0, 0.0)))
    return (
        np.stack(grad_current, axis=1),
        pull((zero, np.ones_like(state), 0.0, 0.0)),
        pull((zero, still, 1.0, 0.0)).sum(),
        pull((zero, still, 0.0, 1.0)).sum(),
    )


def quarters(rng, shape):
    """Multiples of 1/4 in [-1.5, 1.5]: membranes meet the thresholds and the surrogate's edges exactly."""
    return rng.integers(-6, 7, shape) / 4


def keras_gradients(current, state, amplitude, decay, dynamics, grad_outputs, grad_state, function=lif_sequence):
    arguments = [tf.constant(value, "float32") for value in (current, state, amplitude, decay)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs, last_state = function(
            arguments[0], arguments[1], amplitude=arguments[2], decay=arguments[3], dynamics=dynamics
        )
    upstream = [tf.constant(grad_outputs, "float32"), tf.constant(grad_state, "float32")]
    return (outputs, last_state), tape.gradient([outputs, last_state], arguments, output_gradients=upstream)


def draw(rng, timesteps):
    current = quarters(rng, (BATCH, timesteps, *FEATURES))
    state = quarters(rng, (BATCH, *FEATURES))
    return current, state, rng.normal(size=current.shape), rng.normal(size=state.shape)


def assert_equals_numpy(rng, timesteps, decay, dynamics, function=lif_sequence):
    current, state, grad_outputs, grad_state = draw(rng, timesteps)
    arguments = (current, state, 1.75, decay, dynamics)
    (outputs, last_state), gradients = keras_gradients(*arguments, grad_outputs, grad_state, function)
    expected_outputs, expected_state, *_ = numpy_lif(*arguments)
    np.testing.assert_allclose(outputs, expected_outputs, atol=1e-6)
    np.testing.assert_allclose(last_state, expected_state, atol=1e-6)
    for ours, expected in zip(gradients, numpy_gradients(*arguments, grad_outputs, grad_state), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("timesteps", range(1, 9))
@pytest.mark.parametrize("decay", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("detach_reset", [False, True])
def test_values_and_gradients_equal_numpy(rng, timesteps, decay, reset, detach_reset):
    dynamics = Dynamics(reset=reset, detach_reset=detach_reset)
    assert_equals_numpy(rng, timesteps, decay, dynamics)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("timesteps", [1, 4, 40])
def test_binary_values_and_gradients_equal_numpy(rng, reset, timesteps):
    assert_equals_numpy(rng, timesteps, 0.25, Dynamics(levels="binary", reset=reset, threshold=0.25))


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_loop_equals_numpy_too(rng, reset, detach_reset, decay):
    # threshold 0.4 is no multiple of a quarter: over 40 timesteps no membrane is a rounding away from it
    dynamics = Dynamics(threshold=0.4, reset=reset, detach_reset=detach_reset)
    assert_equals_numpy(rng, UNROLL_LIMIT + 8, decay, dynamics)


@pytest.mark.parametrize("timesteps", [1, 2, 40])
def test_unknown_timesteps_equal_numpy(rng, timesteps):
    def function(current, state, amplitude, decay, dynamics):
        signature = [tf.TensorSpec((None, None, *FEATURES)), tf.TensorSpec((None, *FEATURES))]
        signature += [tf.TensorSpec(()), tf.TensorSpec(())]

        @tf.function(input_signature=signature)
        def traced(current, state, amplitude, decay):
            return lif_sequence(current, state, amplitude=amplitude, decay=decay, dynamics=dynamics)

        return traced(current, state, amplitude, decay)

    assert_equals_numpy(rng, timesteps, 0.25, Dynamics(), function)


@pytest.mark.parametrize("timesteps", [4, 40])
@pytest.mark.parametrize("surrogate", [Rectangular(), ATan(0.5)])
def test_compiled_equals_eager(rng, timesteps, surrogate):
    dynamics = Dynamics(surrogate=surrogate)
    arguments = draw(rng, timesteps)

    def compute():
        return keras_gradients(*arguments[:2], 1.75, 0.25, dynamics, *arguments[2:])

    eager, compiled = compute(), tf.function(compute, jit_compile=True)()
    for ours, expected in zip(tf.nest.flatten(compiled), tf.nest.flatten(eager), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_graph_of_a_loop_does_not_grow_with_timesteps():
    def nodes(timesteps):
        spec = tf.TensorSpec((1, timesteps, 3))
        traced = tf.function(lambda current: lif_sequence(current, current[:, 0] * 0.0))
        return len(traced.get_concrete_function(spec).graph.get_operations())

    assert nodes(40) == nodes(80)


@pytest.mark.parametrize("levels, expected", [("ternary", [1, -1, 0, 0, 0]), ("binary", [1, 0, 0, 0, 0])])
def test_membrane_at_threshold_fires(levels, expected):
    below = np.nextafter(np.float32(0.5), np.float32(0))
    current = np.array([[0.5, -0.5, below, -below, 0.0]], "float32")
    output, state = lif_step(current, np.zeros_like(current), dynamics=Dynamics(levels=levels))
    assert output.numpy().tolist() == [expected]
    np.testing.assert_array_equal(state, np.where(np.array([expected]) != 0, 0, current))


def test_zero_reset_clears_a_negative_membrane():
    _, state = lif_step(np.array([[-2.0, 2.0]], "float32"), np.zeros((1, 2), "float32"))
    assert state.numpy().tolist() == [[0.0, 0.0]]


def test_subtracting_reset_keeps_the_rest():
    _, state = lif_step(
        np.array([[-2.0, 2.0]], "float32"), np.zeros((1, 2), "float32"), dynamics=Dynamics(reset="subtract")
    )
    assert state.numpy().tolist() == [[-1.5, 1.5]]


def test_without_reset_the_membrane_is_a_leaky_sum(rng):
    current = rng.normal(size=(2, 6, 4)).astype("float32")
    outputs, state = lif_sequence(current, decay=0.5, dynamics=Dynamics(reset="none"))
    weights = 0.5 ** np.subtract.outer(np.arange(6), np.arange(6))
    membranes = np.einsum("ts,bsf->btf", np.tril(weights), current)
    np.testing.assert_allclose(state, membranes[:, -1], atol=1e-6)
    np.testing.assert_array_equal(outputs, 1.0 * (membranes >= 0.5) - (membranes <= -0.5))


def test_steps_one_by_one_equal_the_sequence(rng):
    current = quarters(rng, (2, 6, 4)).astype("float32")
    outputs, last_state = lif_sequence(current, np.zeros((2, 4), "float32"), amplitude=1.5)
    state = np.zeros((2, 4), "float32")
    for t in range(6):
        output, state = lif_step(current[:, t], state, amplitude=1.5)
        np.testing.assert_array_equal(output, outputs[:, t])
    np.testing.assert_array_equal(state, last_state)


def test_gradients_equal_finite_differences_below_the_threshold(rng):
    # Silent neurons with a detached reset: the last state is a polynomial of current, state and decay.
    current, state = rng.uniform(-0.2, 0.2, (2, 5, 3)), rng.uniform(-0.2, 0.2, (2, 3))
    arguments = [tf.constant(value, "float64") for value in (current, state, 0.25)]

    def total(current, state, decay):
        dynamics = Dynamics(detach_reset=True)
        return tf.reduce_sum(lif_sequence(current, state, decay=decay, dynamics=dynamics)[1] ** 2)

    numeric, analytic = tf.test.compute_gradient(total, arguments, delta=1e-5)[::-1]
    for ours, expected in zip(analytic, numeric, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1), ()])
def test_gradient_of_a_parameter_has_its_shape(rng, shape):
    current, parameter = tf.constant(rng.normal(size=(4, 5, 2, 3))), tf.constant(rng.uniform(size=shape))
    upstream = rng.normal(size=current.shape)
    with tf.GradientTape() as tape:
        tape.watch(parameter)
        outputs, _ = lif_sequence(current, tf.zeros((4, 2, 3)), amplitude=parameter, decay=0.25)
    broadcast = tf.constant(1.0, "float64") * np.broadcast_to(parameter, (2, 3))
    with tf.GradientTape() as summing:
        summing.watch(parameter)
        scaled = tf.broadcast_to(parameter, (2, 3))
    per_neuron = (upstream * outputs.numpy() / broadcast.numpy()).sum(axis=(0, 1))
    expected = summing.gradient(scaled, parameter, output_gradients=tf.constant(per_neuron))
    np.testing.assert_allclose(tape.gradient(outputs, parameter, output_gradients=upstream), expected, rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("timesteps", [3, 40])
def test_non_finite_current_shows_in_every_later_output(jit_compile, reset, value, timesteps):
    current = np.zeros((1, timesteps, 2), "float32")
    current[0, 1, 0] = value

    @tf.function(jit_compile=jit_compile)
    def run(current):
        return lif_sequence(current, tf.zeros((1, 2)), dynamics=Dynamics(reset=reset))

    outputs, state = run(current)
    assert np.isnan(outputs[0, 1:, 0]).all()
    assert not np.isfinite(state[0, 0])
    assert np.isfinite(outputs[0, :, 1]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_the_membrane_in_float32(dtype):
    # 0.5 = 1/4 + 255/1024 + 1/1024 needs more than bfloat16's 8 bits on the way up
    current = tf.cast([[[0.25], [255 / 1024], [1 / 1024]]], dtype)
    outputs, state = lif_sequence(current, tf.zeros((1, 1)), decay=1.0)
    assert outputs.dtype == dtype and state.dtype == "float32"
    assert outputs.numpy().astype("float32").ravel().tolist() == [0.0, 0.0, 1.0]


def test_an_empty_sequence_is_refused():
    with pytest.raises(ValueError, match="`timesteps` must be at least 1"):
        lif_sequence(np.zeros((2, 0, 3), "float32"), np.zeros((2, 3), "float32"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threshold": 0.0}, "`threshold` must be positive and finite. Received: threshold=0.0"),
        ({"threshold": -1.0}, "`threshold` must be positive"),
        ({"threshold": float("nan")}, "`threshold` must be positive"),
        ({"reset": "soft"}, "`reset` must be 'zero', 'subtract' or 'none'. Received: reset='soft'"),
        ({"levels": "quaternary"}, "`levels` must be 'ternary' or 'binary'. Received: levels='quaternary'"),
    ],
)
def test_bad_dynamics_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Dynamics(**options)


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match=r"`decay` must lie in \[0, 1\]. Received: decay="):
        check_decay(decay)
