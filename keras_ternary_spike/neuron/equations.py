"""A neuron's equations, forward and backward, for one timestep or for all of a sequence at once.

The past of a timestep is a tuple: empty for zeros; the state; with a memory the state and the complement.
Shapes: `(batch, *features)` or `(batch, timesteps, *features)`, and numbers that broadcast against the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from keras import ops

from . import memory as memories
from .memory import Memory


class Moment(NamedTuple):
    """What the backward pass knows of a timestep, or of all.

    past: before it.
    membrane, spike, slope: slope is d spike / d membrane.
    grad_output: gradient of amplitude * spike.
    grad_state: of the state that it leaves, None where nothing depends on that.
    grad_drive: of what the past adds to the membrane.
    """

    past: tuple[Any, ...]
    membrane: Any
    spike: Any
    slope: Any
    grad_output: Any
    grad_state: Any
    grad_drive: Any


@dataclass(frozen=True)
class Equations:
    """Dynamics and numbers of one layer.

    Args:
        dynamics: `keras_ternary_spike.dynamics.Dynamics`.
        amplitude, decay, threshold: each a float or a tensor.
        memory: of the complemented neuron, None for any other.
        trains_decay, trains_threshold: whether their gradients are wanted.
        fused: whether a compiler fuses them.
    """

    dynamics: Any
    amplitude: Any
    decay: Any
    threshold: Any
    memory: Memory | None
    trains_decay: bool
    trains_threshold: bool
    fused: bool

    def integrate(self, past: tuple[Any, ...], current: Any) -> tuple[Any, tuple[Any, ...]]:
        """The membrane, and what of the past a spike does not clear: the complement, if there is one."""
        if not past:
            return current, () if self.memory is None else (ops.zeros_like(current),)
        leaked = self.decay * past[0]
        if self.memory is None:
            return leaked + current, ()
        complement = memories.recall(self.memory, leaked, past[1])
        return complement + current, (complement,)

    def fire(self, membrane: Any) -> tuple[Any, Any]:
        """Spike and state."""
        spike = self.dynamics.fire(membrane, self.threshold)
        return spike, self.dynamics.carry(membrane, spike, self.threshold, fused=self.fused)

    def slopes(self, membrane: Any, spike: Any) -> tuple[Any, Any]:
        """d spike / d membrane and d state / d membrane."""
        slope = self.dynamics.spike_slope(membrane, self.threshold)
        return slope, self.dynamics.carry_slope(membrane, spike, slope, self.threshold)

    def past_slopes(self, past: tuple[Any, ...]) -> tuple[Any, ...]:
        """d drive / d past, one for each of the past's tensors; drive is what the past adds to the membrane."""
        if self.memory is None:
            return (self.decay,)
        by_leaked, by_complement = memories.slopes(self.memory, self.decay * past[0], past[1])
        return self.decay * by_leaked, by_complement

    def terms(self, moment: Moment) -> list[Any]:
        """Gradients of amplitude, decay, threshold and factors, one for each neuron; None where there is none."""
        decay = self._decay_term(moment) if self.trains_decay and moment.past else None
        threshold = self._threshold_term(moment) if self.trains_threshold else None
        return [moment.grad_output * moment.spike, decay, threshold, *self._factor_terms(moment)]

    def _decay_term(self, moment: Moment) -> Any:
        state = moment.past[0]
        if self.memory is None:
            return moment.grad_drive * state
        return moment.grad_drive * state * memories.slopes(self.memory, self.decay * state, moment.past[1])[0]

    def _threshold_term(self, moment: Moment) -> Any:
        """Spikes depend on membrane / threshold: d spike / d threshold = -membrane / threshold * slope."""
        _, membrane, spike, slope, grad_output, grad_state, _ = moment
        by_membrane = grad_output * self.amplitude * slope
        by_reset = self.dynamics.reset_slope(membrane, spike, slope, self.threshold)
        if by_reset is not None and grad_state is not None:
            by_membrane = by_membrane + grad_state * by_reset
        term = -(membrane / self.threshold) * by_membrane
        taken_off = self.dynamics.taken_off_slope(spike)
        return term if taken_off is None or grad_state is None else term + grad_state * taken_off

    def _factor_terms(self, moment: Moment) -> list[Any]:
        if self.memory is None:
            return []
        if not moment.past:
            return [None] * len(self.memory.factors)
        state, complement = moment.past
        parts = memories.parts(self.memory.kind, self.decay * state, complement)
        return [moment.grad_drive * part for part in parts]
