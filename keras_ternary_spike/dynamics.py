"""The neuron's equations as pure functions, forward and backward, for one step or a whole sequence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from . import recurrence
from .firing import Dynamics

DECAY = 0.25
THRESHOLD = 0.5
DEFAULT = Dynamics()


def lif_sequence(
    current: Any,
    state: Any = None,
    *,
    amplitude: Any = 1.0,
    decay: Any = DECAY,
    threshold: Any = THRESHOLD,
    dynamics: Dynamics = DEFAULT,
    return_state: bool = True,
    fuse: bool = False,
) -> tuple[Any, Any]:
    """Leaky integrate-and-fire over a whole sequence, with one hand-written gradient.

        membrane[t] = decay * state[t-1] + current[t];   spike[t], state[t] = fire and reset (see `Dynamics`)

    `docs/neuron.md` writes the backward pass out. Gradients flow into current, state, amplitude, decay and threshold.
    Half-precision inputs are integrated in float32.

    Args:
        current: `(batch, timesteps, *features)`.
        state: `(batch, *features)`, the state before the first timestep. Default: None, zeros.
        amplitude: scalar, or a shape that broadcasts against the features. Factor of the spikes.
        decay: scalar, or a shape that broadcasts against the features, in [0, 1]. A Python float, and a tuple of one
            for each channel, is a constant of the graph and has no gradient. Default: 0.25.
        threshold: likewise, > 0. Default: 0.5.
        dynamics: levels, reset and surrogate. Default: `Dynamics()`.
        return_state: whether the last state is wanted. Default: True.
        fuse: whether forward and backward may each become one compiled function, which converters to other
            formats do not read: for training. It is compiled once per `dynamics` object. Default: False.

    Returns:
        amplitude * spike, `(batch, timesteps, *features)`, in current's dtype, and the last state,
        `(batch, *features)`, in float32 (float64 if current is), or None without `return_state`.

    Raises:
        ValueError: if timesteps is 0, current holds integers, or the state's shape is not that of one timestep.
    """
    current = ops.convert_to_tensor(current)
    check_current(current)
    dtype = keras.backend.result_type(current.dtype, "float32")
    tensors = [None if tensor is None else ops.cast(tensor, dtype) for tensor in (current, state, amplitude)]
    if state is not None:
        _check_state(tensors[1], current)
    decay, threshold = (
        number if isinstance(number, float | tuple) else ops.cast(number, dtype) for number in (decay, threshold)
    )
    outputs, last_state = recurrence.run(dynamics, *tensors, decay, threshold, return_state=return_state, fuse=fuse)
    return ops.cast(outputs, current.dtype), last_state


def lif_step(
    current: Any,
    state: Any,
    *,
    amplitude: Any = 1.0,
    decay: Any = DECAY,
    threshold: Any = THRESHOLD,
    dynamics: Dynamics = DEFAULT,
) -> tuple[Any, Any]:
    """One timestep of `lif_sequence`: current and output are `(batch, *features)`."""
    numbers = {"amplitude": amplitude, "decay": decay, "threshold": threshold}
    outputs, state = lif_sequence(ops.expand_dims(current, 1), state, dynamics=dynamics, **numbers)
    return ops.squeeze(outputs, 1), state


def check_current(current: Any) -> None:
    """Raise a ValueError if `(batch, timesteps, *features)` has no timestep, or holds integers."""
    if current.shape[1] == 0:
        raise ValueError(f"`timesteps` must be at least 1. Received: current with shape {tuple(current.shape)}")
    dtype = keras.backend.standardize_dtype(current.dtype)
    if "float" not in dtype:
        raise ValueError(
            f"`current` must hold floats: spikes of integers would be rounded to their type. Received: current with "
            f'dtype {dtype}. Cast it, keras.ops.cast(current, "float32").'
        )


def _check_state(state: Any, current: Any) -> None:
    expected = (current.shape[0], *current.shape[2:])
    pairs = zip(expected, state.shape, strict=False)
    if len(state.shape) != len(expected) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
        raise ValueError(
            f"The state must have the shape of one timestep, (batch, *features) = {tuple(expected)}. Received: state "
            f"with shape {tuple(state.shape)}"
        )
