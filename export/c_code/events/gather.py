"""What fills the sums of a layer: a kernel, what it reads, and what is known of the sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .packing import Accumulators

HALF_BYTES = 2
SPREADING = ("spread_spikes", "spread_levels")
DEPTHWISE = (*SPREADING, "gather_depthwise", "gather_levels_depthwise")
WIDE = ("gather_wide", "gather_levels_wide", "gather_levels_depthwise")
HELIUM = "defined(__ARM_FEATURE_MVE)"
DSP = "defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)"
LANES, VECTORS, SIGNED = (f"defined({one})" for one in ("LANES_OF_SIXTEEN", "VECTORS_OF_SIXTEEN", "SIGNED_SUMS"))


@dataclass(frozen=True)
class Gather:
    """What fills the sums.

    kernel: its file and function.
    sources: for every sum of a pixel the tensors that go into it.
    form: what it reads: "values", spikes as "words", or "levels", which are values and marks.
    window: members of window_t. transposed: as in layer_t.
    list_size: 16-bit entries of scratch. list_limit: events that a list may hold, if not as many; of scatter_layer,
        blocks of channels at a time.
    sums: what is known of them.
    scales: of every timestep, output steps for one of a sum, `(channels,)`.
    members: names of constants, by member of layer_t.
    """

    kernel: str
    sources: tuple[tuple[int, ...], ...]
    form: str
    window: tuple[int, ...]
    list_size: int
    sums: Accumulators
    scales: tuple[np.ndarray, ...]
    transposed: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    list_limit: int | None = None

    @property
    def channels(self) -> int:
        return self.window[5]

    @property
    def scattered(self) -> bool:
        """Whether scatter_layer calls it."""
        return self.kernel in SPREADING
