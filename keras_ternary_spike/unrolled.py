"""The recurrence with every timestep in the graph. Shapes and arguments: see `recurrence`.

`wall(tensor, timestep)` returns the tensor as it is, or stops a compiler from fusing what comes before it.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def advance(dynamics: Any, wall: Any, current: Any, state: Any, numbers: Any) -> tuple[Any, Any, Any]:
    """amplitude * spike, the last state, and the membranes, a list over timesteps."""
    amplitude, decay, threshold = numbers
    membranes, spikes = [], []
    for timestep, membrane in enumerate(ops.unstack(current, axis=1)):
        membrane = wall(membrane if state is None else decay * state + membrane, timestep)
        spike = dynamics.fire(membrane, threshold)
        state = dynamics.carry(membrane, spike, threshold)
        membranes.append(membrane)
        spikes.append(spike)
    return amplitude * ops.stack(spikes, axis=1), state, membranes


def retreat(
    dynamics: Any, wall: Any, membranes: Any, numbers: Any, grad_outputs: Any, grad_state: Any
) -> tuple[Any, Any, Any]:
    """Gradients of current and of the first state, and `(batch, *features)`, whose sum is amplitude's."""
    amplitude, decay, threshold = numbers
    spikes = [dynamics.fire(membrane, threshold) for membrane in membranes]
    grad_outputs, grad_current, grad_amplitude = ops.unstack(grad_outputs, axis=1), [], None
    for timestep in reversed(range(len(membranes))):
        membrane, spike, grad_output = membranes[timestep], spikes[timestep], grad_outputs[timestep]
        slope = dynamics.spike_slope(membrane, threshold)
        grad_membrane = grad_output * amplitude * slope
        if grad_state is not None:
            carry_slope = dynamics.carry_slope(membrane, spike, slope, threshold)
            grad_membrane = grad_membrane + grad_state * carry_slope
        grad_membrane = wall(grad_membrane, timestep)
        grad_state = decay * grad_membrane
        grad_current.append(grad_membrane)
        term = grad_output * spike
        grad_amplitude = term if grad_amplitude is None else grad_amplitude + term
    return ops.stack(grad_current[::-1], axis=1), grad_state, grad_amplitude
