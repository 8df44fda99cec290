import numpy as np
import pytest

from keras_ternary_spike.export.firing import LARGEST_QUIET, firing_multiplier, largest_quiet, quantize_firing_weights
from keras_ternary_spike.export.grid import Grid

SPIKE = Grid(1.0, low=-1, high=1)


def rounded_twice(accumulator, multiplier):
    """The reference kernels: a rounding doubling high multiply, then a rounding shift, half away from zero."""
    fraction, exponent = np.frexp(multiplier)
    mantissa, shift = int(np.rint(fraction * 2.0**31)), -int(exponent)
    product = accumulator * mantissa
    total = product + np.where(product >= 0, 2**30, 1 - 2**30)
    high = np.sign(total) * (np.abs(total) >> 31)
    remainder = high & (2**shift - 1)
    threshold = (2**shift - 1 >> 1) + (high < 0)
    return (high >> shift) + (remainder > threshold)


def test_accumulators_fire_beyond_quiet_however_they_are_rounded():
    for quiet in range(LARGEST_QUIET + 1):
        if multiplier := firing_multiplier(quiet):
            accumulator = np.array([0, 1, quiet - 1, quiet, quiet + 1, quiet + 2, 3 * quiet + 5], np.int64)
            accumulator = np.concatenate([accumulator, -accumulator])
            fires = np.sign(accumulator) * (np.abs(accumulator) > quiet)
            for error in (0, 2**-21, -(2**-21)):
                scaled = multiplier * (1 + error)
                np.testing.assert_array_equal(np.clip(rounded_twice(accumulator, scaled), -1, 1), fires)
                np.testing.assert_array_equal(np.clip(np.rint(accumulator * np.float32(scaled)), -1, 1), fires)


def test_most_thresholds_have_a_multiplier_and_the_next_lower_is_near():
    for limit in range(2, LARGEST_QUIET):
        assert largest_quiet(limit) >= 0.9 * limit - 2


def test_quiet_one_has_no_multiplier_since_halves_are_rounded_up_twice():
    assert firing_multiplier(1) is None


def test_kernels_use_the_whole_int8_range_per_channel(rng):
    kernel = rng.normal(0, 0.2, (3, 3, 8, 5)) * np.array([1.0, 0.3, 0.1, 2.0, 0.7])
    weights = quantize_firing_weights("conv", kernel, np.zeros(5), source=SPIKE, per_channel=True)
    largest = np.abs(weights.kernel.reshape(-1, 5).astype(int)).max(axis=0)
    assert np.all(largest >= 110)


def test_accumulator_fires_where_the_float_current_reaches_one_half(rng):
    kernel, bias = rng.normal(0, 0.2, (40, 9)), rng.normal(0, 0.2, 9)
    weights = quantize_firing_weights("dense", kernel, bias, source=SPIKE, per_channel=True)
    spikes = rng.integers(-1, 2, (2000, 40))
    fired = np.clip(np.rint((spikes @ weights.kernel.astype(int) + weights.bias) * weights.scale), -1, 1)
    current = spikes @ kernel + bias
    steps = 127 / np.abs(kernel).max(axis=0)
    uncertain = np.abs(np.abs(current) - 0.5) < 21 / (0.85 * steps)  # 40 roundings of half a step, and the bias's
    expected = np.sign(current) * (np.abs(current) >= 0.5)
    assert np.all((fired == expected) | uncertain)
    assert np.mean(fired == expected) > 0.98


def test_kernel_beyond_int8_is_named_with_its_excess():
    with pytest.raises(ValueError, match=r"'wide'.*kernel integer would be 381, beyond int8's 127 by a factor of 3"):
        quantize_firing_weights("wide", np.array([[381.0]]), np.zeros(1), source=SPIKE, per_channel=True)
