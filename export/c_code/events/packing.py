"""Weights, sums and scales as the event-driven kernels read them, and the bounds that make their sums exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...program.grid import INT8_MIN
from ..arithmetic.rescaling import reference, saturated, stepping_values

BLOCK = 16  # output channels side by side in eight words of sums, and channels in a word of spikes
ZERO = 2**15  # what a sum of 0 is stored as where sums are not signed
WEIGHT_ZERO = 128
SUM_MIN, SUM_MAX = -ZERO, ZERO - 1
CURRENT_MIN, CURRENT_MAX = -(2**13), 2**13 - 1  # as in current_of.h
CURRENT_BITS = 23  # of sums that current_of.h multiplies by 256
WORD = 2**32
OF_PAIRS, IN_ORDER = (0, 2, 1, 3), (0, 1, 2, 3)  # of the channels whose weights share a word


@dataclass(frozen=True)
class Accumulators:
    """What is known of the sums of a layer before they are scaled, by output channel, int64 `(channels,)`.

    low, high: the least and the largest. unit: all are multiples of it. scale: float64, output steps for one.
    centred: whether they are stored without their middle; currents are stored as they are.
    """

    low: np.ndarray
    high: np.ndarray
    unit: np.ndarray
    scale: np.ndarray
    centred: bool = True

    @property
    def fits(self) -> bool:
        """Whether 16 bits hold every sum less the centre."""
        return bool((self.low - self.centre).min() >= SUM_MIN and (self.high - self.centre).max() <= SUM_MAX)

    @property
    def centre(self) -> np.ndarray:
        """What sums are stored without: the middle of them, near the bias."""
        return self.centred * ((self.low + self.high + 1) // 2 // self.unit * self.unit)


def blocks(channels: int) -> int:
    return -(-channels // BLOCK)


def filled_up(values: np.ndarray, value: int = 0) -> np.ndarray:
    """Along the first axis to whole blocks."""
    missing = blocks(len(values)) * BLOCK - len(values)
    return np.concatenate([values, np.full((missing, *values.shape[1:]), value, values.dtype)])


def lanes(values: np.ndarray) -> np.ndarray:
    """Numbers of all channels, two a word: low + 65536 * high modulo 2^32. uint32."""
    pairs = values.astype(np.int64).reshape(-1, 2)
    return ((pairs[:, 0] + 2**16 * pairs[:, 1]) % WORD).astype(np.uint32)


def signed_lanes(values: np.ndarray) -> np.ndarray:
    """Numbers of all channels, int16, two a word. uint32."""
    return lanes(values.astype(np.int64) % 2**16)


def spike_weights(kernel: np.ndarray, zero: int = WEIGHT_ZERO, *, order: Sequence[int] = OF_PAIRS) -> np.ndarray:
    """A kernel `(channels, rows)` as uint32 `(blocks, rows, 4)`: bytes w + zero in the order of sums.h or another."""
    stored = (filled_up(kernel.astype(np.int64)) + zero) % 2**8
    fours = stored.reshape(-1, BLOCK // 4, 4, kernel.shape[1])[:, :, list(order)]
    words = np.einsum("bwir,i->brw", fours, 256 ** np.arange(4))
    return words.astype(np.uint32)


def scattered_weights(kernel: np.ndarray) -> np.ndarray:
    """A depthwise kernel `(channels, taps_y, taps_x)` as `(blocks, taps_y, taps_x, 16)`, rows in reverse, see
    scatter_layer.c."""
    flipped = filled_up(kernel)[:, :, ::-1].reshape(-1, BLOCK, *kernel.shape[1:])
    return np.moveaxis(flipped, 1, -1).astype(np.int8)


def nine_weights(kernel: np.ndarray) -> np.ndarray:
    """A depthwise kernel `(channels, 3, 3)` as uint32 `(channels, 3)`: a row in reverse, lowest byte first."""
    return (filled_up(kernel)[:, :, ::-1] % 256 @ 256 ** np.arange(3)).astype(np.uint32)


def value_weights(kernel: np.ndarray) -> np.ndarray:
    """A kernel `(channels, rows)` as int8 `(fours of channels, rows, 4)`."""
    return np.moveaxis(filled_up(kernel).reshape(-1, 4, kernel.shape[1]), 1, 2).astype(np.int8)


def value_pairs(kernel: np.ndarray) -> np.ndarray:
    """A kernel `(channels, rows)` as uint32 `(eights of channels, pairs of rows, 8)`: even + odd * 2^16."""
    rows = filled_up(kernel.astype(np.int64))
    pairs = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).reshape(len(rows), -1, 2)
    words = (pairs[..., 0] % 2**16 + 2**16 * pairs[..., 1]) % WORD
    return np.moveaxis(words.reshape(-1, 8, words.shape[1]), 1, 2).astype(np.uint32)


def vector_weights(kernel: np.ndarray) -> np.ndarray:
    """A kernel `(channels, rows)` as int8 `(fours of channels, sixteens of rows, 4, 16)`, both filled up with zeros."""
    rows = filled_up(filled_up(kernel).T).T.astype(np.int8)
    return np.moveaxis(rows.reshape(-1, 4, rows.shape[1] // BLOCK, BLOCK), 1, 2)


@dataclass(frozen=True)
class Scaling:
    """round(scale * sum) = ((sum - centre + ZERO) * multiplier + offset) >> shift, by channel, in 32 bits.

    Products may wrap: the offset takes them back into int32.
    """

    centre: np.ndarray
    multiplier: np.ndarray
    offset: np.ndarray
    shift: np.ndarray

    def rows(self, lowest: int = 0) -> np.ndarray:
        """int32 `(channels of whole blocks, 3)`, for results less `lowest`; those of channels that are none are 0."""
        offset = filled_up(self.offset - lowest * 2**self.shift)
        offset[len(self.offset) :] = -lowest
        three = np.stack([filled_up(self.multiplier), offset, filled_up(self.shift)], axis=1)
        return (three % WORD).astype(np.uint32).view(np.int32)

    def vectors(self) -> np.ndarray:
        """int32 `(blocks, 3, 16)` as vectors.h reads them, of signed sums."""
        offset = filled_up((self.offset + ZERO * self.multiplier) % WORD)
        three = np.stack([filled_up(self.multiplier), offset, filled_up(self.shift)])
        blocked = np.moveaxis(three.reshape(3, -1, BLOCK), 0, 1)[:, :, UNPACKED]
        return blocked.astype(np.uint32).view(np.int32)

    def apply(self, sums: np.ndarray) -> np.ndarray:
        return ((sums - self.centre + ZERO) * self.multiplier + self.offset) >> self.shift


def scaling(sums: Accumulators, scales: list[np.ndarray]) -> Scaling | None:
    """A scaling that equals each of some scales, almost the same, wherever one of them steps; None if there is none.

    Its results may be counted from any int8 on.
    """
    scale = sums.scale
    if not sums.fits:
        return None
    reach = np.maximum(np.abs(sums.low), np.abs(sums.high)) * scale
    shift = np.floor(np.log2((2**31 - 1) / (np.maximum(reach, scale) + 1 - INT8_MIN))).astype(np.int64)
    if shift.min() < 1:
        return None
    multiplier = np.rint(scale * 2.0**shift).astype(np.int64)
    centre = np.rint(sums.centre * scale * 2.0**shift).astype(np.int64)
    found = Scaling(sums.centre, multiplier, 2 ** (shift - 1) + centre - ZERO * multiplier, shift)
    return found if is_exact(found, sums, scales) else None


UNPACKED = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]  # channels, as in vectors.h


def is_exact(found: Scaling, sums: Accumulators, scales: list[np.ndarray]) -> bool:
    """Whether a scaling equals each of some scales wherever one of them steps."""
    tried = ((stepping_values(wanted, sums.low, sums.high, sums.unit), wanted) for wanted in scales)
    return all(np.array_equal(saturated(found.apply(values)), reference(values, wanted)) for values, wanted in tried)


def thresholds(sums: Accumulators, highest: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(the least sum that rounds beyond `highest`, the largest that rounds below -`highest`), less the centre.

    Where no sum does, one outside the range. None if 16 bits do not hold the distance of a sum from a threshold.
    """
    above = _first_beyond(sums, highest)
    below = -_first_beyond(Accumulators(-sums.high, -sums.low, sums.unit, sums.scale), highest)
    if (sums.high - sums.low).max() + 1 > ZERO - 1:
        return None
    return above - sums.centre, below - sums.centre


