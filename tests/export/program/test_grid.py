from fractions import Fraction

import numpy as np
import pytest

from keras_ternary_spike.decay import snap_decay
from keras_ternary_spike.export.program.grid import INT8_MAX, INT8_MIN, input_grid, shifted_input_grid
from keras_ternary_spike.export.quantize.integer_neuron import Neuron, most_quiet_steps


def neuron(decay):
    fraction = snap_decay(decay)
    return Neuron("lif", fraction, most_quiet_steps(fraction))


DECAYS = np.linspace(0.0, 1.0, 101)


def test_quarter_becomes_16_over_63():
    assert snap_decay(0.25) == Fraction(16, 63)


def test_whole_decays_stay_whole():
    assert (snap_decay(0.0), snap_decay(1.0)) == (0, 1)


@pytest.mark.parametrize("decay", DECAYS)
def test_decay_keeps_an_odd_denominator_and_moves_by_at_most_half_a_63rd(decay):
    fraction = snap_decay(decay)
    assert fraction.denominator % 2 == 1
    assert abs(float(fraction) - decay) <= 0.5 / 63


@pytest.mark.parametrize("decay", DECAYS)
def test_strongest_current_fires_against_the_most_contrary_state(decay):
    grid = neuron(decay)
    assert INT8_MAX - grid.decay * grid.quiet_steps >= grid.quiet_steps + Fraction(1, 2)


@pytest.mark.parametrize("decay", DECAYS)
def test_one_more_step_of_resolution_would_break_the_proof(decay):
    grid = neuron(decay)
    finer = grid.quiet_steps + 1
    assert INT8_MAX - grid.decay * finer < finer + Fraction(1, 2)


@pytest.mark.parametrize("decay", DECAYS)
def test_no_pair_of_state_and_current_lies_on_the_threshold(decay):
    grid = neuron(decay)
    n, d = grid.decay.numerator, grid.decay.denominator
    states = np.arange(-grid.quiet_steps, grid.quiet_steps + 1)[:, None]
    currents = np.arange(INT8_MIN, INT8_MAX + 1)[None]
    doubled = 2 * np.abs(n * states + d * currents)  # 2d times |membrane|
    assert not np.any(doubled == d * (2 * grid.quiet_steps + 1))
    assert not np.any((2 * (n * states + d * currents)) % (2 * d) == d)  # nor halfway between two membranes


def test_single_timestep_has_no_state_to_leave_room_for():
    assert most_quiet_steps(Fraction(0)) == 126


@pytest.mark.parametrize("steps_per_unit", [0.1, 0.5, 1.0, 2.0])
def test_shortcut_leaves_room_for_the_current_to_win(steps_per_unit):
    decay, reserve = snap_decay(0.25), lambda quiet_steps: round(steps_per_unit * (2 * quiet_steps + 1))
    quiet_steps = most_quiet_steps(decay, reserve)
    assert 127 - reserve(quiet_steps) - decay * quiet_steps >= quiet_steps + Fraction(1, 2)
    finer = quiet_steps + 1
    assert 127 - reserve(finer) - decay * finer < finer + Fraction(1, 2)


def test_shortcut_of_amplitude_one_costs_more_than_a_bit():
    assert 2 * most_quiet_steps(snap_decay(0.25), lambda quiet_steps: 2 * quiet_steps + 1) + 1 == 77


def test_no_grid_holds_a_shortcut_of_a_hundred_thresholds():
    assert most_quiet_steps(Fraction(0), lambda quiet_steps: 50 * (2 * quiet_steps + 1)) is None


@pytest.mark.parametrize("low, high", [(0, 1), (-1, 1), (0, 255), (-0.3, 2.1), (5, 9), (-9, -5), (-1e-3, 7)])
def test_input_grid_holds_the_range_and_zero(low, high):
    grid = input_grid(low, high)
    assert INT8_MIN <= grid.zero_point <= INT8_MAX
    # An end closer to 0 than half a step may be rounded to 0.
    assert grid.scale * (grid.low - 0.5) <= low and high <= grid.scale * (grid.high + 1e-4)
    assert grid.scale <= 1.01 * (max(high, 0) - min(low, 0)) / 254


@pytest.mark.parametrize("low, high, offset", [(0, 255, -127.5), (0, 1, -0.5), (0, 1, 0.25), (-1, 1, 1), (0, 255, -3)])
def test_shifted_grids_give_the_same_integer_to_x_and_x_plus_offset(low, high, offset):
    plain, shifted = shifted_input_grid(low, high, offset)
    integers = np.arange(INT8_MIN, INT8_MAX + 1)
    x = plain.scale * (integers - plain.zero_point)
    moved = shifted.scale * (integers - shifted.zero_point)
    np.testing.assert_allclose(moved, x + offset, atol=1e-5 * abs(offset))
    assert INT8_MIN <= plain.zero_point <= INT8_MAX and INT8_MIN <= shifted.zero_point <= INT8_MAX
    assert plain.scale * (plain.low - 1e-4) <= low and high <= plain.scale * (plain.high + 1e-4)
