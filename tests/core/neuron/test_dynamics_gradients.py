"""Gradients of the recurrence against finite differences of smooth functions that stand in for the spikes."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import ATan, FastSigmoid, Sigmoid
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.sequence import lif_sequence

# surrogates and the functions whose derivatives they are
SMOOTH = {
    "arctangent": (ATan(0.5), lambda distance: np.arctan(distance / 0.5) / np.pi),
    "sigmoid": (Sigmoid(0.5), lambda distance: 1 / (1 + np.exp(-distance / 0.5))),
    "fast sigmoid": (FastSigmoid(0.5), lambda distance: 0.5 * distance / 0.5 / (1 + np.abs(distance / 0.5))),
}


@pytest.mark.parametrize("surrogate, bump", SMOOTH.values(), ids=SMOOTH.keys())
@pytest.mark.parametrize(
    "levels, separate_bumps, dead_zone",
    [("ternary", True, 1.0), ("binary", False, 1.0), ("binary", True, 1.0), (2, True, 1.0), (2, True, 2.5)],
)
def test_gradients_equal_finite_differences_of_a_smooth_stand_in(
    rng, surrogate, bump, levels, separate_bumps, dead_zone
):
    # Without a reset membranes do not see the spikes, so that smooth ones can stand in for them.
    current, upstream = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 3))
    values = [current, np.array([0.3, 0.5, 0.9]), np.array([0.3, 0.5, 1.25])]

    def smooth_total(current, decay, threshold):
        membrane, total = np.zeros((2, 3)), 0.0
        for t in range(5):
            membrane = decay * membrane + current[:, t]
            for start in (dead_zone, dead_zone + 2) if levels == 2 else (1,):
                height = start * threshold
                total += (upstream[:, t] * bump((membrane - height) / threshold)).sum()
                if levels != "binary":
                    total -= (upstream[:, t] * bump((-membrane - height) / threshold)).sum()
        return total

    tensors = [tf.constant(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        options = {"surrogate": surrogate, "separate_bumps": separate_bumps, "dead_zone": dead_zone}
        dynamics = Dynamics(levels=levels, reset="none", **options)
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