def _first_beyond(sums: Accumulators, highest: int) -> np.ndarray:
    near = np.floor((highest + 0.5) / sums.scale / sums.unit).astype(np.float64)
    near = np.clip(near, -(2.0**40), 2.0**40).astype(np.int64)
    candidates = (near + np.arange(-1, 3)[:, None]) * sums.unit
    fires = np.rint(candidates * sums.scale) > highest
    first = np.where(fires, candidates, 2**62).min(axis=0)
    return np.clip(first, sums.low, sums.high + 1)


def threshold_lanes(above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The thresholds as `fire` reads them with Helium."""
    return signed_lanes(filled_up(above, 1)), signed_lanes(filled_up(below, -1))


def threshold_words(above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `fire` adds to the sums, and what it takes them from."""
    return lanes(filled_up(-above, -1)), lanes(filled_up(below + 2 * ZERO, 2 * ZERO - 1))


def quiet_words(above: np.ndarray, below: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest quiet sum and how many more are quiet, as `fire` reads them with DSP.

    Where none is quiet, one that does not occur. least: sums, less the centre.
    """
    none = above - below < 2
    below = below - (none & (above <= least))
    more = above + (none & (above > least)) - below - 2
    return signed_lanes(filled_up(below + 1)), signed_lanes(filled_up(more))


def value_scaling(sums: Accumulators) -> tuple[np.ndarray, np.ndarray] | None:
    """(multiplier, shift) of every channel as `current_of` in gather_values.c reads them; None if it would not round
    every sum as the file does."""
    if max(np.abs(sums.low).max(), np.abs(sums.high).max()) >= 2**CURRENT_BITS or sums.scale.max() >= 2**6:
        return None
    shift = np.clip(37 - np.ceil(np.log2(sums.scale)).astype(np.int64) - 32, 1, 30)
    multiplier = np.rint(sums.scale * 2.0 ** (24 + shift)).astype(np.int64)
    values = stepping_values(sums.scale, sums.low, sums.high, sums.unit)
    made = (((256 * values * multiplier >> 32) >> (shift - 1)) + 1) >> 1
    exact = np.array_equal(saturated(made), reference(values, sums.scale)) and multiplier.max() < 2**31
    return (multiplier, shift) if exact else None


def rounding_multiplier(sums: Accumulators) -> np.ndarray | None:
    """Of every channel, for products by 2^32 that round, as gather_values.c has them with DSP; None if that does not
    round every sum as the file does."""
    multiplier = np.rint(sums.scale * 2.0**32).astype(np.int64)
    if max(np.abs(sums.low).max(), np.abs(sums.high).max()) >= 2**CURRENT_BITS or multiplier.max() >= 2**31:
        return None
    values = stepping_values(sums.scale, sums.low, sums.high, sums.unit)
    made = (values * multiplier + 2**31) >> 32
    return multiplier if np.array_equal(saturated(made), reference(values, sums.scale)) else None
