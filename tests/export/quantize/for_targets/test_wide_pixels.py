"""Convolutions of several pixels at once have the integers of those of one."""

import numpy as np
import pytest

from every_runtime import assert_every_tensor_equals
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.costs.operation_counts import count_operations
from keras_ternary_spike.export.network.nodes import LIF, TimeSum
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid, float32
from keras_ternary_spike.export.program.names import Name, spike_levels
from keras_ternary_spike.export.quantize.for_targets.wide_pixels import Layout, wide_kernel, with_wide_pixels
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from node_graphs import SAME, Chain

STRIDES = {"stride_h": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}


def program(rng, image, filters, size, stride, padding="SAME", used=1):
    """One convolution of an image whose zero is not 0, with a scale for every channel; the second of the same kernel
    reads what is left of the image without its last column.
    """
    builder, grid = Builder(), Grid(1.0, zero_point=-3)
    source = builder.activation(Name("image"), image, grid)
    scale = np.array([float32(1 / (2 * odd)) for odd in np.resize(range(81, 124, 2), filters)], np.float32)
    kernel = 2 * rng.integers(-9, 10, (filters, *size, image[2])).astype(np.int8)
    kernel = builder.constant(Name("conv", "kernel"), kernel, scale)
    bias = builder.constant(Name("conv", "bias"), 2 * rng.integers(-999, 999, filters).astype(np.int32), scale)
    outputs = []
    for cropped in range(used):
        rows, columns, channels = image
        shape = (rows, columns - cropped, channels)
        read = builder.crop(source, Name("image", "cropped"), "image", ((0, 0), (0, 1)), shape, grid)
        shape = (rows, -(-shape[1] // stride), filters)
        if padding == "VALID":
            shape = (rows - size[0] + 1, (columns - size[1]) // stride + 1, filters)
        options = {**STRIDES, "stride_w": stride, "padding": padding}
        operands = (read if cropped else source, kernel, bias)
        outputs.append(
            builder.emit("CONV_2D", operands, Name("conv", "current", cropped), shape, grid, options=options)
        )
    return builder.program("conv", (source,), tuple(outputs))


def kernels(program):
    return [program.tensors[one.inputs[1]].shape for one in program.operators if one.kind == "CONV_2D"]


@pytest.mark.parametrize(
    ("image", "filters", "size", "stride", "wide"),
    [  # a wide kernel: filters times the pixels written, rows, taps, channels times the pixels read
        ((9, 10, 1), 64, (10, 4), 2, (64, 10, 3, 2)),
        ((5, 12, 3), 8, (3, 3), 2, (16, 3, 2, 12)),
        ((5, 12, 1), 8, (3, 3), 1, (16, 3, 3, 2)),
        ((5, 8, 2), 4, (5, 5), 1, (16, 5, 3, 8)),
        ((5, 12, 1), 16, (3, 5), 3, (16, 3, 3, 3)),
    ],
)
def test_wide_pixels_give_the_integers_of_pixels_on_every_runtime(rng, image, filters, size, stride, wide):
    one = program(rng, image, filters, size, stride)
    other = with_wide_pixels(one)
    assert kernels(other) == [wide] != kernels(one)
    inputs = rng.integers(-128, 128, (3, *image), np.int8)
    assert len(np.unique(one.run(inputs))) > 50
    np.testing.assert_array_equal(other.run(inputs), one.run(inputs))
    assert_every_tensor_equals(other.trace(inputs), flatbuffer.write(other), inputs)


@pytest.mark.parametrize(
    ("image", "filters", "size", "stride", "options"),
    [
        ((5, 12, 3), 16, (3, 3), 1, {}),  # full taps already: more would be multiplied
        ((5, 12, 64), 64, (3, 3), 2, {}),
        ((5, 11, 1), 8, (3, 3), 1, {}),  # no two pixels share all columns
        ((5, 12, 1), 8, (3, 3), 1, {"padding": "VALID"}),
        ((5, 12, 1), 8, (3, 3), 1, {"used": 2}),  # the other image has 11 columns
    ],
)
def test_other_convolutions_stay(rng, image, filters, size, stride, options):
    one = program(rng, image, filters, size, stride, **options)
    assert with_wide_pixels(one) is one


def test_a_wide_kernel_holds_the_kernel_once_for_every_pixel():
    kernel = np.array([[[[1], [2], [3]]]], np.int8)  # three columns, which lie at -1, 0 and 1 of a pixel
    first, second = wide_kernel(kernel, Layout(outputs=2, inputs=2, taps=3, offset=1), stride=1)
    np.testing.assert_array_equal(first, [[[0, 1], [2, 3], [0, 0]]])
    np.testing.assert_array_equal(second, [[[0, 0], [1, 2], [3, 0]]])


@pytest.mark.parametrize("temporal", [False, True])
def test_networks_of_wide_pixels_spike_and_are_proven_alike(rng, temporal):
    nodes = Chain(rng, 2, (6, 8, 1), temporal=temporal)
    nodes = (nodes if temporal else nodes.repeat()).conv("conv", 8, padding=SAME, gain=4.0).lif("lif", 0.25)
    nodes.add(TimeSum, "time", temporal=False).conv("logits", 3, size=1)
    one = quantize(nodes.network())
    other, shape = with_wide_pixels(one), one.tensors[one.inputs[0]].shape[1:]
    assert {wide[3] for wide in kernels(other)} == {2, 8}
    inputs = rng.integers(-128, 128, (3, *shape), np.int8)
    expected, found, written = one.trace(inputs), other.trace(inputs), flatbuffer.write(other)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert_every_tensor_equals(found, written, inputs)
    for before, after in zip(prove(one), prove(flatbuffer.read(written)), strict=True):
        assert after.holds and (before.method, before.cases, before.spikes) == (after.method, after.cases, after.spikes)


def test_levels_are_told_from_what_fires_in_front_of_the_pixels(rng):
    nodes = Chain(rng, 1, (6, 8, 1), temporal=True).conv("conv", 8, padding=SAME)
    nodes.add(LIF, "lif", decay=0.25, threshold=0.5, amplitude=1.0, levels=3)
    one = quantize(nodes.add(TimeSum, "time", temporal=False).conv("logits", 3, size=1).network())
    other = with_wide_pixels(one)
    assert spike_levels(other) == spike_levels(one) == {"lif/spike/0": 3}
    assert len(other.operators) == len(one.operators) + 2
    bound, expected = (count_operations(each).total.additions_bound for each in (other, one))
    assert bound == expected > 0
