"""The recurrence as a loop over timesteps, whose graph does not grow with them. Shapes and arguments: `recurrence`."""

from __future__ import annotations

from typing import Any

from keras import ops

from .equations import Equations, Moment


def forward(equations: Equations, current: Any, past: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Spikes, the last past, and the membranes and what spikes do not clear, a tuple over all timesteps."""

    def step(past, current_now):
        membrane, kept = equations.integrate(_unpacked(past, count), current_now)
        return _packed((equations.fire(membrane)[1], *kept)), _packed((membrane, *kept))

    count = 1 if equations.memory is None else 2
    past = past or (ops.zeros_like(current[:, 0]),) * count
    # What the loop carries and what it gives have one shape: Keras 3.15 wants that on TensorFlow.
    last, steps = ops.scan(step, _packed(past), ops.moveaxis(current, 1, 0))
    steps = tuple(ops.moveaxis(tensor, 0, 1) for tensor in _unpacked(steps, count, axis=2))
    return equations.fire(steps[0])[0], _unpacked(last, count), steps


def backward(
    equations: Equations, steps: Any, past: Any, grad_outputs: Any, grad_membranes: Any, grad_past: Any
) -> tuple[Any, Any, Any]:
    """Gradients of current and of the first past, and `Equations.terms` of all timesteps."""
    membranes, *kept = steps
    spikes, states = equations.fire(membranes)
    slope, carry_slope = equations.slopes(membranes, spikes)
    direct = grad_outputs * equations.amplitude * slope
    direct = direct if grad_membranes is None else direct + grad_membranes
    grad_last = grad_past or (ops.zeros_like(membranes[:, 0]),) * len(steps)
    # The gradient of what the past adds to a membrane, grad_drive, follows from the next one's linearly.
    by_past = equations.past_slopes((states, *kept))
    at_end = sum(_after([ops.expand_dims(grad, 1) for grad in grad_last], carry_slope[:, -1:]))
    starts = ops.concatenate([direct[:, :-1], direct[:, -1:] + at_end], axis=1)
    grad_drive = _backwards(starts, sum(_after(by_past, carry_slope)))
    later = ops.concatenate([grad_drive[:, 1:], ops.zeros_like(grad_drive[:, :1])], axis=1)
    grad_pasts = [_ending(by * later, grad) for by, grad in zip(by_past, grad_last, strict=True)]
    grad_current = grad_drive if not kept else direct + grad_pasts[0] * carry_slope
    firsts = past or (ops.zeros_like(membranes[:, 0]),) * len(steps)
    pasts = tuple(_shifted(first, after) for first, after in zip(firsts, (states, *kept), strict=True))
    terms = equations.terms(Moment(pasts, membranes, spikes, slope, grad_outputs, grad_pasts[0], grad_drive))
    grad_first = [by * grad_drive[:, 0] for by in equations.past_slopes(past)] if past else []
    return grad_current, tuple(grad_first), terms


def _after(by_past: Any, carry_slope: Any) -> list[Any]:
    """By what a timestep leaves, the state and what spikes do not clear: by its membrane's drive instead."""
    by_state, *by_kept = by_past
    return [by_state * carry_slope, *by_kept]


def _backwards(starts: Any, factors: Any) -> Any:
    """results[t] = starts[t] + factors[t] * results[t+1], `(batch, timesteps, *features)`."""

    def step(result, now):
        result = now[0] + now[1] * result
        return result, result

    # One tensor, (timesteps, 2, batch, *features): Keras 3.15 cannot scan two of unknown length on TensorFlow.
    stacked = ops.moveaxis(ops.stack([starts, factors]), 2, 0)
    _, results = ops.scan(step, ops.zeros_like(starts[:, 0]), stacked, reverse=True)
    return ops.moveaxis(results, 0, 1)


def _ending(values: Any, last: Any) -> Any:
    return ops.concatenate([values[:, :-1], ops.expand_dims(last, 1)], axis=1)


def _shifted(first: Any, after: Any) -> Any:
    """What comes before each timestep, from what comes after it."""
    return ops.concatenate([ops.expand_dims(first, 1), after[:, :-1]], axis=1)


def _packed(tensors: Any) -> Any:
    """One tensor; several are stacked along axis 1."""
    return tensors[0] if len(tensors) == 1 else ops.stack(tensors, axis=1)


def _unpacked(packed: Any, count: int, axis: int = 1) -> tuple[Any, ...]:
    return (packed,) if count == 1 else tuple(ops.unstack(packed, count, axis=axis))
