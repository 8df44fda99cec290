"""Counts of arithmetic, against counts written out by hand and convolutions done tap by tap."""

import numpy as np
import pytest

from keras_ternary_spike.export.costs.operation_counts import LayerCounts, count_operations, measure
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.program.names import ZERO

REAL, SPIKE = Grid(1 / 255, -128), Grid(1.0, low=-1, high=1)


def convolution(builder, source, layer, channels, *, grid, name, padding="SAME", stride=1, activation="NONE", taps=3):
    """A square convolution of random int8 weights."""
    height, width, inputs = builder.shape(source)
    kernel = np.random.default_rng(1).integers(-9, 10, (channels, taps, taps, inputs)).astype(np.int8)
    operands = (
        source,
        builder.constant(f"{layer}/kernel", kernel, 0.1),
        builder.constant(f"{layer}/bias", np.zeros(channels, np.int32)),
    )
    options = {"stride_h": stride, "stride_w": stride, "dilation_h_factor": 1, "dilation_w_factor": 1}
    reach = 0 if padding == "SAME" else taps - 1
    shape = (-(-(height - reach) // stride), -(-(width - reach) // stride), channels)
    options["padding"] = padding
    return builder.emit("CONV_2D", operands, name, shape, grid, activation=activation, options=options)


def firing_convolution(builder, source, layer, channels, *, neuron, **options):
    name = f"{neuron}/spike/0"
    return convolution(builder, source, layer, channels, grid=SPIKE, name=name, activation="RELU_N1_TO_1", **options)


def dense(builder, source, layer, units, grid):
    (inputs,) = builder.shape(source)
    kernel = builder.constant(f"{layer}/kernel", np.ones((units, inputs), np.int8), 0.01)
    bias = builder.constant(f"{layer}/bias", np.zeros(units, np.int32))
    return builder.emit("FULLY_CONNECTED", (source, kernel, bias), f"{layer}/current", (units,), grid)


@pytest.fixture
def program():
    """4x4x2 image -> 3 channels that fire -> sum over 2x2 windows -> 5 classes."""
    builder = Builder()
    image = builder.activation("image", (4, 4, 2), REAL)
    spikes = firing_convolution(builder, image, "conv", 3, neuron="lif")
    ones = builder.constant("pool/ones", np.ones((1, 2, 2, 3), np.int8), 1.0, channel_axis=3)
    zeros = builder.constant("zeros/3", np.zeros(3, np.int32))
    options = {"stride_h": 2, "stride_w": 2, "dilation_h_factor": 1, "dilation_w_factor": 1}
    options |= {"depth_multiplier": 1, "padding": "VALID"}
    sums = builder.emit("DEPTHWISE_CONV_2D", (spikes, ones, zeros), "pool/sum", (2, 2, 3), Grid(1.0), options=options)
    shape = builder.constant("shape", np.array([1, 12], np.int32))
    flat = builder.emit("RESHAPE", (sums, shape), "flat/reshaped", (12,), Grid(1.0), options={"new_shape": (1, 12)})
    return builder.program("small", (image,), (dense(builder, flat, "classes", 5, Grid(0.1)),))


def test_counts_of_a_small_network_are_those_counted_by_hand(program):
    # 3 taps over 4 padded pixels reach 2 + 3 + 3 + 2 = 10 inside: 10 * 10 windows and pixels, 2 inputs, 3 outputs.
    assert count_operations(program).layers == (
        LayerCounts("conv", operators=1, multiply_accumulates=600, rescalings=48),
        LayerCounts("pool", operators=1, additions=48, additions_bound=48, rescalings=12),
        LayerCounts("flat", operators=1),
        LayerCounts("classes", operators=1, additions=60, additions_bound=240, rescalings=5),
    )


def test_the_total_is_the_sum_of_the_layers(program):
    expected = LayerCounts("total", 4, multiply_accumulates=600, additions=108, additions_bound=288, rescalings=65)
    assert count_operations(program).total == expected


def test_the_first_layer_multiplies_even_where_its_grid_looks_like_that_of_spikes():
    builder = Builder()
    vector = builder.activation("features", (7,), Grid(1.0))
    counts = count_operations(
        builder.program("dense", (vector,), (dense(builder, vector, "dense", 2, Grid(0.1)),))
    ).total
    assert (counts.multiply_accumulates, counts.additions) == (14, 0)


def test_elementwise_operators_count_the_values_they_write():
    builder = Builder()
    current = builder.activation("current", (5, 5, 2), Grid(1 / 201))
    zero = builder.scalar(ZERO, 0, 1.0, 3)
    spike = builder.emit("ADD", (current, zero), "lif/spike/0", (5, 5, 2), SPIKE, activation="RELU_N1_TO_1")
    fired = builder.emit("MUL", (spike, spike), "lif/fired/0", (5, 5, 2), SPIKE)
    assert count_operations(builder.program("lif", (current,), (fired,))).layers == (
        LayerCounts("lif", 2, elementwise=100),
    )


def windows_by_hand(size, taps, stride, padding, dilation):
    """Kernel rows that meet a pixel of the image, one by one. SAME: as TensorFlow documents it."""
    span = (taps - 1) * dilation + 1
    outputs = -(-size // stride) if padding == "SAME" else (size - span) // stride + 1
    before = max((outputs - 1) * stride + span - size, 0) // 2 if padding == "SAME" else 0
    inside = [0 <= out * stride + tap * dilation - before < size for out in range(outputs) for tap in range(taps)]
    return outputs, sum(inside)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("size, taps, stride, dilation", [(7, 3, 1, 1), (8, 3, 2, 1), (9, 5, 3, 1), (11, 3, 1, 2)])
def test_padding_costs_nothing(size, taps, stride, dilation, padding):
    rows, inside = windows_by_hand(size, taps, stride, padding, dilation)
    builder = Builder()
    image = builder.activation("image", (size, size, 2), REAL)
    kernel = builder.constant("conv/kernel", np.ones((3, taps, taps, 2), np.int8), 0.01)
    bias = builder.constant("conv/bias", np.zeros(3, np.int32))
    options = {"stride_h": stride, "stride_w": stride, "dilation_h_factor": dilation, "dilation_w_factor": dilation}
    options["padding"] = padding
    current = builder.emit("CONV_2D", (image, kernel, bias), "c", (rows, rows, 3), Grid(0.1), options=options)
    assert (
        count_operations(builder.program("conv", (image,), (current,))).total.multiply_accumulates == inside**2 * 2 * 3
    )


def test_measured_additions_are_those_of_inputs_that_are_not_zero():
    """Counted from the definition of the convolution: every tap of every window whose input is not 0."""
    builder = Builder()
    image = builder.activation("image", (5, 5, 1), REAL)
    spikes = firing_convolution(builder, image, "first", 4, neuron="lif")
    current = convolution(
        builder, spikes, "second", 6, grid=Grid(0.1), name="second/current", stride=2, padding="VALID"
    )
    program = builder.program("two", (image,), (current,))
    samples = np.random.default_rng(0).integers(-128, 128, (3, 5, 5, 1)).astype(np.int8)
    trace = program.trace(samples)
    fired = trace["lif/spike/0"] != 0
    windows = [fired[:, r : r + 3, c : c + 3] for r in (0, 2) for c in (0, 2)]
    expected = sum(np.count_nonzero(window) for window in windows) * 6 / 3
    layer = count_operations(program, measure(program, trace)).layers[1]
    assert layer.layer == "second"
    assert layer.additions_measured == pytest.approx(expected, rel=1e-12)
    assert 0 < layer.additions_measured < layer.additions == 4 * 9 * 4 * 6


def test_transposed_convolution_applies_every_weight_that_is_not_cropped():
    builder = Builder()
    current = builder.activation("current", (3, 3, 2), Grid(1 / 201))
    zero = builder.scalar(ZERO, 0, 1.0, 3)
    spike = builder.emit("ADD", (current, zero), "lif/spike/0", (3, 3, 2), SPIKE, activation="RELU_N1_TO_1")
    kernel = builder.constant("up/kernel", np.ones((4, 3, 3, 2), np.int8), 0.01)
    label = builder.constant("up/shape", np.array([1, 6, 6, 4], np.int32))
    bias = builder.constant("up/bias", np.zeros(4, np.int32))
    options = {"stride_h": 2, "stride_w": 2, "padding": "SAME"}
    up = builder.emit(
        "TRANSPOSE_CONV", (label, kernel, spike, bias), "up/current", (6, 6, 4), Grid(0.1), options=options
    )
    # A full output has 2 * 2 + 3 = 7 rows, the last one cropped: 3 + 3 + 2 = 8 taps stay of each axis.
    layer = count_operations(builder.program("up", (current,), (up,))).layers[1]
    assert (layer.additions, layer.additions_bound) == (8 * 8 * 2 * 4, 8 * 8 * 2 * 4)


def test_the_bound_of_a_sum_grows_with_every_sum_before_it():
    """Spikes of two timesteps added, and 2x2 of them summed: up to 8 additions a weight."""
    builder = Builder()
    current = builder.activation("current", (2, 2, 1), Grid(1 / 201))
    zero = builder.scalar(ZERO, 0, 1.0, 3)
    spike = builder.emit("ADD", (current, zero), "lif/spike/0", (2, 2, 1), SPIKE, activation="RELU_N1_TO_1")
    twice = builder.emit("ADD", (spike, spike), "average/sum/1", (2, 2, 1), Grid(1.0))
    ones = builder.constant("pool/ones", np.ones((1, 2, 2, 1), np.int8), 1.0, channel_axis=3)
    options = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    options |= {"depth_multiplier": 1, "padding": "VALID"}
    operands = (twice, ones, builder.constant("zeros/1", np.zeros(1, np.int32)))
    pooled = builder.emit("DEPTHWISE_CONV_2D", operands, "pool/sum", (1, 1, 1), Grid(1.0), options=options)
    flat = builder.emit("RESHAPE", (pooled,), "flat", (1,), Grid(1.0), options={"new_shape": (1, 1)})
    counts = count_operations(
        builder.program("sums", (current,), (dense(builder, flat, "classes", 3, Grid(0.1)),))
    ).layers
    assert [(one.layer, one.additions, one.additions_bound) for one in counts[2:]] == [
        ("pool", 4, 8),
        ("flat", 0, 0),
        ("classes", 3, 24),
    ]
