from fractions import Fraction

import numpy as np
import pytest

from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.quantize.weights import HALF_STEPS, choose_multiplier, granularity, quantize_weights

SPIKE, STEP = Grid(1.0, low=-1, high=1), Grid(1 / 256)


def rounded_twice(accumulator, multiplier, halves_up=False):
    """A rounding doubling high multiply, then a rounding shift: half away from zero (reference) or up (optimized)."""
    fraction, exponent = np.frexp(multiplier)
    mantissa, shift = int(np.rint(fraction * 2.0**31)), -int(exponent)
    product = accumulator * 2 ** max(-shift, 0) * mantissa
    total = product + np.where(product >= 0, 2**30, 1 - 2**30)
    high = np.sign(total) * (np.abs(total) >> 31)  # truncates towards zero, as C does
    shift = max(shift, 0)
    if halves_up:
        return (2 * high + 2**shift) >> (shift + 1)
    remainder = high & (2**shift - 1)
    threshold = (2**shift - 1 >> 1) + (high < 0)
    return (high >> shift) + (remainder > threshold)


def assert_rounds_alike(multiplier, step):
    """All accumulators whose output is within int8, with the scales' float32 errors, rounded in four ways."""
    accumulator = np.arange(-140 / multiplier // step * step, 140 / multiplier, step).astype(np.int64)
    single = np.rint(accumulator * np.float32(multiplier)).astype(np.int64)
    for error in (0, 2**-22, -(2**-22)):
        for halves_up in (False, True):
            np.testing.assert_array_equal(rounded_twice(accumulator, multiplier * (1 + error), halves_up), single)
        np.testing.assert_array_equal(np.floor(accumulator * multiplier * (1 + error) + 0.5), single)


def test_multiples_of_a_63rd_round_alike_once_or_twice():
    for numerator in (*range(32, 200), 127 * 63, 128 * 63):
        assert_rounds_alike(numerator / 63, 1)


def test_halves_of_odd_fractions_round_alike_for_even_accumulators():
    for q in (*HALF_STEPS[:120], *HALF_STEPS[120::40]):
        assert_rounds_alike(1 / (2 * q), 2)


def test_powers_of_two_would_not_round_alike():
    with pytest.raises(AssertionError):
        assert_rounds_alike(2.0**-4, 2)


def test_odd_accumulators_would_not_round_alike():
    with pytest.raises(AssertionError):
        assert_rounds_alike(1 / 10, 1)


@pytest.mark.parametrize(
    "magnitude, multiplier",
    [(127, "1"), (127.6, "64/63"), (64, "32/63"), (21, "1/6"), (21.5, "32/63"), (12.6, "1/10"), (254, "2")],
)
def test_multiplier_is_the_finest_that_holds_the_kernel(magnitude, multiplier):
    assert choose_multiplier(magnitude) == Fraction(multiplier)


def test_no_finer_multiplier_would_hold_the_kernel():
    multipliers = [*(Fraction(1, 2 * int(q)) for q in HALF_STEPS), *(Fraction(n, 63) for n in range(32, 128 * 63 + 1))]
    steps = np.array([float(m) * granularity(m) for m in multipliers])
    limits = np.array([127 if granularity(m) == 1 else 63 for m in multipliers])
    for magnitude in np.geomspace(0.04, 120 * 127, 300):
        chosen = multipliers.index(choose_multiplier(magnitude))
        holding = np.rint(magnitude / steps) <= limits
        assert holding[chosen] and steps[chosen] == steps[holding].min()


def test_channels_have_multipliers_of_their_own(rng):
    kernel = rng.normal(0, 0.1, (3, 3, 4, 5)) * np.array([1.0, 0.1, 0.01, 2.0, 0.5])
    weights = quantize_weights("conv", kernel, np.zeros(5), source=SPIKE, target=STEP, per_channel=True)
    largest = np.abs(weights.kernel.reshape(-1, 5).astype(int)).max(axis=0)
    assert np.all(largest >= 40)  # a third of the range at worst: where 1/6 is too fine and 32/63 must do
    assert len(np.unique(weights.scale)) == 4


def test_small_channels_have_even_kernels_and_biases(rng):
    kernel, bias = rng.normal(0, 0.01, (30, 7)), rng.normal(0, 1, 7)
    weights = quantize_weights("dense", kernel, bias, source=SPIKE, target=STEP, per_channel=True)
    assert np.all(weights.kernel % 2 == 0)
    assert np.all(weights.bias % 2 == 0)


def test_integers_stand_for_the_kernel_within_half_a_step(rng):
    kernel, bias = rng.normal(0, 0.05, (30, 7)), rng.normal(0, 0.1, 7)
    source = Grid(float(np.float32(1 / 255)), -128, 0, 255)
    weights = quantize_weights("dense", kernel, bias, source=source, target=STEP, per_channel=True)
    np.testing.assert_allclose(weights.kernel * weights.scale, kernel, atol=1.001 * weights.scale.max())
    error = np.abs(weights.bias * (weights.scale * source.scale) - bias)
    assert np.all(error <= 1.001 * weights.scale * source.scale)


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
    kernel[0] /= 2  # a ternary kernel would get smaller integers
    with pytest.raises(ValueError, match=r"'huge'.*beyond int32"):
        quantize_weights("huge", kernel, np.zeros(1), source=Grid(1.0), target=STEP, per_channel=True)
