"""The memory of the complemented neuron: what its membrane keeps and spikes do not clear. Elementwise, for any shape.

    complement[t] = a * max(complement[t-1], 0) + b * min(complement[t-1], 0) + c * leaked[t]       "static"
    complement[t] = a * complement[t-1] + b * max(leaked[t], 0) + c * min(leaked[t], 0)             "dynamic"

with leaked[t] = decay * state[t-1], and the factors a, b and c. Reference:
[Zhang et al., 2026](https://arxiv.org/abs/2601.15598)
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

from keras import ops

MemoryKind = Literal["static", "dynamic"]
MEMORIES = get_args(MemoryKind)


class Memory(NamedTuple):
    """A complement's equation, "static" or "dynamic", and its factors, three tensors of shape `()`."""

    kind: str
    factors: tuple[Any, ...]


def parts(kind: str, leaked: Any, complement: Any) -> tuple[Any, ...]:
    """What the factors weigh: three tensors whose weighted sum is the next complement."""
    if kind == "static":
        return ops.maximum(complement, 0.0), ops.minimum(complement, 0.0), leaked
    return complement, ops.maximum(leaked, 0.0), ops.minimum(leaked, 0.0)


def recall(memory: Memory, leaked: Any, complement: Any) -> Any:
    """The next complement."""
    weighed = zip(memory.factors, parts(memory.kind, leaked, complement), strict=True)
    first, second, third = (factor * part for factor, part in weighed)
    return first + second + third


def slopes(memory: Memory, leaked: Any, complement: Any) -> tuple[Any, Any]:
    """d (next complement) / d leaked and / d complement; where a kink is met, 0."""
    first, second, third = memory.factors
    if memory.kind == "static":
        return third, _by_sign(complement, first, second)
    return _by_sign(leaked, second, third), first


def _by_sign(values: Any, positive: Any, negative: Any) -> Any:
    """One number where values are positive, another where they are negative, 0 where they are 0."""
    above, below = (ops.cast(side, values.dtype) for side in (values > 0, values < 0))
    return positive * above + negative * below
