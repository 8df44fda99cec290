"""Single membranes by hand: what fires, what a reset leaves, what is not finite, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.sequence import lif_sequence, lif_step


def test_levels_round_halves_away_from_zero_and_clip():
    membranes = np.array([[0.5, -0.5, 1.49, 1.5, -1.5, 2.5, -9.0, 0.49]], "float32")
    output, state = lif_step(membranes, np.zeros_like(membranes), dynamics=Dynamics(levels=2))
    assert output.numpy().tolist() == [[1, -1, 1, 2, -2, 2, -2, 0]]
    assert state.numpy().tolist() == [[0, 0, 0, 0, 0, 0, 0, membranes[0, -1]]]


def test_what_a_reset_takes_off_is_counted_in_thresholds():
    dynamics = Dynamics(levels=3, reset="subtract", reset_amount=2.0)
    output, state = lif_step(np.array([[2.25, -0.75]], "float32"), np.zeros((1, 2), "float32"), dynamics=dynamics)
    assert output.numpy().tolist() == [[2.0, -1.0]] and state.numpy().tolist() == [[0.25, 0.25]]


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
