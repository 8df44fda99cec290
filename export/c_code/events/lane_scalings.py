"""Scales of neurons computed several channels at once, as lanes.h reads them, each compared with the file's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...program.grid import INT8_MAX, INT8_MIN
from ..arithmetic.rescaling import reference, stepping_values
from .packing import BLOCK, SUM_MAX, SUM_MIN, WORD, Accumulators, filled_up, is_exact

LARGEST_LANE = 2**15 - 2**9  # and what a membrane may have beside a current
SUM_BITS, SCALED_BITS, DECAY_BITS = 16, 13, 15  # as in lanes.h
HALF_BITS, FACTOR_BITS = 8, 15  # behind the point of results and of factors in 16 bits
FOURS = np.array([[0, 4, 8, 12], [2, 6, 10, 14], [1, 5, 9, 13], [3, 7, 11, 15]])  # channels of a vector
EVEN_ODD = np.arange(BLOCK).reshape(-1, 2).T
WORDS_OF_BLOCK, HEADER_WORDS = 2 * BLOCK, 4


@dataclass(frozen=True)
class LaneScaling:
    """round(scale * sum) = ((multiplier * (sum - centre) >> 16) + offset) >> 13, by channel."""

    centre: np.ndarray
    multiplier: np.ndarray
    offset: np.ndarray

    def pairs(self, lowest: int) -> np.ndarray:
        """int32 `(channels of whole blocks, 2)`, for results less `lowest`."""
        offset = filled_up(self.offset) - lowest * 2**SCALED_BITS
        return np.stack([filled_up(self.multiplier), offset], axis=1).astype(np.int32)

    def vectors(self) -> np.ndarray:
        """int32 `(blocks, 32)`: negative multipliers and offsets of every fourth channel."""
        both = np.stack([-filled_up(self.multiplier), filled_up(self.offset)], axis=1).reshape(-1, BLOCK, 2)
        return np.moveaxis(both[:, FOURS], -1, -2).astype(np.int32).reshape(-1, WORDS_OF_BLOCK)

    def apply(self, sums: np.ndarray) -> np.ndarray:
        return (((sums - self.centre) * self.multiplier >> SUM_BITS) + self.offset) >> SCALED_BITS


def lane_scaling(sums: Accumulators, scales: Sequence[np.ndarray]) -> LaneScaling | None:
    """As `scaling`, for sums and results in lanes of 16 bits; None if they do not fit."""
    reach = (np.maximum(np.abs(sums.low), np.abs(sums.high)) * sums.scale).max()
    multiplier = np.rint(sums.scale * 2.0 ** (SUM_BITS + SCALED_BITS)).astype(np.int64)
    if not sums.fits or reach > LARGEST_LANE or multiplier.max() >= WORD // 2:
        return None
    offset = np.rint((sums.centre * sums.scale + 0.5) * 2**SCALED_BITS).astype(np.int64)
    found = LaneScaling(sums.centre, multiplier, offset)
    return found if is_exact(found, sums, scales) else None


@dataclass(frozen=True)
class HalfScaling:
    """round(scale * sum) clipped to int8, in 16 bits that saturate, by channel.

    moved = (sum - centre + centre) << shift;   round((moved + (moved * factor >> 15)) / 2^8)
    """

    centre: np.ndarray
    shift: np.ndarray
    factor: np.ndarray

    def vectors(self) -> np.ndarray:
        """int32 `(blocks, 32)`: 1 and three zeros, then centres, shifts and factors of even channels and of odd."""
        values = np.stack([filled_up(each) for each in (self.centre, self.shift, self.factor)])
        halves = np.moveaxis(values.reshape(3, -1, BLOCK)[:, :, EVEN_ODD], 0, 2).reshape(-1, 3 * BLOCK)
        words = np.zeros((len(halves), WORDS_OF_BLOCK), np.int32)
        words[:, 0] = 1
        words[:, HEADER_WORDS : HEADER_WORDS + 3 * BLOCK // 2] = halves.astype(np.int16).view(np.int32)
        return words

    def apply(self, sums: np.ndarray) -> np.ndarray:
        moved = in_half(in_half(sums) << self.shift)
        result = in_half(moved + (moved * self.factor >> FACTOR_BITS))
        return np.clip((result + 2 ** (HALF_BITS - 1)) >> HALF_BITS, INT8_MIN, INT8_MAX)

    def exact(self, sums: Accumulators, scales: Sequence[np.ndarray]) -> np.ndarray:
        """The channels for which it equals each of some scales wherever one of them steps, bool `(channels,)`."""
        found = in_half(self.centre) == self.centre
        for wanted in scales:
            values = stepping_values(wanted, sums.low, sums.high, sums.unit)
            expected = np.clip(reference(values, wanted), INT8_MIN, INT8_MAX)
            found = found & np.all(self.apply(values) == expected, axis=0)
        return found


def in_half(values: np.ndarray) -> np.ndarray:
    """As 16 bits hold them that saturate."""
    return np.clip(values, SUM_MIN, SUM_MAX)


def half_scaling(sums: Accumulators) -> HalfScaling:
    """The scaling nearest to that of the sums; of a scale below 1 / 256 the factor is negative."""
    result = sums.scale * 2.0**HALF_BITS
    shift = np.clip(np.floor(np.log2(result)), 0, FACTOR_BITS).astype(np.int64)
    factor = np.rint((result / 2.0**shift - 1) * 2**FACTOR_BITS).astype(np.int64)
    return HalfScaling(sums.centre, shift, in_half(factor))


def vector_scales(sums: Accumulators, scales: Sequence[np.ndarray], lanes: LaneScaling) -> np.ndarray:
    """What Helium reads, int32 `(blocks, 32)`: of blocks whose channels 16 bits scale exactly, that; else `lanes`."""
    halves = half_scaling(sums)
    exact = filled_up(halves.exact(sums, scales), True).reshape(-1, BLOCK).all(axis=1)
    return np.where(exact[:, None], halves.vectors(), lanes.vectors())


def lane_decay(decay: Fraction, lowest: int, carried: np.ndarray) -> int | None:
    """The factor with which `two_carried` of lanes.h gives what quiet membranes leave; None if there is none.

    carried: what they leave, from `lowest` on.
    """
    factor = min(round(decay * 2**DECAY_BITS), 2**DECAY_BITS - 1)
    membranes = np.arange(lowest, lowest + len(carried))
    rounded = (membranes * factor + 2 ** (DECAY_BITS - 1)) >> DECAY_BITS
    return factor if np.array_equal(rounded, carried) else None
