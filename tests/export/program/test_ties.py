"""Scales that bring an integer near a tie are refused, and those that do not are taken: against every product."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from keras_ternary_spike.export.program import ties
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid, float32
from keras_ternary_spike.export.program.ties import every_value, first_rounding, reached
from keras_ternary_spike.export.quantize.weights import HALF_STEPS
from keras_ternary_spike.export.tflite.flatbuffer import pack, read, write

LINE = (1,)


def dense(weights, bias, ratio, *, source=None, activation="NONE"):
    """A matrix product whose accumulator is worth `ratio` steps of the output."""
    builder, source = Builder(), source or Grid(1.0)
    tensor = builder.activation("in", (len(weights),), source)
    kernel = builder.constant("layer/kernel", np.int8([weights]), ratio)
    operands = (tensor, kernel, builder.constant("layer/bias", np.int32([bias]), ratio * source.scale))
    output = builder.emit("FULLY_CONNECTED", operands, "layer/current", LINE, Grid(1.0), activation=activation)
    return builder.program("dense", (tensor,), (output,))


def rounded_twice(integer, multiplier):
    """As the reference kernels do: to 2**-p steps, then to steps, halves away from zero; in rational numbers."""
    power = 0
    while multiplier * 2**power < Fraction(1, 2):
        power += 1
    return halves_away(Fraction(halves_away(integer * multiplier * 2**power), 2**power))


def halves_away(value):
    return int(np.sign(value)) * int(abs(value) + Fraction(1, 2))


@pytest.mark.parametrize(
    ("weights", "bias", "multiplier"),
    [
        ([1], 0, Fraction(1, 2)),
        ([3], 0, Fraction(1, 6)),
        ([2, -4], 0, Fraction(1, 12)),
        ([2], 1, Fraction(1, 26)),  # an odd bias
        ([1], 0, Fraction(2, 7)),  # no tie, but within the first rounding of one
        ([2], 0, Fraction(1, 4094)),  # q = 2047 is not safe
        ([0], 3, Fraction(1, 2)),  # one number, and that a tie
        ([0], 3, Fraction(1, 7)),
    ],
)
def test_scales_that_bring_a_sum_near_a_tie_are_refused(weights, bias, multiplier):
    sums = {bias + sum(w * x for w in weights) for x in range(-128, 128)}
    assert multiplier.denominator > 2000 or any(
        rounded_twice(s, multiplier) != int(np.rint(float(s * multiplier))) or s * multiplier % 1 == Fraction(1, 2)
        for s in sums
    )
    with pytest.raises(ValueError, match=r"keep every integer it can read from a tie.*'layer/current'"):
        write(dense(weights, bias, float(multiplier)))


@pytest.mark.parametrize(
    ("weights", "bias", "multiplier"),
    [
        ([1, 7], 5, Fraction(32, 63)),
        ([3, -127], -9, Fraction(200, 63)),
        ([1], 0, Fraction(1)),
        ([2, 4], -6, Fraction(1, 26)),
        ([4, 8], 2, Fraction(1, 16)),  # sums that are 2 more than a multiple of 4
        ([0], 2, Fraction(1, 7)),
        ([0], 2**30, Fraction(1, 2)),  # far beyond int8
        *(([2, -2], 4, Fraction(1, 2 * int(q))) for q in HALF_STEPS[::97]),
    ],
)
def test_scales_that_bring_none_near_are_taken(weights, bias, multiplier):
    for sum_ in {bias + sum(w * x for w in weights) for x in range(-128, 128)}:
        assert abs(sum_) > 2**20 or rounded_twice(sum_, multiplier) == int(np.rint(float(sum_ * multiplier)))
    assert read(write(dense(weights, bias, float(multiplier)))).operators


def test_a_slightly_damaged_scale_is_refused():
    whole = dense([2, 4], 0, 1 / 26)
    kernel, bias = (replace(tensor, scale=tensor.scale * np.float32(1.0001)) for tensor in whole.tensors[1:3])
    damaged = pack(replace(whole, tensors=(whole.tensors[0], kernel, bias, whole.tensors[3])))
    with pytest.raises(ValueError, match="from a tie"):
        read(damaged)


def test_the_first_rounding_is_half_of_its_step():
    # 2**p * ratio lies in [1/2, 1)
    assert [first_rounding(ratio) for ratio in (1.0, 0.5, 0.499, 0.25, 1 / 26)] == [0, 0, 1 / 4, 1 / 4, 1 / 32]


def test_the_square_of_a_spike_is_not_negative():
    builder = Builder()
    spikes = builder.constant("spikes", np.int8([[-1, 0, 1]]), 1.0)
    output = builder.emit("MUL", (spikes, spikes), "out", (3,), Grid(1.0))
    [operator], tensors = builder.operators, builder.tensors
    values = every_value(tensors[spikes])
    found = reached(operator, [tensors[spikes]] * 2, tensors[output], [values, values])
    assert found == (0, 1)


def test_integers_that_never_occur_need_no_care():
    """Halves of even numbers: of a decay per channel, where it is 0 after a spike."""
    builder = Builder()
    membrane, fired = builder.activation("membrane", (1,), Grid(1.0)), builder.activation("spike", (1,), Grid(1.0))
    decays = builder.constant("decays", np.int8([[26]]), 1 / 82)
    zero = builder.constant("zero", np.int8([[0]]), 1.0)
    clipped = builder.emit("ADD", (fired, zero), "a", (1,), Grid(1.0), activation="RELU_N1_TO_1")
    square = builder.emit("MUL", (clipped, clipped), "b", (1,), Grid(1.0))
    keep = builder.emit("SUB", (decays, square), "c", (1,), Grid(float32(1 / 82)), activation="RELU")
    state = builder.emit("MUL", (membrane, keep), "state", (1,), Grid(1.0))
    assert write(builder.program("state", (membrane, fired), (state,)))
    free = builder.emit("MUL", (membrane, fired), "free", (1,), Grid(82.0))
    with pytest.raises(ValueError, match=r"MUL must have scales.*0.0121951.* times the products for 'free'"):
        write(builder.program("free", (membrane, fired), (free,)))


@pytest.mark.parametrize("scale", [2 / 3, 12 / 13])
def test_a_clip_between_two_steps_is_refused(scale):
    with pytest.raises(ValueError, match="clip at a whole number of steps"):
        builder = Builder()
        one = builder.activation("in", LINE, Grid(float32(scale)))
        activation = "RELU_N1_TO_1" if scale < 0.7 else "RELU6"
        output = builder.emit("ADD", (one, one), "out", LINE, Grid(float32(scale)), activation=activation)
        write(builder.program("clip", (one,), (output,)))


@pytest.mark.parametrize("numerator, step", [(391, 16), (571, 16), (1740, 16), (40, 1), (62, 32)])
def test_a_multiplier_is_the_simplest_fraction_that_float32_may_mean(numerator, step):
    ratio = float(np.float32(numerator / 63)) * (1 + 2.0**-24)
    assert ties._simplest(ratio * step) == Fraction(numerator * step, 63)
    assert ties._is_far(ratio, step, 0)  # sixty-thirds never reach a half


def test_a_multiplier_that_is_no_simple_fraction_is_none():
    assert ties._simplest(np.pi / 1e3) is None


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("ratio, holds", [(200.0, True), (300.0, False)])
def test_a_sum_that_some_kernels_would_wrap_is_refused(kind, ratio, holds):
    builder = Builder()
    first, second = (builder.activation(name, LINE, grid) for name, grid in (("a", Grid(1.0)), ("b", Grid(ratio))))
    program = builder.program("sum", (first, second), (builder.emit(kind, (first, second), "sum", LINE, Grid(1.0)),))
    if holds:
        assert read(write(program)).operators[0].kind == kind
    else:
        with pytest.raises(ValueError, match=r"less than 32768 steps.*wrap"):
            write(program)
