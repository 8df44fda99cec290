"""The recurrence as a loop over timesteps, whose graph does not grow with them. Shapes and arguments: `recurrence`."""

from __future__ import annotations

from typing import Any

from keras import ops


def advance(dynamics: Any, current: Any, state: Any, numbers: Any) -> tuple[Any, Any, Any]:
    """amplitude * spike, the last state, and the membranes, `(batch, timesteps, *features)`."""
    amplitude, decay, threshold = numbers

    def carry(membrane):
        return dynamics.carry(membrane, dynamics.fire(membrane, threshold), threshold)

    def step(membrane, current_now):
        membrane = decay * carry(membrane) + current_now
        return membrane, membrane

    if state is not None:
        # The given state enters through the first current, so that the loop carries nothing but the membrane.
        first = ops.expand_dims(decay * state, 1) + current[:, :1]
        current = ops.concatenate([first, current[:, 1:]], axis=1)
    last, membranes = ops.scan(step, ops.zeros_like(current[:, 0]), ops.moveaxis(current, 1, 0))
    membranes = ops.moveaxis(membranes, 0, 1)
    return amplitude * dynamics.fire(membranes, threshold), carry(last), membranes


def retreat(dynamics: Any, membranes: Any, numbers: Any, grad_outputs: Any, grad_state: Any) -> tuple[Any, Any, Any]:
    """Gradients of current and of the first state, and `(batch, timesteps, *features)`, whose sum is amplitude's."""
    amplitude, decay, threshold = numbers
    spikes = dynamics.fire(membranes, threshold)
    slope = dynamics.spike_slope(membranes, threshold)
    carry_slope = dynamics.carry_slope(membranes, spikes, slope, threshold)
    direct = grad_outputs * amplitude * slope
    if grad_state is not None:
        last = direct[:, -1:] + ops.expand_dims(grad_state, 1) * carry_slope[:, -1:]
        direct = ops.concatenate([direct[:, :-1], last], axis=1)

    def step(grad_membrane, terms):
        grad_membrane = terms[0] + terms[1] * grad_membrane
        return grad_membrane, grad_membrane

    # One tensor, (timesteps, 2, batch, *features): Keras 3.15 cannot scan two of unknown length on TensorFlow.
    terms = ops.moveaxis(ops.stack([direct, decay * carry_slope]), 2, 0)
    first, grad_current = ops.scan(step, ops.zeros_like(membranes[:, 0]), terms, reverse=True)
    return ops.moveaxis(grad_current, 0, 1), decay * first, grad_outputs * spikes
