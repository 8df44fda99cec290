"""Synthetic inputs: they set the step of the logits, so that no calibration data is needed."""

from __future__ import annotations

import numpy as np

from .grid import INT8_MAX, INT8_MIN


def probe_inputs(shape: tuple[int, ...], samples: int, seed: int = 0) -> np.ndarray:
    """int8 noise of many spatial frequencies and contrasts, `(samples, *shape)`.

    The last axis holds channels; the two before it, if any, are smoothed over blocks of 1, 2, 4, ... pixels.
    """
    rng = np.random.default_rng(seed)
    return np.stack([_probe(rng, shape, 2 ** (sample % 4)) for sample in range(samples)])


def _probe(rng: np.random.Generator, shape: tuple[int, ...], block: int) -> np.ndarray:
    field = rng.random(shape)
    if len(shape) >= 3:
        coarse = rng.random((*shape[:-3], -(-shape[-3] // block), -(-shape[-2] // block), shape[-1]))
        field = coarse.repeat(block, axis=-3).repeat(block, axis=-2)[..., : shape[-3], : shape[-2], :]
    exponent = rng.choice([0.25, 1.0, 4.0])  # mostly bright, balanced, mostly dark
    return np.rint(INT8_MIN + (INT8_MAX - INT8_MIN) * field**exponent).astype(np.int8)
