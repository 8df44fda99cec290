"""Spikes of several timesteps in one number per neuron.

What a compiler would write timestep by timestep it then writes in two passes, each over all timesteps: the neurons'
recurrence, which leaves the numbers, and the spikes that these stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

EXACT_BITS = 24  # that float32 holds of an integer


def word_size(timesteps: int, highest: int) -> int:
    """How many timesteps a number holds, of spikes within [-highest, highest] or NaN, if all hold about as many."""
    words = -(-timesteps // (EXACT_BITS // _bits(highest)))
    return -(-timesteps // words)


def through_packed_words(spikes: Sequence[Any], highest: int, barrier: Callable[[Any], Any]) -> Any:
    """Spikes `(batch, timesteps, *features)` of a list of `(batch, *features)`: packed, several timesteps in a number,
    and unpacked again.

    spikes: integers within [-highest, highest], or NaN, in float32 or float64.
    barrier: keeps a compiler from computing a word anew for each of its timesteps.
    """
    size = word_size(len(spikes), highest)
    parts = [spikes[start : start + size] for start in range(0, len(spikes), size)]
    words = ops.stack([barrier(_packed(part, highest)) for part in parts], axis=1)
    return _unpacked(words, size, highest)[:, : len(spikes)]


def _bits(highest: int) -> int:
    """Of one timestep: codes 0 ... 2 * highest for spikes, one more for NaN."""
    return (2 * highest + 1).bit_length()


def _packed(spikes: Sequence[Any], highest: int) -> Any:
    """The sum of code << bits * timestep, in the spikes' dtype."""
    codes = (ops.where(ops.isnan(spike), 2.0 * highest + 1.0, spike + float(highest)) for spike in spikes)
    return sum(code * float(1 << _bits(highest) * timestep) for timestep, code in enumerate(codes))


def _unpacked(words: Any, size: int, highest: int) -> Any:
    """`(batch, words, *features)` to `(batch, words * size, *features)`."""
    bits, features = _bits(highest), words.shape[2:]
    shifts = bits * np.arange(size, dtype="int32").reshape(size, *[1] * len(features))
    shifted = ops.right_shift(ops.expand_dims(ops.cast(words, "int32"), 2), shifts)
    code = ops.reshape(ops.bitwise_and(shifted, (1 << bits) - 1), (-1, words.shape[1] * size, *features))
    spike = ops.cast(code, words.dtype) - float(highest)
    return ops.where(code > 2 * highest, ops.full_like(spike, float("nan")), spike)
