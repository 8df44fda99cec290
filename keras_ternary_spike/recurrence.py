"""The recurrence over time, forward and backward, with one gradient for the whole sequence.

Shapes: current, outputs and membranes `(batch, timesteps, *features)`; state `(batch, *features)`;
amplitude and decay broadcast against the features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras import ops

from . import gradient, looped, unrolled

UNROLL_LIMIT = 32
FUSION_DEPTH = 4
WALL_DISTANCE = 2


@dataclass(frozen=True)
class Recurrence:
    """What is known of a recurrence before its tensors. These are, in this order:

        current, amplitude, and where it has them state and decay.

    Args:
        dynamics: `keras_ternary_spike.dynamics.Dynamics`.
        unroll: whether the graph holds every timestep; otherwise it holds a loop.
        decay: Float, or None where it is one of the tensors.
        given_state: whether the state before the first timestep is one of the tensors; otherwise it is zero.
        return_state: whether the last state is an output beside amplitude * spike.
        fused: whether a compiler will fuse it: membranes are then computed again in the backward pass instead
            of saved, and walls part the chain of timesteps.
    """

    dynamics: Any = field(compare=False)
    unroll: bool
    decay: float | None
    given_state: bool
    return_state: bool
    fused: bool
    # Surrogates of different meaning may compare equal: what is compiled belongs to one object.
    identity: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", id(self.dynamics))

    def forward(self, *tensors: Any) -> tuple[tuple[Any, ...], Any]:
        """(outputs,) or (outputs, last state), and the membranes to save, None if fused."""
        outputs, state, membranes = self._advance(tensors)
        return ((outputs, state) if self.return_state else (outputs,)), None if self.fused else membranes

    def backward(self, tensors: Sequence[Any], membranes: Any, upstream: Sequence[Any]) -> tuple[Any, ...]:
        """Gradients of `tensors` from those of the outputs."""
        current, amplitude, state, decay = self._named(tensors)
        grad_outputs, grad_state = (*upstream, None)[:2]
        membranes = self._advance(tensors)[2] if self.fused else membranes
        arguments = (membranes, amplitude, decay, grad_outputs, grad_state)
        if self.unroll:
            retreated = unrolled.retreat(self.dynamics, self._wall(current, amplitude), *arguments)
        else:
            retreated = looped.retreat(self.dynamics, *arguments)
        grad_current, grad_state, grad_amplitude = retreated
        gradients = [grad_current, _sum_to(grad_amplitude, amplitude)]
        if self.given_state:
            gradients.append(grad_state)
        if self.decay is None:
            gradients.append(_sum_to(grad_current * self._states_before(membranes, state), decay))
        return tuple(gradients)

    def _advance(self, tensors: Sequence[Any]) -> tuple[Any, Any, Any]:
        current, amplitude, state, decay = self._named(tensors)
        if self.unroll:
            return unrolled.advance(self.dynamics, self._wall(current, amplitude), current, state, amplitude, decay)
        return looped.advance(self.dynamics, current, state, amplitude, decay)

    def _named(self, tensors: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
        current, amplitude, *rest = tensors
        state = rest.pop(0) if self.given_state else None
        return current, amplitude, state, rest.pop() if self.decay is None else self.decay

    def _states_before(self, membranes: Any, state: Any) -> Any:
        """The state that each timestep starts from, `(batch, timesteps, *features)`."""
        membranes = ops.stack(membranes, axis=1) if self.unroll else membranes
        states = self.dynamics.carry(membranes, self.dynamics.fire(membranes))
        first = ops.zeros_like(states[:, :1]) if state is None else ops.expand_dims(state, 1)
        return ops.concatenate([first, states[:, :-1]], axis=1)

    def _wall(self, current: Any, amplitude: Any) -> Callable[[Any, int], Any]:
        """wall(tensor, timestep): the tensor, behind a wall at every second timestep of a long fused sequence.

        XLA fuses the chain of timesteps into each of its consumers anew, so that time would grow with the square
        of their number. It does not repeat divisions: one by a 1 that it cannot know, and that changes no bit,
        ends the chain.
        """
        if not self.fused or current.shape[1] <= FUSION_DEPTH:
            return lambda tensor, timestep: tensor
        one = ops.sum(amplitude) * 0.0 + 1.0
        return lambda tensor, timestep: tensor if timestep % WALL_DISTANCE else tensor / one


def run(
    dynamics: Any, current: Any, state: Any, amplitude: Any, decay: Any, *, return_state: bool, fuse: bool
) -> tuple[Any, Any]:
    """amplitude * spike at every timestep, and the last state or None, with gradients for all tensors.

    Up to `UNROLL_LIMIT` timesteps the graph is unrolled; beyond, or where their number is not known,
    it is a loop whose size does not depend on them.

    Args:
        state: None for zeros.
        decay: a Python float has no gradient.
        fuse: whether forward and backward may each become one compiled function. They do so where the backend
            can, the graph is unrolled, and every size but the batch's is known.
    """
    timesteps, *features = current.shape[1:]
    unroll = timesteps is not None and timesteps <= UNROLL_LIMIT
    fixed = decay if isinstance(decay, float) else None
    fused = fuse and unroll and None not in features and gradient.can_fuse()
    recurrence = Recurrence(dynamics, unroll, fixed, state is not None, return_state, fused)
    optional = [tensor for tensor in (state, decay) if tensor is not None and tensor is not fixed]
    outputs = gradient.call(recurrence, [current, amplitude, *optional])
    return (*outputs, None)[:2]


def _sum_to(values: Any, parameter: Any) -> Any:
    """Sum over the axes along which `parameter` was broadcast to the shape of `values`."""
    leading = len(values.shape) - len(parameter.shape)
    single = [leading + axis for axis, size in enumerate(parameter.shape) if size == 1]
    return ops.reshape(ops.sum(values, axis=(*range(leading), *single)), parameter.shape)
