"""The recurrence and its gradient against NumPy: forward values, and tangents carried forward in time."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import ATan, FastSigmoid, Rectangular, Sigmoid
from keras_ternary_spike.dynamics import lif_sequence, lif_step
from keras_ternary_spike.firing import Dynamics
from keras_ternary_spike.recurrence import UNROLL_LIMIT

BATCH, FEATURES = 2, (3, 5)
# surrogates and the functions whose derivatives they are
SMOOTH = {
    "arctangent": (ATan(0.5), lambda distance: np.arctan(distance / 0.5) / np.pi),
    "sigmoid": (Sigmoid(0.5), lambda distance: 1 / (1 + np.exp(-distance / 0.5))),
    "fast sigmoid": (FastSigmoid(0.5), lambda distance: 0.5 * distance / 0.5 / (1 + np.abs(distance / 0.5))),
}


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


@pytest.mark.parametrize("timesteps", range(1, 9))
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


@pytest.mark.parametrize("surrogate, bump", SMOOTH.values(), ids=SMOOTH.keys())
@pytest.mark.parametrize("levels, separate_bumps", [("ternary", True), ("binary", False), ("binary", True), (2, True)])
def test_gradients_equal_finite_differences_of_a_smooth_stand_in(rng, surrogate, bump, levels, separate_bumps):
    # Without a reset membranes do not see the spikes, so that smooth ones can stand in for them.
    current, upstream = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 3))
    values = [current, np.array([0.3, 0.5, 0.9]), np.array([0.3, 0.5, 1.25])]

    def smooth_total(current, decay, threshold):
        membrane, total = np.zeros((2, 3)), 0.0
        for t in range(5):
            membrane = decay * membrane + current[:, t]
            for height in (threshold, 3 * threshold) if levels == 2 else (threshold,):
                total += (upstream[:, t] * bump((membrane - height) / threshold)).sum()
                if levels != "binary":
                    total -= (upstream[:, t] * bump((-membrane - height) / threshold)).sum()
        return total

    tensors = [tf.constant(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        dynamics = Dynamics(levels=levels, reset="none", surrogate=surrogate, separate_bumps=separate_bumps)
        outputs, _ = lif_sequence(tensors[0], decay=tensors[1], threshold=tensors[2], dynamics=dynamics)
    gradients = tape.gradient(outputs, tensors, output_gradients=tf.constant(upstream))
    for index, gradient in enumerate(gradients):
        np.testing.assert_allclose(gradient, central_differences(smooth_total, values, index), rtol=1e-6, atol=1e-7)


def central_differences(function, values, index, step=1e-6):
    differences = np.zeros_like(values[index])
    for position in np.ndindex(differences.shape):
        ends = []
        for sign in (1, -1):
            moved = [value.copy() for value in values]
            moved[index][position] += sign * step
            ends.append(function(*moved))
        differences[position] = (ends[0] - ends[1]) / (2 * step)
    return differences


def test_one_level_is_the_ternary_neuron(rng):
    current = quarters(rng, (2, 6, 4)).astype("float32")
    for ours, expected in zip(lif_sequence(current, dynamics=Dynamics(levels=1)), lif_sequence(current), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_levels_round_halves_away_from_zero_and_clip():
    membranes = np.array([[0.5, -0.5, 1.49, 1.5, -1.5, 2.5, -9.0, 0.49]], "float32")
    output, state = lif_step(membranes, np.zeros_like(membranes), dynamics=Dynamics(levels=2))
    assert output.numpy().tolist() == [[1, -1, 1, 2, -2, 2, -2, 0]]
    assert state.numpy().tolist() == [[0, 0, 0, 0, 0, 0, 0, membranes[0, -1]]]


def test_what_a_reset_takes_off_is_counted_in_thresholds():
    dynamics = Dynamics(levels=3, reset="subtract", reset_amount=2.0)
    output, state = lif_step(np.array([[2.25, -0.75]], "float32"), np.zeros((1, 2), "float32"), dynamics=dynamics)
    assert output.numpy().tolist() == [[2.0, -1.0]] and state.numpy().tolist() == [[0.25, 0.25]]


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


@pytest.mark.parametrize("dynamics", [Dynamics(levels=3), Dynamics(separate_bumps=True, levels="binary")])
def test_options_do_not_hide_a_non_finite_current(dynamics):
    outputs, _ = lif_sequence(
        np.array([[[np.nan], [0.0]], [[np.inf], [0.0]], [[1.0], [0.0]]], "float32"), dynamics=dynamics
    )
    assert np.isnan(outputs).reshape(3, 2).tolist() == [[True, True], [True, True], [False, False]]


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2,), (2, 3, 1), ()])
def test_a_state_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(batch, \*features\) = \(2, 3\). Received: state with shape"):
        lif_sequence(np.zeros((2, 4, 3), "float32"), np.zeros(shape, "float32"))


@pytest.mark.parametrize("dtype", ["int32", "int8", "bool"])
def test_integers_are_refused(dtype):
    with pytest.raises(ValueError, match=f"`current` must hold floats.*dtype {dtype}.*keras.ops.cast"):
        lif_sequence(np.zeros((2, 4, 3), dtype))


def test_an_empty_sequence_is_refused():
    with pytest.raises(ValueError, match="`timesteps` must be at least 1"):
        lif_sequence(np.zeros((2, 0, 3), "float32"), np.zeros((2, 3), "float32"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"reset_amount": 0.0}, "`reset_amount` must be positive and finite. Received: reset_amount=0.0"),
        ({"levels": 0}, "`levels` must be 'ternary' or 'binary', or an integer from 1 to 127. Received: levels=0"),
        ({"levels": 128}, "an integer from 1 to 127. Received: levels=128"),
        ({"levels": 1.5}, "an integer from 1 to 127. Received: levels=1.5"),
        ({"reset": "soft"}, "`reset` must be 'zero', 'subtract' or 'none'. Received: reset='soft'"),
        (
            {"levels": "quaternary"},
            "`levels` must be 'ternary' or 'binary', or an integer.*Received: levels='quaternary'",
        ),
    ],
)
def test_bad_dynamics_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Dynamics(**options)
