"""Firing as requantization, in one operator: the multipliers that put the threshold safely between two integers.

An operator whose output has scale 1 and is clipped to [-1, 1] fires where |accumulator * multiplier| >= 1/2. Two
roundings (see `weights`) and one agree that accumulators up to `quiet` stay silent and all larger ones fire if

    (quiet + 1) * multiplier > 1/2   and   quiet * multiplier < 1/2 - 2**-(p + 1),   2**p * multiplier in [1/2, 1)

Any integers may be accumulated: no condition on kernels and biases.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from .grid import INT8_MAX, Grid
from .weights import Weights, check_accumulator

LARGEST_QUIET = 4095
# Relative distance of the multiplier from either end of its window; float32 scales move it by 3e-7.
SAFE_MARGIN = 1e-5
ANY_ABOVE_HALF = 0.75  # for quiet = 0: only 0 stays silent


@cache
def firing_multiplier(quiet: int) -> float | None:
    """The multiplier in the middle of its window; None where the window is too narrow.

    quiet: the largest |accumulator| that does not fire, >= 0.
    """
    if quiet == 0:
        return ANY_ABOVE_HALF
    low = 0.5 / (quiet + 1)
    first_rounding = 2.0 ** -math.ceil(math.log2(quiet + 1)) / 2
    high = (0.5 - first_rounding) / quiet
    return (low + high) / 2 if high - low > 2 * SAFE_MARGIN * low else None


def largest_quiet(limit: float) -> int:
    """The largest `quiet` up to `limit` that has a multiplier."""
    quiet = int(min(limit, LARGEST_QUIET))
    while firing_multiplier(quiet) is None:
        quiet -= 1
    return quiet


def quantize_firing_weights(
    layer: str, kernel: np.ndarray, bias: np.ndarray, *, source: Grid, per_channel: bool
) -> Weights:
    """Rounds a kernel and a bias so that the operator itself fires, at a current of 1/2.

    Every channel has 2 * quiet + 1 steps per unit, as many as its largest kernel integer allows: the whole int8 range,
    and a membrane of int32.

    Args:
        layer: Name for the error messages.
        kernel: Float, `(..., channels)`, current per real input.
        bias: Float `(channels,)`.
        source: Grid of the operator's input.
        per_channel: Whether every output channel may have steps of its own.

    Raises:
        ValueError: if a kernel integer leaves int8, or the accumulator may leave int32.
    """
    ratio = kernel * source.scale
    magnitudes = np.abs(ratio).reshape(-1, ratio.shape[-1]).max(axis=0)
    if not per_channel:
        magnitudes = np.full_like(magnitudes, magnitudes.max())
    if magnitudes.max() >= INT8_MAX + 0.5:
        raise ValueError(
            f"Cannot export layer '{layer}': its largest kernel integer would be {magnitudes.max():.0f}, beyond int8's "
            f"{INT8_MAX} by a factor of {magnitudes.max() / INT8_MAX:.3g}. Train with weight decay, or clip the folded "
            "kernel (a batch-norm variance near 0 is the usual cause)."
        )
    with np.errstate(divide="ignore"):
        limits = np.minimum(((INT8_MAX + 0.49) / magnitudes - 1) / 2, LARGEST_QUIET)
    quiet = np.array([largest_quiet(limit) for limit in limits])
    steps = 2 * quiet + 1
    integers = np.rint(ratio * steps)
    reach = np.abs(integers).reshape(-1, integers.shape[-1]).sum(axis=0) * source.bound + steps
    biases = np.clip(np.rint(bias * steps), -reach, reach)
    check_accumulator(layer, integers, biases, source)
    multiplier = np.array([firing_multiplier(int(q)) for q in quiet])
    return Weights(integers.astype(np.int8), biases.astype(np.int32), (multiplier / source.scale).astype(np.float32))
