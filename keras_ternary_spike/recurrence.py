"""The recurrence over time, forward and backward, with one gradient for the whole sequence.

Shapes: current, outputs and membranes `(batch, timesteps, *features)`; state `(batch, *features)`;
amplitude, decay and threshold broadcast against the features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keras import ops

from . import gradient, looped, unrolled

UNROLL_LIMIT = 32
FUSION_DEPTH = 4
WALL_DISTANCE = 2


class Numbers(NamedTuple):
    """The neuron's numbers, each a float or a tensor that broadcasts against the features."""

    amplitude: Any
    decay: Any
    threshold: Any


@dataclass(frozen=True)
class Recurrence:
    """What is known of a recurrence before its tensors. These are, in this order:

        current, amplitude, and where it has them state, decay and threshold.

    Args:
        dynamics: `keras_ternary_spike.dynamics.Dynamics`.
        unroll: whether the graph holds every timestep; otherwise it holds a loop.
        decay: Float, a tuple of one for each channel, or None where it is one of the tensors.
        threshold: likewise.
        given_state: whether the state before the first timestep is one of the tensors; otherwise it is zero.
        return_state: whether the last state is an output beside amplitude * spike.
        fused: whether a compiler will fuse it: membranes are then computed again in the backward pass instead
            of saved, and walls part the chain of timesteps.
    """

    dynamics: Any = field(compare=False)
    unroll: bool
    decay: float | tuple[float, ...] | None
    threshold: float | tuple[float, ...] | None
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
        current, state, numbers = self._named(tensors)
        grad_outputs, grad_last = (*upstream, None)[:2]
        membranes = self._advance(tensors)[2] if self.fused else membranes
        if self.unroll:
            wall = self._wall(current, numbers.amplitude)
            retreated = unrolled.retreat(self.dynamics, wall, membranes, numbers, grad_outputs, grad_last)
        else:
            retreated = looped.retreat(self.dynamics, membranes, numbers, grad_outputs, grad_last)
        grad_current, grad_state, grad_amplitude = retreated
        gradients = [grad_current, _sum_to(grad_amplitude, numbers.amplitude)]
        if self.given_state:
            gradients.append(grad_state)
        membranes = ops.stack(membranes, axis=1) if self.unroll else membranes
        if self.decay is None:
            grad_decay = grad_current * self._states_before(membranes, state, numbers.threshold)
            gradients.append(_sum_to(grad_decay, numbers.decay))
        if self.threshold is None:
            grad_threshold = self._threshold_terms(membranes, numbers, grad_outputs, grad_last, grad_current)
            gradients.append(_sum_to(grad_threshold, numbers.threshold))
        return tuple(gradients)

    def _advance(self, tensors: Sequence[Any]) -> tuple[Any, Any, Any]:
        current, state, numbers = self._named(tensors)
        if self.unroll:
            wall = self._wall(current, numbers.amplitude)
            return unrolled.advance(self.dynamics, wall, current, state, numbers)
        return looped.advance(self.dynamics, current, state, numbers)

    def _named(self, tensors: Sequence[Any]) -> tuple[Any, Any, Numbers]:
        """Current, the first state or None, and the numbers."""
        current, amplitude, *rest = tensors
        state = rest.pop(0) if self.given_state else None
        decay, threshold = (
            rest.pop(0) if number is None else _constant(number, current.dtype)
            for number in (self.decay, self.threshold)
        )
        return current, state, Numbers(amplitude, decay, threshold)

    def _states_before(self, membranes: Any, state: Any, threshold: Any) -> Any:
        """The state that each timestep starts from, `(batch, timesteps, *features)`."""
        states = self.dynamics.carry(membranes, self.dynamics.fire(membranes, threshold), threshold)
        first = ops.zeros_like(states[:, :1]) if state is None else ops.expand_dims(state, 1)
        return ops.concatenate([first, states[:, :-1]], axis=1)

    def _threshold_terms(
        self, membranes: Any, numbers: Numbers, grad_outputs: Any, grad_last: Any, grad_current: Any
    ) -> Any:
        """Gradient of each neuron's threshold at each timestep, `(batch, timesteps, *features)`.

        Spikes depend on membrane / threshold: d spike / d threshold = -membrane / threshold * d spike / d membrane.
        """
        amplitude, decay, threshold = numbers
        last = ops.zeros_like(membranes[:, 0]) if grad_last is None else grad_last
        grad_states = ops.concatenate([decay * grad_current[:, 1:], ops.expand_dims(last, 1)], axis=1)
        spikes = self.dynamics.fire(membranes, threshold)
        slope = self.dynamics.spike_slope(membranes, threshold)
        by_membrane = grad_outputs * amplitude * slope
        by_reset = self.dynamics.reset_slope(membranes, spikes, slope, threshold)
        if by_reset is not None:
            by_membrane = by_membrane + grad_states * by_reset
        terms = -(membranes / threshold) * by_membrane
        taken_off = self.dynamics.taken_off_slope(spikes)
        return terms if taken_off is None else terms + grad_states * taken_off

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
    dynamics: Any,
    current: Any,
    state: Any,
    amplitude: Any,
    decay: Any,
    threshold: Any,
    *,
    return_state: bool,
    fuse: bool,
) -> tuple[Any, Any]:
    """amplitude * spike at every timestep, and the last state or None, with gradients for all tensors.

    Up to `UNROLL_LIMIT` timesteps the graph is unrolled; beyond, or where their number is not known,
    it is a loop whose size does not depend on them. Where functions are compiled, it is a chain of calls of one
    compiled function instead, each for as many timesteps.

    Args:
        state: None for zeros.
        decay, threshold: Python floats, and tuples of them, have no gradient.
        fuse: whether forward and backward may each become one compiled function. They do so where the backend
            can, and every size but the batch's is known.
    """
    timesteps, *features = current.shape[1:]
    unroll = timesteps is not None and timesteps <= UNROLL_LIMIT
    fusible = fuse and None not in (timesteps, *features) and gradient.can_fuse()
    if fusible and not unroll and gradient.compiles_functions():
        outputs, state = _in_chunks(dynamics, current, state, amplitude, decay, threshold)
        return outputs, state if return_state else None
    fused = fusible and unroll
    fixed = [number if isinstance(number, float | tuple) else None for number in (decay, threshold)]
    recurrence = Recurrence(dynamics, unroll, *fixed, state is not None, return_state, fused)
    optional = [state, *(tensor for tensor, number in zip((decay, threshold), fixed, strict=True) if number is None)]
    outputs = gradient.call(recurrence, [current, amplitude, *(tensor for tensor in optional if tensor is not None)])
    return (*outputs, None)[:2]


def _in_chunks(dynamics: Any, current: Any, state: Any, *numbers: Any) -> tuple[Any, Any]:
    """`run` on `UNROLL_LIMIT` timesteps after another, each with the state that the ones before have left."""
    outputs, ends = [], range(UNROLL_LIMIT, current.shape[1], UNROLL_LIMIT)
    state = ops.zeros_like(current[:, 0]) if state is None else state
    for chunk in ops.split(current, list(ends), axis=1):
        output, state = run(dynamics, chunk, state, *numbers, return_state=True, fuse=True)
        outputs.append(output)
    return ops.concatenate(outputs, axis=1), state


def _constant(number: float | tuple[float, ...], dtype: Any) -> Any:
    """A float as it is; one for each channel as a tensor."""
    return ops.convert_to_tensor(number, dtype=dtype) if isinstance(number, tuple) else number


def _sum_to(values: Any, parameter: Any) -> Any:
    """Sum over the axes along which `parameter` was broadcast to the shape of `values`."""
    leading = len(values.shape) - len(parameter.shape)
    single = [leading + axis for axis, size in enumerate(parameter.shape) if size == 1]
    return ops.reshape(ops.sum(values, axis=(*range(leading), *single)), parameter.shape)
