"""Spikes of several timesteps in one number: all of them come back, whatever their levels."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import TernaryLIF
from keras_ternary_spike.backend.gradient import compiled
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.packing import EXACT_BITS, through_packed_words, word_size
from keras_ternary_spike.neuron.sequence import lif_sequence


@pytest.mark.parametrize("highest, largest", [(1, 12), (2, 8), (3, 8), (4, 6), (31, 4), (32, 3), (127, 3)])
def test_a_word_holds_as_many_timesteps_as_float32_has_exact_bits_for(highest, largest):
    codes = 2 * highest + 2  # of each spike, and of NaN
    assert codes**largest <= 2**EXACT_BITS
    assert word_size(largest, highest) == largest
    assert word_size(largest + 1, highest) == -(-(largest + 1) // 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("highest", [1, 3, 127])
@pytest.mark.parametrize("timesteps", [1, 5, 12, 13, 32])
def test_words_give_back_every_spike(timesteps, highest, dtype, rng):
    spikes = rng.integers(-highest, highest + 1, (4, timesteps, 3, 2)).astype(dtype)
    spikes[rng.random(spikes.shape) < 0.1] = np.nan
    spikes[0], spikes[1] = highest, -highest  # the largest and the smallest words
    passed = []
    result = through_packed_words(list(np.moveaxis(spikes, 1, 0)), highest, lambda word: passed.append(word) or word)
    assert len(passed) == -(-timesteps // word_size(timesteps, highest))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, spikes)


@pytest.mark.parametrize("levels, timesteps", [(1, 32), (40, 9)])
def test_a_compiled_sequence_of_three_words_equals_the_plain_one(levels, timesteps, rng):
    assert -(-timesteps // word_size(timesteps, levels)) == 3
    current = (0.4 * levels * rng.standard_normal((16, timesteps, 3))).astype("float32")
    dynamics = Dynamics(levels=levels)
    plain, compiled = (lif_sequence(current, dynamics=dynamics, fuse=fuse)[0] for fuse in (False, True))
    assert len(np.unique(plain)) > levels
    np.testing.assert_array_equal(compiled, plain)


def test_layers_of_equal_options_share_what_is_compiled(rng):
    def train(layer):
        current = tf.constant(rng.random((2, 3, 7)), "float32")
        with tf.GradientTape() as tape:
            tape.watch(current)
            outputs = layer(current, training=True)
        tape.gradient(outputs, current)

    compiled.cache_clear()
    for layer in (TernaryLIF(), TernaryLIF(name="another")):
        train(layer)
    assert (compiled.cache_info().misses, compiled.cache_info().currsize) == (1, 1)
    for options in ({"surrogate": "triangular"}, {"reset": "subtract"}, {"decay": 0.5}, {"threshold": 1.0}):
        train(TernaryLIF(**options))
    assert compiled.cache_info().currsize == 5
