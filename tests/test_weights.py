import numpy as np
import pytest
from keras_ternary_spike.export.grid import Grid
from keras_ternary_spike.export.weights import ROUNDED_SHIFTS, choose_shift, quantize_weights

SPIKE, STEP = Grid(1.0, low=-1, high=1), Grid(1 / 256)


def rounded_twice(accumulator, shift):
    """The reference kernels: a rounding doubling high multiply by 2^30, then a rounding shift, half away from zero."""
    product = accumulator * 2**30
    nudge = np.where(product >= 0, 2**30, 1 - 2**30)
    high = (np.abs(product + nudge) >> 31) * np.sign(product + nudge)  # truncates towards zero, as C does
    exponent = shift - 1
    remainder = high & (2**exponent - 1)
    threshold = (2**exponent - 1 >> 1) + (high < 0)
    return (high >> exponent) + (remainder > threshold)


@pytest.mark.parametrize("shift", ROUNDED_SHIFTS)
def test_accumulators_that_are_2_modulo_4_round_alike_once_or_twice(shift):
    accumulator = np.arange(-(2**18) + 2, 2**18, 4, dtype=np.int64)
    once = np.rint(accumulator * 2.0**-shift).astype(np.int64)
    np.testing.assert_array_equal(rounded_twice(accumulator, shift), once)


def test_other_accumulators_do_not_round_alike():
    accumulator = np.arange(-64, 64, dtype=np.int64)
    assert np.any(rounded_twice(accumulator, 4) != np.rint(accumulator * 2.0**-4))


@pytest.mark.parametrize("magnitude, shift", [(127, 0), (127.6, -1), (15.5, 3), (15.9, 0), (7.75, 4), (0.0, 16)])
def test_shift_is_the_finest_that_holds_the_kernel(magnitude, shift):
    assert choose_shift(magnitude) == shift


def test_kernel_within_int8_keeps_multiplier_one(rng):
    kernel = rng.integers(-120, 121, (3, 3, 4, 5)) / 256
    kernel[0, 0, 0] = 120 / 256
    weights = quantize_weights("conv", kernel, np.zeros(5), source=SPIKE, target=STEP, per_channel=True)
    np.testing.assert_array_equal(weights.kernel, kernel * 256)
    np.testing.assert_array_equal(weights.scale, np.float32(1 / 256))


def test_rounded_channels_have_kernels_of_4k_and_biases_of_4k_plus_2(rng):
    kernel, bias = rng.normal(0, 0.01, (30, 7)), rng.normal(0, 1, 7)
    weights = quantize_weights("dense", kernel, bias, source=SPIKE, target=STEP, per_channel=True)
    assert np.all(weights.kernel % 4 == 0)
    assert np.all(weights.bias % 4 == 2)


def test_integers_stand_for_the_kernel_within_half_a_step(rng):
    kernel, bias = rng.normal(0, 0.05, (30, 7)), rng.normal(0, 0.1, 7)
    source = Grid(float(np.float32(1 / 255)), -128, 0, 255)
    weights = quantize_weights("dense", kernel, bias, source=source, target=STEP, per_channel=True)
    np.testing.assert_allclose(weights.kernel * weights.scale, kernel, atol=2.001 * weights.scale.max())
    error = np.abs(weights.bias * (weights.scale * source.scale) - bias)
    assert np.all(error <= 2.001 * weights.scale * source.scale)


def test_bias_that_saturates_anyway_is_cut_to_int32():
    weights = quantize_weights(
        "dense", np.ones((1, 1)) / 256, np.array([1e12]), source=SPIKE, target=STEP, per_channel=False
    )
    assert 127 < weights.bias[0] * float(weights.scale[0]) * 256 < 2**20


def test_kernel_beyond_int8_is_named_with_its_excess():
    kernel = np.array([[127 * 128 * 3.0 / 256]])
    with pytest.raises(ValueError, match=r"'wide'.*kernel integer would be 381, beyond int8's 127 by a factor of 3"):
        quantize_weights("wide", kernel, np.zeros(1), source=SPIKE, target=STEP, per_channel=True)


def test_accumulator_beyond_int32_is_refused():
    kernel = np.full((200_000, 1), 100 / 256)
    with pytest.raises(ValueError, match=r"'huge'.*beyond int32"):
        quantize_weights("huge", kernel, np.zeros(1), source=Grid(1.0), target=STEP, per_channel=True)
