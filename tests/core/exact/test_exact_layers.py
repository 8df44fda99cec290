"""The layers of integer-exact training against the equations, in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import MultiLevelLIF
from keras_ternary_spike.exact import (
    ExactAdd,
    ExactConv2D,
    ExactConv2DTranspose,
    ExactDense,
    ExactDepthwiseConv2D,
    ExactInput,
    ExactLIF,
    ExactSumPooling2D,
)
from keras_ternary_spike.export.program.grid import input_grid

FLOAT32 = np.float32


def gradient_of(function, values):
    x = tf.constant(values, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(function(x))
    return tape.gradient(total, x).numpy()


@pytest.mark.parametrize("input_range", [(0.0, 16.0), (-1.0, 1.0), (0.0, 255.0), (-3.3, 0.7)])
def test_inputs_are_rounded_as_in_float64_also_beside_every_tie(input_range):
    grid = input_grid(*input_range)
    ties = ((np.arange(-130, 130) + 0.5 - grid.zero_point) * grid.scale).astype(FLOAT32)
    beside = [np.nextafter(ties, FLOAT32(side)) for side in (-np.inf, np.inf)]
    inputs = np.concatenate([ties, *beside, [0.0, *input_range, 1e30, -1e30]]).astype(FLOAT32)
    expected = np.clip(np.rint(inputs.astype(np.float64) / grid.scale), grid.low, grid.high)
    layer = ExactInput(input_range, grid.scale, grid.zero_point)
    np.testing.assert_array_equal(layer(inputs[:, None])[:, 0], expected)


def recurrence(current, n, d, half, signed):
    """Spikes and membranes of one neuron, in Python's integers."""
    state, spikes, membranes = 0, [], []
    for now in current:
        membrane = max(-128, min(127, (2 * (n * state + d * now) + d) // (2 * d)))
        spike = int(membrane > half) - int(signed and membrane < -half)
        state = 0 if spike else membrane
        spikes.append(spike)
        membranes.append(membrane)
    return spikes, membranes


@pytest.mark.parametrize("timesteps", [1, 2, 7])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_neurons_follow_the_recurrence_in_integers(timesteps, signed, training, rng):
    currents = rng.integers(-128, 128, (500, timesteps))
    layer = ExactLIF("16/63", 60, signed=signed)
    expected = [recurrence(row, 16, 63, 60, signed)[0] for row in currents.tolist()]
    np.testing.assert_array_equal(layer(currents.astype(FLOAT32), training=training), expected)


@pytest.mark.parametrize(
    "options, expected", [({}, [-1, -1, 0, 0, 1, 1, 1]), ({"levels": 3, "signed": False}, [0, 0, 0, 0, 1, 2, 3])]
)
def test_neurons_that_only_fire_round_to_the_nearest_spike(options, expected):
    current = np.array([[[-2.0, -0.51, -0.49, 0.49, 1.49, 1.51, 4.0]]], FLOAT32)
    spikes = ExactLIF("16/63", 60, fires_only=True, **options)(current)
    assert np.ravel(spikes).tolist() == expected


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("levels, half", [(1, 0), (3, 0), (4, 16), (41, 1), (127, 0)])
@pytest.mark.parametrize("signed", [True, False])
def test_a_level_is_the_nearest_whole_number_of_units(levels, half, signed, training):
    membranes, unit = np.arange(-128, 128), 2 * half + 1
    sizes = [min((abs(membrane) + half) // unit, levels) for membrane in membranes.tolist()]
    expected = np.sign(membranes) * sizes if signed else (membranes > 0) * sizes
    layer = ExactLIF("16/63", half, signed=signed, levels=levels)
    np.testing.assert_array_equal(layer(membranes[:, None].astype(FLOAT32), training=training)[:, 0], expected)


@pytest.mark.parametrize("signed", [True, False])
def test_the_gradient_of_levels_is_the_slope_of_a_ramp(signed):
    """Central differences of clip(membrane / unit, -levels or 0, levels), a quarter of a step wide."""
    membranes, levels, unit, width = np.arange(-128, 128), 4, 25, 0.25
    low = -levels if signed else 0
    differences = [np.clip((membranes + side * width) / unit, low, levels) for side in (-1, 1)]
    expected = (differences[1] - differences[0]) / (2 * width)
    inside = ~np.isin(membranes, (low * unit, levels * unit))  # a ramp has no slope at its ends
    measured = gradient_of(ExactLIF("16/63", 12, signed=signed, levels=levels), membranes[:, None])[:, 0]
    np.testing.assert_allclose(measured[inside], expected[inside], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("signed", [True, False])
def test_levels_with_a_state_are_those_of_the_float_neuron_where_nothing_is_rounded(signed, training, rng):
    """With decay 1 membranes are whole anyway: spikes and gradients are MultiLevelLIF's of that threshold."""
    currents, upstream = rng.integers(-60, 61, (200, 4)), tf.constant(rng.normal(size=(200, 4)), tf.float32)
    exact = ExactLIF("1", 8, signed=signed, levels=3)
    float_neuron = MultiLevelLIF(3, signed=signed, threshold=8.5, decay=1.0, trainable_amplitude=False)
    expected = float_neuron(currents[..., None].astype(FLOAT32))[..., 0]
    assert len(np.unique(expected)) == (7 if signed else 4)
    np.testing.assert_array_equal(exact(currents.astype(FLOAT32), training=training), expected)
    gradients = gradient_of(lambda x: exact(x, training=training) * upstream, currents)
    wanted = gradient_of(lambda x: float_neuron(x[..., None])[..., 0] * upstream, currents)
    np.testing.assert_allclose(gradients, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_neurons_gradient_is_that_of_the_recurrence(training, rng):
    """Backwards through membrane = decay * state + current and state = membrane * (1 - |spike|), by hand."""
    currents, upstream = rng.integers(-128, 128, (300, 3)), rng.normal(size=(300, 3))
    decay, half, unit = 16 / 63, 60, 121
    layer = ExactLIF("16/63", half)
    measured = gradient_of(lambda x: layer(x, training=training) * tf.constant(upstream, tf.float32), currents)
    expected = np.zeros((300, 3))
    for row, current in enumerate(currents.tolist()):
        spikes, membranes = recurrence(current, 16, 63, half, True)
        grad_state = 0.0
        for t in (2, 1, 0):
            slope = (abs(membranes[t]) <= unit) / unit
            grad_spike = upstream[row, t] - grad_state * membranes[t] * np.sign(spikes[t])
            expected[row, t] = grad_spike * slope + grad_state * (1 - abs(spikes[t]))
            grad_state = decay * expected[row, t]
    np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-6)


def exact(kind, **options):
    """Output steps: real / 0.25; accumulator steps of the first channel 16/63, of the second 1/6 of that."""
    return kind(multipliers=["40/63", "1/6"], input_scale=0.5, output_scale=0.25, input_bound=255, **options)


def integers_of(kernel, bias):
    """By the rule: 40/63 is above 1/2, any integers; 1/6 is below, even ones."""
    units = np.array([0.25 * 40 / 63, 0.25 / 6])
    step = np.array([1, 2])
    return np.clip(np.rint(kernel * 0.5 / units / step), -127 // step, 127 // step) * step, np.rint(
        bias / units / step
    ) * step


def test_a_dense_layer_rounds_kernel_bias_and_output(rng):
    layer, inputs = exact(ExactDense), rng.integers(-255, 256, (50, 6))
    layer.build((None, 6))
    kernel, bias = rng.normal(0, 0.05, (6, 2)).astype(FLOAT32), np.array([0.3, -0.4], FLOAT32)
    layer.set_weights([kernel, bias])
    kernel, bias = integers_of(kernel, bias)
    expected = np.clip(np.rint((inputs @ kernel + bias) * np.array([40 / 63, 1 / 6])), -128, 127)
    assert np.any(np.abs(expected) < 127)
    for training in (True, False):
        np.testing.assert_array_equal(layer(inputs.astype(FLOAT32), training=training), expected)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_a_dense_layer_ignore_rounding_and_stop_beyond_reach(training, rng):
    layer = exact(ExactDense, reach=90.0)
    layer.build((None, 1))
    layer.set_weights([np.array([[0.3, 0.1]], FLOAT32), np.zeros(2, FLOAT32)])
    x = tf.constant([[4.0], [300.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=training)
    grads = tape.gradient(outputs, [layer.kernel.value, layer.bias.value, x])
    # d output / d kernel = input * input_scale / output_scale in steps: 4 * 2; the second sample lies beyond reach.
    np.testing.assert_allclose(grads[0], [[8.0, 8.0]], rtol=1e-6)
    np.testing.assert_allclose(grads[1], [4.0, 4.0], rtol=1e-6)
    np.testing.assert_allclose(grads[2][1], [0.0])
    assert float(grads[2][0, 0]) == pytest.approx(40 / 63 + 2 / 6)  # integers 1 and 2 by multipliers


@pytest.mark.parametrize(
    "kind, options, keras_layer",
    [
        (
            ExactConv2D,
            {"padding": "same", "strides": (2, 1)},
            keras.layers.Conv2D(2, 3, padding="same", strides=(2, 1)),
        ),
        (ExactConv2D, {"dilation_rate": (1, 2)}, keras.layers.Conv2D(2, 3, dilation_rate=(1, 2))),
        (ExactDepthwiseConv2D, {}, keras.layers.DepthwiseConv2D(3, depth_multiplier=2)),
    ],
)
def test_convolutions_are_keras_convolutions_of_integers(kind, options, keras_layer, rng):
    channels = 1
    inputs = rng.integers(-1, 2, (3, 7, 6, channels)).astype(FLOAT32)
    layer = exact(kind, kernel_size=(3, 3), rounded=False, **options)
    layer.build(inputs.shape)
    layer.set_weights([rng.normal(0, 2, layer.kernel.shape), rng.normal(0, 1, 2)])
    keras_layer.build(inputs.shape)
    keras_layer.set_weights([np.array(layer.kernel_integers()), np.array(layer.bias_integers())])
    np.testing.assert_allclose(layer(inputs), np.rint(keras_layer(inputs)) * [40 / 63, 1 / 6], rtol=1e-6)


def test_explicit_padding_and_unequal_strides_of_a_depthwise_convolution(rng):
    inputs = rng.integers(-1, 2, (2, 6, 7, 2)).astype(FLOAT32)
    layer = exact(ExactDepthwiseConv2D, kernel_size=(3, 2), strides=(2, 1), padding=((1, 0), (0, 2)), rounded=False)
    layer.build(inputs.shape)
    layer.set_weights([rng.normal(0, 1, (3, 2, 2, 1)), np.zeros(2)])
    kernel, padded = np.array(layer.kernel_integers()), np.pad(inputs, ((0, 0), (1, 0), (0, 2), (0, 0)))
    rows, columns = (7 - 3) // 2 + 1, 9 - 2 + 1
    expected = np.zeros((2, rows, columns, 2))
    for i, j in np.ndindex(rows, columns):
        window = padded[:, 2 * i : 2 * i + 3, j : j + 2]
        expected[:, i, j] = (window * kernel[..., 0]).sum(axis=(1, 2))
    np.testing.assert_allclose(layer(inputs), expected * [40 / 63, 1 / 6], rtol=1e-6)


def test_a_transposed_convolution_spreads_and_is_cropped(rng):
    inputs = rng.integers(-1, 2, (2, 3, 4, 2)).astype(FLOAT32)
    layer = exact(ExactConv2DTranspose, kernel_size=(3, 3), strides=(2, 2), cropping=((1, 0), (0, 2)), rounded=False)
    layer.build(inputs.shape)
    layer.set_weights([rng.normal(0, 1, (3, 3, 2, 2)), np.zeros(2)])
    kernel, full = np.array(layer.kernel_integers()), np.zeros((2, 7, 9, 2))
    for i, j, row, column in np.ndindex(3, 4, 3, 3):
        full[:, 2 * i + row, 2 * j + column] += inputs[:, i, j] @ kernel[row, column]
    np.testing.assert_allclose(layer(inputs), full[:, 1:, :7] * [40 / 63, 1 / 6], rtol=1e-6)


def test_sums_over_windows_are_whole_and_pass_gradients(rng):
    inputs = rng.integers(-1, 2, (2, 7, 7, 3)).astype(FLOAT32)
    layer = ExactSumPooling2D((3, 3), (2, 2))
    expected = [[inputs[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].sum(axis=(1, 2)) for j in range(3)] for i in range(3)]
    np.testing.assert_array_equal(layer(inputs), np.moveaxis(expected, 2, 0))
    np.testing.assert_allclose(gradient_of(layer, inputs)[0, :3, :3, 0], [[1, 1, 2], [1, 1, 2], [2, 2, 4]], rtol=1e-6)


def test_sums_saturate_after_every_addition():
    tensors = [np.full((1, 1), value, FLOAT32) for value in (100.0, 1.0, -100.0)]
    assert float(ExactAdd([1, 81, 1])(tensors)[0, 0]) == 27  # 127 - 100, not 181 - 100
