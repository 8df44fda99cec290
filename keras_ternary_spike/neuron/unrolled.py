"""The recurrence with every timestep in the graph. Shapes and arguments: see `recurrence`.

`barrier(tensor)` stops a compiler from fusing what comes before the tensor; None where nothing needs one.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from .equations import Equations, Moment
from .packing import through_packed_words, word_size


def forward(equations: Equations, barrier: Any, current: Any, past: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Spikes, the last past, and of each timestep the membrane and what spikes do not clear, a list of tuples."""
    highest = equations.dynamics.highest
    spikes, past, steps = step_through(equations, barrier, current, past, distance=word_size(current.shape[1], highest))
    return ops.stack(spikes, axis=1) if barrier is None else through_packed_words(spikes, highest, barrier), past, steps


def step_through(
    equations: Equations, barrier: Any, current: Any, past: tuple[Any, ...], *, distance: int
) -> tuple[list[Any], Any, Any]:
    """As `forward`, but the spikes in a list; past every `distance` timesteps there is a barrier."""
    steps, spikes = [], []
    for timestep, membrane in enumerate(ops.unstack(current, axis=1)):
        membrane, kept = equations.integrate(past, membrane)
        if barrier and timestep and timestep % distance == 0:
            membrane, *kept = map(barrier, (membrane, *kept))
        spike, state = equations.fire(membrane)
        past = (state, *kept)
        steps.append((membrane, *kept))
        spikes.append(spike)
    return spikes, past, steps


def backward(
    equations: Equations, barrier: Any, steps: Any, past: Any, grad_outputs: Any, grad_membranes: Any, grad_past: Any
) -> tuple[Any, Any, Any, list[Any]]:
    """Gradients of current and of the first past, `Equations.terms` summed over timesteps, and the barriers' values.

    Every timestep's gradient passes a barrier. XLA keeps a barrier only if its value is also an output of the function;
    so these values are returned, and nobody uses them.
    """
    fired = [equations.fire(membrane) for membrane, *_ in steps]
    pasts = [past, *((state, *kept) for (_, state), (_, *kept) in zip(fired[:-1], steps[:-1], strict=True))]
    grad_outputs, grad_current, terms, kept_alive = ops.unstack(grad_outputs, axis=1), [], None, []
    grad_membranes = grad_membranes if grad_membranes is None else ops.unstack(grad_membranes, axis=1)
    for timestep in reversed(range(len(steps))):
        membrane, spike, grad_output = steps[timestep][0], fired[timestep][0], grad_outputs[timestep]
        slope, carry_slope = equations.slopes(membrane, spike)
        grad_membrane = grad_output * equations.amplitude * slope
        if grad_membranes is not None:
            grad_membrane = grad_membrane + grad_membranes[timestep]
        grad_state, *grad_kept = grad_past or (None,)
        if grad_state is not None:
            grad_membrane = grad_membrane + grad_state * carry_slope
        if barrier:
            kept_alive.append(grad_membrane := barrier(grad_membrane))
        grad_current.append(grad_membrane)
        grad_drive = grad_membrane + grad_kept[0] if grad_kept else grad_membrane
        if barrier and grad_kept:
            kept_alive.append(grad_drive := barrier(grad_drive))
        moment = Moment(pasts[timestep], membrane, spike, slope, grad_output, grad_state, grad_drive)
        terms = _added(terms, equations.terms(moment))
        if moment.past:
            grad_past = tuple(by_past * grad_drive for by_past in equations.past_slopes(moment.past))
    return ops.stack(grad_current[::-1], axis=1), grad_past, terms, kept_alive


def _added(sums: list[Any] | None, terms: list[Any]) -> list[Any]:
    """Sums and terms, with None for 0."""
    pairs = zip(sums or [None] * len(terms), terms, strict=True)
    return [total if term is None else term if total is None else total + term for total, term in pairs]
