"""The recurrence over time, forward and backward, with one gradient for the whole sequence.

Shapes: current, outputs and membranes `(batch, timesteps, *features)`; the past, what a timestep starts from,
`(batch, *features)` each; amplitude, decay, threshold and factors broadcast against the features.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras import ops

from ..backend import gradient
from . import looped, unrolled
from .chunked import Chunked
from .equations import Equations
from .memory import Memory
from .surrogate import SURROGATES

UNROLL_LIMIT = 32
COMPILED_CHUNKS = 2  # of UNROLL_LIMIT timesteps in one compiled function: each takes seconds to compile
FUSION_DEPTH = 4


@dataclass(frozen=True)
class Recurrence:
    """What is known of a recurrence before its tensors. These are, in this order:

        current, amplitude, and where it has them the past, decay, threshold and the memory's factors.

    Args:
        dynamics: a `Dynamics`.
        memory: the kind of `Memory`, None for none.
        unroll: whether the graph holds every timestep; otherwise it holds a loop.
        decay: Float, a tuple of one for each channel, or None where it is one of the tensors.
        threshold: likewise.
        pasts: how many tensors the past before the first timestep is; 0 for zeros.
        return_membranes, return_past: whether these are outputs behind amplitude * spike.
        fused: whether a compiler will fuse it: membranes are then computed again in the backward pass instead
            of saved, and barriers part a long chain of timesteps.
    """

    dynamics: Any = field(compare=False)
    memory: str | None
    unroll: bool
    decay: float | tuple[float, ...] | None
    threshold: float | tuple[float, ...] | None
    pasts: int
    return_membranes: bool
    return_past: bool
    fused: bool
    identity: Any = field(init=False)

    def __post_init__(self) -> None:
        # Surrogates that users define may compare equal and mean different things: they share nothing compiled.
        is_known = type(self.dynamics.surrogate) in SURROGATES.values()
        object.__setattr__(self, "identity", self.dynamics if is_known else id(self.dynamics))

    def forward(self, *tensors: Any) -> tuple[tuple[Any, ...], Any]:
        """(outputs, membranes, *past), as far as they are to be returned, and what to save, None if fused."""
        equations, current, past = self._named(tensors)
        spikes, past, steps = self._advance(equations, current, past)
        outputs = [equations.amplitude * spikes]
        if self.return_membranes:
            outputs.append(ops.stack([step[0] for step in steps], axis=1) if self.unroll else steps[0])
        return (*outputs, *(past if self.return_past else ())), None if self.fused else steps

    def backward(self, tensors: Sequence[Any], steps: Any, upstream: Sequence[Any]) -> tuple[Any, ...]:
        """Gradients of `tensors` from those of the outputs; then the barriers' values, which the caller drops."""
        equations, current, past = self._named(tensors)
        barrier = self._barrier(equations, current)
        steps = unrolled.step_through(equations, barrier, current, past, distance=1)[2] if self.fused else steps
        grad_outputs, *others = upstream
        grad_membranes = others.pop(0) if self.return_membranes else None
        backward, *barriers = (unrolled.backward, barrier) if self.unroll else (looped.backward,)
        arguments = (equations, *barriers, steps, past, grad_outputs, grad_membranes, tuple(others))
        grad_current, grad_past, (amplitude, decay, threshold, *factors), *kept_alive = backward(*arguments)
        wanted = (self.decay is None, self.threshold is None, *(True for _ in factors))
        numbers = [term for term, want in zip((decay, threshold, *factors), wanted, strict=True) if want]
        gradients = map(_sum_to, [amplitude, *numbers], [tensors[1], *tensors[2 + self.pasts :]])
        grad_amplitude, *grad_numbers = gradients
        return (
            grad_current,
            grad_amplitude,
            *grad_past[: self.pasts],
            *grad_numbers,
            *(kept_alive[0] if kept_alive else ()),
        )

    def _advance(self, equations: Equations, current: Any, past: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        if self.unroll:
            return unrolled.forward(equations, self._barrier(equations, current), current, past)
        return looped.forward(equations, current, past)

    def _named(self, tensors: Sequence[Any]) -> tuple[Equations, Any, tuple[Any, ...]]:
        """The equations with their numbers, current, and the first past."""
        current, amplitude, *rest = tensors
        past, rest = tuple(rest[: self.pasts]), list(rest[self.pasts :])
        fixed = (self.decay, self.threshold)
        decay, threshold = (rest.pop(0) if number is None else _constant(number, current.dtype) for number in fixed)
        memory = None if self.memory is None else Memory(self.memory, tuple(rest))
        trained = (number is None for number in fixed)
        return Equations(self.dynamics, amplitude, decay, threshold, memory, *trained, self.fused), current, past

    def _barrier(self, equations: Equations, current: Any) -> Callable[[Any], Any] | None:
        """barrier(tensor): the tensor, behind a barrier in a long fused sequence; None in any other.

        XLA fuses the chain of timesteps into each of its consumers anew, so that time would grow with the square
        of their number. It does not repeat divisions: one by a 1 that it cannot know, and that changes no bit,
        ends the chain.
        """
        if not self.fused or current.shape[1] <= FUSION_DEPTH:
            return None
        one = ops.sum(equations.amplitude) * 0.0 + 1.0
        return lambda tensor: tensor / one


def run(
    dynamics: Any,
    current: Any,
    past: tuple[Any, ...],
    amplitude: Any,
    decay: Any,
    threshold: Any,
    memory: Memory | None = None,
    *,
    return_membranes: bool = False,
    return_past: bool,
    fuse: bool,
) -> tuple[Any, Any, tuple[Any, ...]]:
    """amplitude * spike at every timestep, the membranes or None, and the last past or (), with gradients for all.

    Up to `UNROLL_LIMIT` timesteps the graph is unrolled; beyond, or where their number is not known,
    it is a loop whose size does not depend on them. Where functions are compiled, it is calls of one unrolled graph
    instead, each for as many timesteps (`chunked`), `COMPILED_CHUNKS` of them in a compiled function.

    Args:
        past: () for zeros; (state,); with a memory (state, complement).
        decay, threshold: Python floats, and tuples of them, have no gradient.
        fuse: whether forward and backward may each become one compiled function. They do so where the backend
            can, and every size but the batch's is known.
    """
    timesteps, *features = current.shape[1:]
    unroll = timesteps is not None and timesteps <= UNROLL_LIMIT
    fusible = fuse and None not in (timesteps, *features) and gradient.can_fuse()
    in_chunks = fusible and not unroll and gradient.compiles_functions()
    if in_chunks and timesteps > COMPILED_CHUNKS * UNROLL_LIMIT:
        numbers = (amplitude, decay, threshold, memory)
        outputs, membranes, past = _in_pieces(dynamics, current, past, *numbers, return_membranes=return_membranes)
        return outputs, membranes, past if return_past else ()
    fixed = [number if isinstance(number, float | tuple) else None for number in (decay, threshold)]
    trained = [tensor for tensor, number in zip((decay, threshold), fixed, strict=True) if number is None]
    kind, factors = memory or (None, ())
    known = {"dynamics": dynamics, "memory": kind, "decay": fixed[0], "threshold": fixed[1]}
    recurrence = functools.partial(Recurrence, **known, return_membranes=return_membranes)
    if in_chunks:
        chunk = recurrence(unroll=True, pasts=_count_pasts(memory), return_past=True, fused=True)
        recurrence = Chunked(chunk, UNROLL_LIMIT, len(past), return_past)
    else:
        recurrence = recurrence(unroll=unroll, pasts=len(past), return_past=return_past, fused=fusible and unroll)
    outputs, *others = gradient.call(recurrence, [current, amplitude, *past, *trained, *factors])
    return outputs, others.pop(0) if return_membranes else None, tuple(others)


def _in_pieces(
    dynamics: Any, current: Any, past: tuple[Any, ...], *numbers: Any, return_membranes: bool
) -> tuple[Any, Any, tuple[Any, ...]]:
    """`run` on what one compiled function takes, piece after piece, with the past that the ones before have left."""
    size = COMPILED_CHUNKS * UNROLL_LIMIT
    outputs, membranes, ends = [], [], range(size, current.shape[1], size)
    past = past or (ops.zeros_like(current[:, 0]),) * _count_pasts(numbers[-1])
    for piece in ops.split(current, list(ends), axis=1):
        output, membrane, past = run(
            dynamics, piece, past, *numbers, return_membranes=return_membranes, return_past=True, fuse=True
        )
        outputs.append(output)
        membranes.append(membrane)
    joined = ops.concatenate(membranes, axis=1) if return_membranes else None
    return ops.concatenate(outputs, axis=1), joined, past


def _count_pasts(memory: Memory | None) -> int:
    """How many tensors a timestep leaves to the next."""
    return 1 if memory is None else 2


def _constant(number: float | tuple[float, ...], dtype: Any) -> Any:
    """A float as it is; one for each channel as a tensor."""
    return ops.convert_to_tensor(number, dtype=dtype) if isinstance(number, tuple) else number


def _sum_to(values: Any, parameter: Any) -> Any:
    """Sum over the axes along which `parameter` was broadcast to the shape of `values`; None stands for zeros."""
    if values is None:
        return ops.zeros_like(parameter)
    leading = len(values.shape) - len(parameter.shape)
    single = [leading + axis for axis, size in enumerate(parameter.shape) if size == 1]
    return ops.reshape(ops.sum(values, axis=(*range(leading), *single)), parameter.shape)
