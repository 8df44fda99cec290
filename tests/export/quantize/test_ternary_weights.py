"""Integers of ternary kernels: one for all channels, the spikes' currents right to their rounding."""

from fractions import Fraction

import numpy as np
import pytest

from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.quantize.weights import is_ternary, quantize_weights, shared_multipliers

SPIKES, CURRENTS = Grid(1.0, low=-1, high=1), Grid(2.0**-8)  # 256 steps a unit, so that ratios are what is written


def quantized(magnitudes, bias, rng, *, per_channel=True):
    magnitudes = np.asarray(magnitudes) * CURRENTS.scale
    signs = rng.integers(-1, 2, (3, 3, 8, len(magnitudes)))
    weights = quantize_weights(
        "conv", signs * magnitudes, np.asarray(bias), source=SPIKES, target=CURRENTS, per_channel=per_channel
    )
    return signs, weights


def test_all_channels_share_the_integer_that_the_smallest_allows(rng):
    signs, weights = quantized([20, 5, 9.7], [0.0] * 3, rng)
    # 5 * 63 / 32 = 9.84: 9 is the largest integer with a multiplier of at least 32 / 63
    np.testing.assert_array_equal(weights.kernel, 9 * signs)


def test_weights_and_biases_are_right_to_the_stated_rounding(rng):
    magnitudes, bias = np.array([40.0, 13.2, 8.5]), np.array([0.3, -0.11, 0.02])
    signs, weights = quantized(magnitudes, bias, rng)
    np.testing.assert_array_equal(weights.kernel, 16 * signs)
    steps = weights.scale / CURRENTS.scale
    np.testing.assert_allclose(16 * steps, magnitudes, rtol=0.5 / 32)
    assert np.all(np.abs(weights.bias * steps - bias / CURRENTS.scale) <= 0.5 * steps + 1e-5)
    numerators = 63 * steps
    np.testing.assert_allclose(numerators, np.rint(numerators), rtol=1e-6)
    assert np.all(numerators >= 32)


def test_channels_too_small_for_the_others_have_their_own_integer(rng):
    signs, weights = quantized([30, 1.2, 30], [0.0] * 3, rng)
    np.testing.assert_array_equal(weights.kernel, np.array([4, 2, 4]) * signs)


def test_a_channel_below_half_a_step_is_rounded_as_ever(rng):
    signs, weights = quantized([30, 0.1, 30], [0.0] * 3, rng)
    assert set(np.unique(weights.kernel[..., 0])) == {-16, 0, 16}
    np.testing.assert_allclose(
        weights.kernel[..., 1] * weights.scale[1], signs[..., 1] * 0.1 * CURRENTS.scale, rtol=0.02
    )


@pytest.mark.parametrize("per_channel", [True, False])
def test_other_kernels_are_rounded_as_ever(rng, per_channel):
    kernel = rng.standard_normal((3, 3, 8, 4)) * 20 * CURRENTS.scale
    weights = quantize_weights("conv", kernel, np.zeros(4), source=SPIKES, target=CURRENTS, per_channel=per_channel)
    assert np.abs(weights.kernel).max() > 60
    assert np.all(np.abs(weights.kernel * weights.scale - kernel) <= weights.scale + 1e-9)  # even integers


def test_ternary_is_told_from_other_kernels():
    kernel = np.array([[2.0, 0.0], [-2.0, 0.5], [0.0, -0.5]])
    assert is_ternary(kernel)
    assert is_ternary(kernel * np.array([1 + 1e-9, 1]))
    assert not is_ternary(kernel + np.array([0.01, 0]))
    assert not is_ternary(np.zeros((3, 2)))


def test_multipliers_are_written_out():
    assert shared_multipliers(np.array([8.0, 16.0, 0.25]), 63, 128) == [Fraction(34, 63), Fraction(67, 63), None]
    assert shared_multipliers(np.array([1000.0]), 63, 128) == [Fraction(3938, 63)]
    assert shared_multipliers(np.array([4096.0]), 63, 128) == [None]
