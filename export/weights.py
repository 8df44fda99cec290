"""Integer kernels and biases that make a linear operator exact on every runtime.

The multiplier from accumulator to output is always 2**-shift:
shift <= 0: nothing is rounded, any integers will do.
shift >= 3: kernel integers are multiples of 4 and biases are 2 modulo 4, so the accumulator is 2 modulo 4:
    halving it first (as the reference kernels do) is exact, and what follows is never a tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import INT8_MAX, Grid

EXACT_SHIFTS = range(-7, 1)
# XNNPACK scales accumulators in float32: beyond 16 an accumulator that matters would not fit its 24 bits.
ROUNDED_SHIFTS = range(3, 17)
ACCUMULATOR_MAX = 2**31 - 1


@dataclass(frozen=True)
class Weights:
    """kernel: int8, as given to `quantize_weights`; bias: int32 (channels,); scale: float32 (channels,)."""

    kernel: np.ndarray
    bias: np.ndarray
    scale: np.ndarray


def granularity(shift: int) -> int:
    """Kernel integers are multiples of this."""
    return 4 if shift in ROUNDED_SHIFTS else 1


def largest(shift: int) -> int:
    """The largest kernel integer."""
    return INT8_MAX // granularity(shift) * granularity(shift)


def choose_shift(magnitude: float) -> int | None:
    """The finest shift whose kernel integers hold `magnitude`, the largest |kernel| in output steps per input step."""
    fitting = [
        shift
        for shift in (*EXACT_SHIFTS, *ROUNDED_SHIFTS)
        if np.rint(magnitude * 2.0**shift / granularity(shift)) * granularity(shift) <= largest(shift)
    ]
    return max(fitting, default=None)


def quantize_weights(
    layer: str, kernel: np.ndarray, bias: np.ndarray, *, source: Grid, target: Grid, per_channel: bool
) -> Weights:
    """Rounds a kernel and a bias to integers.

    Args:
        layer: Name for the error messages.
        kernel: Float, `(..., channels)`, real output per real input.
        bias: Float `(channels,)`, in real units of the output.
        source, target: Grids of the operator's input and output.
        per_channel: Whether every output channel may have a shift of its own.

    Raises:
        ValueError: if a kernel integer leaves int8, or the accumulator may leave int32.
    """
    ratio = kernel * (source.scale / target.scale)
    magnitudes = np.abs(ratio).reshape(-1, ratio.shape[-1]).max(axis=0)
    if not per_channel:
        magnitudes = np.full_like(magnitudes, magnitudes.max())
    shifts = np.array([checked_shift(layer, magnitude) for magnitude in magnitudes])
    step = np.array([granularity(shift) for shift in shifts])
    integers = np.rint(ratio * 2.0**shifts / step) * step
    biases = quantize_bias(bias / target.scale * 2.0**shifts, step, reach(integers, source, shifts))
    check_accumulator(layer, integers, biases, source)
    scale = (2.0**-shifts * target.scale / source.scale).astype(np.float32)
    return Weights(integers.astype(np.int8), biases.astype(np.int32), scale)


def checked_shift(layer: str, magnitude: float) -> int:
    shift = choose_shift(magnitude)
    if shift is None:
        needed, limit = magnitude * 2.0 ** EXACT_SHIFTS[0], largest(EXACT_SHIFTS[0])
        raise ValueError(
            f"Cannot export layer '{layer}': its largest kernel integer would be {needed:.0f}, beyond int8's {limit} "
            f"by a factor of {needed / limit:.3g}. Train with weight decay, or clip the folded kernel "
            "(a batch-norm variance near 0 is the usual cause)."
        )
    return shift


def quantize_bias(bias: np.ndarray, step: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Biases in accumulator steps; 2 modulo 4 where kernel integers are multiples of 4."""
    bias = np.clip(bias, -limit, limit)  # whatever lies beyond saturates the output all the same
    return np.where(step == 4, np.floor(bias / 4) * 4 + 2, np.rint(bias))


def reach(kernel: np.ndarray, source: Grid, shifts: np.ndarray) -> np.ndarray:
    """Per channel: a bias of this size saturates the output whatever the input."""
    return np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0) * source.bound + 2.0 ** (8 + shifts)


def check_accumulator(layer: str, kernel: np.ndarray, bias: np.ndarray, source: Grid) -> None:
    worst = np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0) * source.bound + np.abs(bias)
    if worst.max() > ACCUMULATOR_MAX:
        raise ValueError(
            f"Cannot export layer '{layer}': its accumulator may reach {worst.max():.3g}, beyond int32. "
            "Reduce the number of inputs per output (a pooling before it)."
        )
