"""The recurrence over a sequence too long for one graph: the graph of a chunk, called for one chunk after another.

All of it is one compiled function, so that chunks are neither cut out nor joined by passes over memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from ..backend import gradient


@dataclass(frozen=True)
class Chunked:
    """A fused recurrence, as `gradient.call` takes it, made of those of its chunks.

    Args:
        chunk: the `Recurrence` of one chunk, which takes and returns a past.
        size: timesteps of a chunk; the last one may be shorter.
        pasts: how many tensors the past before the first timestep is; 0 for zeros.
        return_past: whether the last past is an output.
    """

    chunk: Any
    size: int
    pasts: int
    return_past: bool
    fused = True

    def forward(self, *tensors: Any) -> tuple[tuple[Any, ...], Any]:
        """(outputs, membranes, *past), as far as they are to be returned, and the past before each chunk."""
        current, amplitude, past, numbers = self._named(tensors)
        forward, _ = gradient.traced(self.chunk)
        sequences, pasts = [], []
        for part in self._parts(current):
            pasts.append(past)
            results, _ = forward(part, amplitude, *past, *numbers)
            sequences.append(results[: -self.chunk.pasts])
            past = results[-self.chunk.pasts :]
        joined = (ops.concatenate(parts, axis=1) for parts in zip(*sequences, strict=True))
        return (*joined, *(past if self.return_past else ())), pasts

    def backward(self, tensors: Sequence[Any], pasts: Any, upstream: Sequence[Any]) -> tuple[Any, ...]:
        """As `Recurrence.backward`."""
        current, amplitude, first, numbers = self._named(tensors)
        _, backward = gradient.traced(self.chunk)
        count = len(upstream) - self.chunk.pasts * self.return_past
        grad_past = tuple(upstream[count:]) or tuple(map(ops.zeros_like, first))
        parts = zip(self._parts(current), pasts, *(self._parts(grad) for grad in upstream[:count]), strict=True)
        grad_current, totals, kept_alive = [], None, []
        for part, past, *grads in reversed(list(parts)):
            gradients = backward((part, amplitude, *past, *numbers), None, (*grads, *grad_past))
            end = 2 + len(past)
            grad_current.append(gradients[0])
            grad_past = gradients[2:end]
            terms = (gradients[1], *gradients[end : end + len(numbers)])
            totals = terms if totals is None else [total + term for total, term in zip(totals, terms, strict=True)]
            kept_alive += gradients[end + len(numbers) :]
        grad_amplitude, *grad_numbers = totals
        joined = ops.concatenate(grad_current[::-1], axis=1)
        return joined, grad_amplitude, *grad_past[: self.pasts], *grad_numbers, *kept_alive

    def _named(self, tensors: Sequence[Any]) -> tuple[Any, Any, tuple[Any, ...], tuple[Any, ...]]:
        """Current, amplitude, the first past, and what else is trained."""
        current, amplitude, *rest = tensors
        past = tuple(rest[: self.pasts]) or (ops.zeros_like(current[:, 0]),) * self.chunk.pasts
        return current, amplitude, past, tuple(rest[self.pasts :])

    def _parts(self, sequences: Any) -> list[Any]:
        """Chunk after chunk of `(batch, timesteps, *features)`."""
        return ops.split(sequences, list(range(self.size, sequences.shape[1], self.size)), axis=1)
