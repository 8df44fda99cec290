"""Whether the rules of `weights` hold for an operator of a file: no accumulator that rounds differently elsewhere."""

from __future__ import annotations

import numpy as np

from .program import Operator, Program
from .weights import DENOMINATOR, is_safe
from .work import kernel_rows, source_position

TOLERANCE = 1e-6  # relative, of multipliers made of three float32 scales


def channels_that_may_tie(program: Program, operator: Operator) -> np.ndarray:
    """Per output channel of an operator with a kernel: True unless its multiplier keeps it away from ties.

    The two families: n / 63 with n >= 32, and 1 / (2 q) with q odd and safe, kernel and bias even.
    """
    source, kernel = program.tensors[operator.inputs[source_position(operator)]], program.tensors[operator.inputs[1]]
    bias = program.tensors[operator.inputs[-1]].data
    even = np.all(kernel_rows(program, operator) % 2 == 0, axis=0) & (bias % 2 == 0)
    scales = float(source.scale) * kernel.scale.astype(np.float64) / float(program.tensors[operator.output].scale)
    multipliers = np.broadcast_to(scales, even.shape)
    return np.array([not (_over_63(m) or (e and _over_2q(m))) for m, e in zip(multipliers, even, strict=True)])


def _over_63(multiplier: float) -> bool:
    """n / 63 with n >= 32."""
    n = round(DENOMINATOR * multiplier)
    return n > DENOMINATOR // 2 and abs(DENOMINATOR * multiplier - n) <= TOLERANCE * n


def _over_2q(multiplier: float) -> bool:
    """1 / (2 q), q odd, at least 3 and safe under two roundings."""
    q = round(1 / (2 * multiplier))
    return q >= 3 and q % 2 == 1 and abs(2 * q * multiplier - 1) <= TOLERANCE and is_safe(q)
