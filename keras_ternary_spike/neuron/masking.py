"""Sequences with a mask: the timesteps that count are moved to the front, and zeros stand behind them.

A neuron then sees its sequence without gaps, in one function. mask: Boolean, `(batch, timesteps)`; sequences:
`(batch, timesteps, *features)`.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from .sequence import lif_membranes, lif_step


def lif_masked(
    current: Any, state: Any, mask: Any, *, dynamics: Any, return_state: bool, fuse: bool, **numbers: Any
) -> tuple[Any, Any, Any]:
    """Spikes, membranes and the last state of `lif_membranes`, the first two with what counts at the front.

    The last state is what the last timestep leaves that counts.
    """
    current = compact(ops.convert_to_tensor(current), mask)
    options = {"dynamics": dynamics, "fuse": fuse, **numbers}
    spikes, membranes, _ = lif_membranes(current, state, return_state=False, **options)
    if not return_state:
        return spikes, membranes, None
    membrane, drive = _last(membranes, mask), _last(current, mask)
    _, after = lif_step(membrane, None, dynamics=dynamics, threshold=numbers["threshold"])
    # A complement is what the past adds to the current.
    states = (after,) if numbers.get("memory") is None else (after, membrane - ops.cast(drive, membrane.dtype))
    before = [ops.zeros_like(tensor) for tensor in states] if state is None else state
    some = _wide(ops.any(mask, axis=1), membrane)
    return spikes, membranes, [ops.where(some, *pair) for pair in zip(states, before, strict=True)]


def front(mask: Any) -> Any:
    """Which timesteps count once they are at the front, Boolean, `(batch, timesteps)`."""
    return _positions(mask) < ops.expand_dims(_count(mask), 1)


def compact(sequences: Any, mask: Any) -> Any:
    """Sequences with the timesteps that count at the front, in their order, and zeros behind."""
    keys = _positions(mask) + ops.where(mask, 0, ops.shape(mask)[1])
    return keep(_gathered(sequences, ops.cast(ops.argsort(keys, axis=1), "int32")), front(mask))


def spread(sequences: Any, mask: Any, *, zero: bool) -> Any:
    """What `compact` has moved, at its place; masked timesteps repeat the one before, from zeros, or are zeros."""
    seen = ops.cumsum(ops.cast(mask, "int32"), axis=1)
    return keep(_gathered(sequences, ops.maximum(seen - 1, 0)), mask if zero else seen > 0)


def keep(sequences: Any, mask: Any) -> Any:
    """Zeros at masked timesteps."""
    return ops.where(_wide(mask, sequences), sequences, ops.zeros_like(sequences))


def _last(sequences: Any, mask: Any) -> Any:
    """The last timestep that counts of compact sequences, `(batch, *features)`; the first where none does."""
    return _gathered(sequences, ops.expand_dims(ops.maximum(_count(mask) - 1, 0), 1))[:, 0]


def _wide(mask: Any, sequences: Any) -> Any:
    """With axes of size 1 for the features, to broadcast."""
    return ops.reshape(mask, (*ops.shape(mask), *[1] * (len(sequences.shape) - len(mask.shape))))


def _count(mask: Any) -> Any:
    return ops.sum(ops.cast(mask, "int32"), axis=1)


def _positions(mask: Any) -> Any:
    """0, 1, 2, ... along the timesteps."""
    return ops.cumsum(ops.ones_like(mask, dtype="int32"), axis=1) - 1


def _gathered(sequences: Any, index: Any) -> Any:
    """sequences[b, index[b, t]] for index `(batch, timesteps)`."""
    batch, timesteps, *features = ops.shape(sequences)
    starts = ops.reshape(ops.arange(batch, dtype="int32") * timesteps, (-1, 1))
    flat = ops.take(ops.reshape(sequences, (-1, *features)), ops.reshape(starts + index, (-1,)), axis=0)
    return ops.reshape(flat, (-1, ops.shape(index)[1], *features))
