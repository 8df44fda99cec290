"""Additions of neither a spike nor a weight of 0, against a count one by one."""

import numpy as np
import pytest

from keras_ternary_spike.export.costs.nonzero_additions import nonzero_additions
from keras_ternary_spike.export.costs.operation_counts import count_operations
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.program.names import ZERO


def applied_by_hand(kind, spike, kernel):
    """(spike, weights) of every use of a kernel of 3x3 taps at stride 2 on (5, 5, 2) spikes, from the definitions."""
    for row, column, top, left, channel in np.ndindex(5, 5, 3, 3, 2):
        taps = (
            kernel[0, top, left, 2 * channel : 2 * channel + 2]
            if kind.startswith("D")
            else kernel[:, top, left, channel]
        )
        if kind == "TRANSPOSE_CONV":  # of 11 rows the last is cropped
            inside = 2 * row + top < 10 and 2 * column + left < 10
        else:  # one pixel of padding on every side: window r covers the pixels 2r - 1 to 2r + 1
            inside = all(
                (pixel + 1 - tap) % 2 == 0 and 0 <= pixel + 1 - tap < 6 for pixel, tap in ((row, top), (column, left))
            )
        if inside:
            yield spike[row, column, channel], taps


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
def test_additions_of_neither_a_spike_nor_a_weight_of_0_are_those_counted_one_by_one(kind, rng):
    builder = Builder()
    current = builder.activation("current", (5, 5, 2), Grid(1 / 201))
    spike = builder.emit(
        *("ADD", (current, builder.scalar(ZERO, 0, 1.0, 3)), "lif/spike/0", (5, 5, 2), Grid(1.0)),
        activation="RELU_N1_TO_1",
    )
    shape, size = ((1, 3, 3, 4) if kind.startswith("D") else (4, 3, 3, 2)), (10 if kind.startswith("T") else 3)
    values = rng.integers(-1, 2, shape).astype(np.int8)
    kernel, bias = builder.constant("c/kernel", values, 1 / 64), builder.constant("c/bias", np.zeros(4, np.int32))
    operands = (spike, kernel, bias)
    options = {"stride_h": 2, "stride_w": 2, "padding": "SAME"}
    if kind == "TRANSPOSE_CONV":
        operands = (builder.constant("c/shape", np.array([1, size, size, 4], np.int32)), kernel, spike, bias)
    elif kind == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = 2
    output = builder.emit(kind, operands, "c/current", (size, size, 4), Grid(0.1), options=options)
    program = builder.program("one", (current,), (output,))
    traced = program.trace(rng.integers(-128, 128, (3, 5, 5, 2)).astype(np.int8))
    uses = [use for sample in traced["lif/spike/0"] for use in applied_by_hand(kind, sample, values)]
    expected = sum(np.count_nonzero(weights) for spike, weights in uses if spike) / 3
    assert nonzero_additions(program, traced) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected < sum(len(weights) for _, weights in uses) / 3 == count_operations(program).total.additions


def test_additions_of_a_dense_layer_are_counted_one_by_one(rng):
    builder = Builder()
    current, values = builder.activation("current", (6,), Grid(1 / 201)), rng.integers(-1, 2, (4, 6)).astype(np.int8)
    zero = builder.scalar(ZERO, 0, 1.0, 1)
    spike = builder.emit("ADD", (current, zero), "lif/spike/0", (6,), Grid(1.0), activation="RELU_N1_TO_1")
    operands = (spike, builder.constant("d/kernel", values, 0.01), builder.constant("d/bias", np.zeros(4, np.int32)))
    options = {"keep_num_dims": False}
    program = builder.program(
        "one", (current,), (builder.emit("FULLY_CONNECTED", operands, "d/current", (4,), Grid(0.1), options=options),)
    )
    traced = program.trace(rng.integers(-128, 128, (5, 6)).astype(np.int8))
    expected = sum(np.count_nonzero(spikes * row) for spikes in traced["lif/spike/0"] for row in values) / 5
    assert nonzero_additions(program, traced) == pytest.approx(expected, rel=1e-12)
