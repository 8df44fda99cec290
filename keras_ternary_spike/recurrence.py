"""The recurrence over time: unrolled or looped, forward and backward, as one custom gradient.

Shapes: current, outputs and membranes `(batch, timesteps, *features)`; state `(batch, *features)`;
amplitude and decay broadcast against the features. `dynamics` is a `keras_ternary_spike.dynamics.Dynamics`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

UNROLL_LIMIT = 32


def run(dynamics: Any, current: Any, state: Any, amplitude: Any, decay: Any) -> tuple[Any, Any]:
    """amplitude * spike at every timestep, and the last state, with gradients for all four tensors.

    Up to `UNROLL_LIMIT` timesteps the graph is unrolled; beyond, or where their number is not known,
    it is a loop whose size does not depend on them.
    """
    timesteps = current.shape[1]
    unroll = timesteps is not None and timesteps <= UNROLL_LIMIT
    forward, backward = (_forward_unrolled, _backward_unrolled) if unroll else (_forward_looped, _backward_looped)

    @ops.custom_gradient
    def sequence(current, state, amplitude, decay):
        outputs, last_state, membranes = forward(dynamics, current, state, amplitude, decay)

        def gradient(*upstream):
            # TensorFlow passes one argument per output, JAX one tuple.
            grad_outputs, grad_state = keras.tree.flatten(upstream)
            return backward(dynamics, membranes, state, amplitude, decay, grad_outputs, grad_state)

        return (outputs, last_state), gradient

    return sequence(current, state, amplitude, decay)


def _forward_unrolled(dynamics, current, state, amplitude, decay):
    membranes, spikes = [], []
    for current_now in ops.unstack(current, axis=1):
        membrane = decay * state + current_now
        spike = dynamics.fire(membrane)
        state = dynamics.carry(membrane, spike)
        membranes.append(membrane)
        spikes.append(spike)
    return amplitude * ops.stack(spikes, axis=1), state, membranes


def _backward_unrolled(dynamics, membranes, state, amplitude, decay, grad_outputs, grad_state):
    spikes = [dynamics.fire(membrane) for membrane in membranes]
    previous = [state] + [dynamics.carry(*pair) for pair in zip(membranes[:-1], spikes[:-1], strict=True)]
    grad_current, grad_amplitude, grad_decay = [], 0.0, 0.0
    steps = zip(membranes, spikes, previous, ops.unstack(grad_outputs, axis=1), strict=True)
    for membrane, spike, previous_state, grad_output in reversed(list(steps)):
        slope = dynamics.spike_slope(membrane)
        carry_slope = dynamics.carry_slope(membrane, spike, slope)
        grad_membrane = grad_output * amplitude * slope + grad_state * carry_slope
        grad_state = decay * grad_membrane
        grad_current.append(grad_membrane)
        grad_amplitude = grad_amplitude + _sum_to(grad_output * spike, amplitude)
        grad_decay = grad_decay + _sum_to(grad_membrane * previous_state, decay)
    return ops.stack(grad_current[::-1], axis=1), grad_state, grad_amplitude, grad_decay


def _forward_looped(dynamics, current, state, amplitude, decay):
    def advance(membrane, current_now):
        membrane = decay * dynamics.carry(membrane, dynamics.fire(membrane)) + current_now
        return membrane, membrane

    # The given state enters through the first current, so that the loop carries nothing but the membrane.
    first = ops.expand_dims(decay * state, 1) + current[:, :1]
    current = ops.moveaxis(ops.concatenate([first, current[:, 1:]], axis=1), 1, 0)
    last, membranes = ops.scan(advance, ops.zeros_like(state), current)
    membranes = ops.moveaxis(membranes, 0, 1)
    return amplitude * dynamics.fire(membranes), dynamics.carry(last, dynamics.fire(last)), membranes


def _backward_looped(dynamics, membranes, state, amplitude, decay, grad_outputs, grad_state):
    spikes = dynamics.fire(membranes)
    slope = dynamics.spike_slope(membranes)
    carry_slope = dynamics.carry_slope(membranes, spikes, slope)
    direct = grad_outputs * amplitude * slope
    last = direct[:, -1:] + ops.expand_dims(grad_state, 1) * carry_slope[:, -1:]
    direct = ops.concatenate([direct[:, :-1], last], axis=1)

    def retreat(grad_membrane, step):
        grad_membrane = step[0] + step[1] * grad_membrane
        return grad_membrane, grad_membrane

    # One tensor, (timesteps, 2, batch, *features): Keras 3.15 cannot scan two of unknown length on TensorFlow.
    steps = ops.moveaxis(ops.stack([direct, decay * carry_slope]), 2, 0)
    first, grad_current = ops.scan(retreat, ops.zeros_like(state), steps, reverse=True)
    grad_current = ops.moveaxis(grad_current, 0, 1)
    states = dynamics.carry(membranes, spikes)[:, :-1]
    previous = ops.concatenate([ops.expand_dims(state, 1), states], axis=1)
    grad_amplitude = _sum_to(grad_outputs * spikes, amplitude)
    return grad_current, decay * first, grad_amplitude, _sum_to(grad_current * previous, decay)


def _sum_to(values: Any, parameter: Any) -> Any:
    """Sum over the axes along which `parameter` was broadcast to the shape of `values`."""
    leading = len(values.shape) - len(parameter.shape)
    single = [leading + axis for axis, size in enumerate(parameter.shape) if size == 1]
    return ops.reshape(ops.sum(values, axis=(*range(leading), *single)), parameter.shape)
