"""The NumPy kernels against loops over single values."""

import numpy as np
import pytest

from keras_ternary_spike.export.padding import same_padding
from keras_ternary_spike.export.program.arithmetic import KERNELS
from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program

ONE = np.float32(1)


def tensor(name, shape, scale=ONE, zero_point=0, data=None):
    dtype = "int8" if data is None else data.dtype.name
    return Tensor(name, shape, np.float32(scale), zero_point, dtype, 0, data)


def apply(kind, inputs, output, arrays, activation="NONE", **options):
    operator = Operator(kind, tuple(range(len(inputs))), len(inputs), activation, options)
    return KERNELS[kind](operator, inputs, output, arrays)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride, dilation", [((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 1), (2, 3))])
def test_convolution_equals_its_definition(rng, padding, stride, dilation):
    image = rng.integers(-128, 128, (2, 7, 8, 3)).astype(np.int8)
    kernel = rng.integers(-127, 128, (4, 3, 2, 3)).astype(np.int8)
    bias = rng.integers(-500, 500, 4).astype(np.int32)
    zero, scale = 5, 2.0**-9
    pads = [(0, 0), (0, 0)]
    if padding == "SAME":
        pads = [same_padding(7, 3, stride[0], dilation[0]), same_padding(8, 2, stride[1], dilation[1])]
    real = np.pad(image.astype(int) - zero, [(0, 0), *pads, (0, 0)])
    rows = (real.shape[1] - 2 * dilation[0] - 1) // stride[0] + 1
    columns = (real.shape[2] - dilation[1] - 1) // stride[1] + 1
    expected = np.zeros((2, rows, columns, 4), int)
    for n, r, c, o in np.ndindex(*expected.shape):
        total = bias[o]
        for i, j, channel in np.ndindex(3, 2, 3):
            row, column = r * stride[0] + i * dilation[0], c * stride[1] + j * dilation[1]
            total += real[n, row, column, channel] * int(kernel[o, i, j, channel])
        expected[n, r, c, o] = np.clip(np.rint(total * scale), -128, 127)
    inputs = [tensor("x", (1, 7, 8, 3), 1, zero), tensor("k", kernel.shape, scale), tensor("b", (4,))]
    result = apply(
        "CONV_2D",
        inputs,
        tensor("y", (1, rows, columns, 4)),
        [image, kernel, bias],
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h_factor=dilation[0],
        dilation_w_factor=dilation[1],
    )
    np.testing.assert_array_equal(result, expected)


def test_depthwise_convolution_is_one_convolution_per_channel(rng):
    image = rng.integers(-128, 128, (1, 6, 6, 2)).astype(np.int8)
    kernel = rng.integers(-9, 10, (1, 3, 3, 4)).astype(np.int8)
    window = dict(stride_h=1, stride_w=1, padding="SAME")
    scale = 2.0**-4
    result = apply(
        "DEPTHWISE_CONV_2D",
        [tensor("x", (1, 6, 6, 2)), tensor("k", kernel.shape, scale), tensor("b", (4,))],
        tensor("y", (1, 6, 6, 4)),
        [image, kernel, np.zeros(4, np.int32)],
        depth_multiplier=2,
        **window,
    )
    for channel in range(4):
        single = apply(
            "CONV_2D",
            [tensor("x", (1, 6, 6, 1)), tensor("k", (1, 3, 3, 1), scale), tensor("b", (1,))],
            tensor("y", (1, 6, 6, 1)),
            [image[..., channel // 2, None], kernel[..., channel, None], np.zeros(1, np.int32)],
            **window,
        )
        np.testing.assert_array_equal(result[..., channel], single[..., 0])


def test_large_accumulators_stay_exact():
    image = np.full((1, 1, 1, 40_000), 127, np.int8)
    kernel = np.full((1, 1, 1, 40_000), 127, np.int8)
    kernel[..., 0] = 126
    total = 127 * 127 * 40_000 - 127
    inputs = [tensor("x", image.shape), tensor("k", kernel.shape), tensor("b", (1,))]
    result = apply(
        "CONV_2D",
        inputs,
        tensor("y", (1, 1, 1, 1)),
        [image, kernel, np.array([5 - total], np.int32)],
        stride_h=1,
        stride_w=1,
        padding="VALID",
    )
    assert result.item() == 5


def test_sum_of_two_scales_rounds_to_nearest():
    first, second = np.array([[-100, 3, 100]], np.int8), np.array([[1, 1, 1]], np.int8)
    inputs = [tensor("a", (1, 3), 1 / 3), tensor("b", (1, 3), 0.4)]
    assert apply("ADD", inputs, tensor("y", (1, 3)), [first, second]).tolist() == [[-33, 1, 34]]
    assert apply("SUB", inputs, tensor("y", (1, 3)), [first, second]).tolist() == [[-34, 1, 33]]


def test_activation_clips_in_real_units():
    inputs = [tensor("a", (1, 4), 1 / 4), tensor("b", (1, 1), 1)]
    values = [np.array([[-127, -1, 3, 127]], np.int8), np.zeros((1, 1), np.int8)]
    assert apply("ADD", inputs, tensor("y", (1, 4)), values, "RELU_N1_TO_1").tolist() == [[-1, 0, 1, 1]]
    assert apply("ADD", inputs, tensor("y", (1, 4)), values, "RELU").tolist() == [[0, 0, 1, 32]]


def test_integers_saturate_instead_of_wrapping():
    inputs = [tensor("a", (1, 2)), tensor("b", (1, 2))]
    values = [np.array([[127, -128]], np.int8), np.array([[127, -128]], np.int8)]
    assert apply("ADD", inputs, tensor("y", (1, 2)), values).tolist() == [[127, -128]]


def test_padding_never_wins_a_maximum():
    image = np.full((1, 3, 3, 1), -128, np.int8)
    image[0, 2, 2, 0] = -127
    result = apply(
        "MAX_POOL_2D",
        [tensor("x", image.shape)],
        tensor("y", (1, 2, 2, 1)),
        [image],
        filter_height=2,
        filter_width=2,
        stride_h=2,
        stride_w=2,
        padding="SAME",
    )
    assert result[0, ..., 0].tolist() == [[-128, -128], [-128, -127]]


def test_padding_is_real_zero():
    image = np.zeros((1, 1, 1, 1), np.int8)
    pads = np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32)
    result = apply(
        "PAD", [tensor("x", image.shape, 1, 7), tensor("p", (4, 2))], tensor("y", (1, 2, 2, 1)), [image, pads]
    )
    assert result[0, ..., 0].tolist() == [[7, 7], [0, 7]]


def doubling(samples_shape):
    tensors = (tensor("x", (1, *samples_shape)), tensor("y", (1, *samples_shape)))
    return Program("double", tensors, (Operator("ADD", (0, 0), 1),), (0,), (1,))


def test_program_runs_in_chunks_without_a_trace_of_them(rng):
    inputs = rng.integers(-60, 60, (5, 1500, 1500)).astype(np.int8)
    np.testing.assert_array_equal(doubling((1500, 1500)).run(inputs), 2 * inputs)


@pytest.mark.parametrize("inputs", [np.zeros((2, 3), np.float32), np.zeros((2, 4), np.int8)])
def test_program_refuses_other_inputs(inputs):
    with pytest.raises(ValueError, match=r"`inputs` must be int8 of shape \('samples', 3\)\. Received"):
        doubling((3,)).run(inputs)
