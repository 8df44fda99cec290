"""The neuron's equations as pure functions, forward and backward, for one step or a whole sequence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from . import recurrence
from .dynamics import Dynamics
from .memory import Memory

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
    memory: Memory | None = None,
    dynamics: Dynamics = DEFAULT,
    return_state: bool = True,
    fuse: bool = False,
) -> tuple[Any, Any]:
    """Leaky integrate-and-fire over a whole sequence, with one hand-written gradient.

        membrane[t] = decay * state[t-1] + current[t];   spike[t], state[t] = fire and reset (see `Dynamics`)

    `docs/neuron.md` writes the backward pass out. Gradients flow into current, state, amplitude, decay, threshold and
    the memory's factors. Half-precision inputs are integrated in float32.

    Args:
        current: `(batch, timesteps, *features)`.
        state: `(batch, *features)`, the state before the first timestep; with a memory a pair, state and complement.
            Default: None, zeros.
        amplitude: scalar, or a shape that broadcasts against the features. Factor of the spikes.
        decay: scalar, or a shape that broadcasts against the features, in [0, 1]. A Python float, and a tuple of one
            for each channel, is a constant of the graph and has no gradient. Default: 0.25.
        threshold: likewise, > 0. Default: 0.5.
        memory: a `Memory`, which adds what `memory` describes in place of decay * state. Default: None.
        dynamics: levels, reset and surrogate. Default: `Dynamics()`.
        return_state: whether the last state is wanted. Default: True.
        fuse: whether forward and backward may each become one compiled function, which converters to other
            formats do not read: for training. Layers of equal options and shapes share them. Default: False.

    Returns:
        amplitude * spike, `(batch, timesteps, *features)`, in current's dtype, and the last state, as `state`,
        in float32 (float64 if current is), or None without `return_state`.

    Raises:
        ValueError: if timesteps is 0, current holds integers, or the state's shape is not that of one timestep.
    """
    current = ops.convert_to_tensor(current)
    tensors = _in_float32(current, state, amplitude, decay, threshold, memory)
    outputs, _, past = recurrence.run(dynamics, *tensors, return_past=return_state, fuse=fuse)
    return ops.cast(outputs, current.dtype), _state(past)


def lif_membranes(
    current: Any,
    state: Any = None,
    *,
    decay: Any = DECAY,
    threshold: Any = THRESHOLD,
    memory: Memory | None = None,
    dynamics: Dynamics = DEFAULT,
    return_state: bool = True,
    fuse: bool = False,
) -> tuple[Any, Any, Any]:
    """Spikes, membranes and the last state of `lif_sequence`, whose arguments these are, in float32 or more.

    The membranes, `(batch, timesteps, *features)`, are those before the reset. Gradients flow through them too.
    """
    tensors = _in_float32(ops.convert_to_tensor(current), state, 1.0, decay, threshold, memory)
    flags = {"return_membranes": True, "return_past": return_state, "fuse": fuse}
    spikes, membranes, past = recurrence.run(dynamics, *tensors, **flags)
    return spikes, membranes, _state(past)


def lif_step(current: Any, state: Any, **options: Any) -> tuple[Any, Any]:
    """One timestep of `lif_sequence`.

    Args:
        current: `(batch, *features)`.
        state: `(batch, *features)`, what the timestep before left; with a memory a pair. None: zeros.
        **options: those of `lif_sequence`, from `amplitude` on, but `return_state`.

    Returns:
        amplitude * spike, `(batch, *features)`, in current's dtype, and the state for the next timestep.

    Raises:
        ValueError: if current holds integers, or the state's shape is not current's.
    """
    outputs, state = lif_sequence(ops.expand_dims(current, 1), state, **options)
    return ops.squeeze(outputs, 1), state


def _in_float32(current: Any, state: Any, amplitude: Any, decay: Any, threshold: Any, memory: Memory | None) -> tuple:
    """What `recurrence.run` takes, checked, in float32, or float64 if current is."""
    check_current(current)
    dtype = keras.backend.result_type(current.dtype, "float32")
    past = () if state is None else tuple(state) if isinstance(state, list | tuple) else (state,)
    for tensor in past:
        _check_state(tensor, current)
    current, amplitude, *past = (ops.cast(tensor, dtype) for tensor in (current, amplitude, *past))
    decay, threshold = (
        number if isinstance(number, float | tuple) else ops.cast(number, dtype) for number in (decay, threshold)
    )
    if memory is not None:
        memory = Memory(memory.kind, tuple(ops.cast(factor, dtype) for factor in memory.factors))
    return current, tuple(past), amplitude, decay, threshold, memory


def _state(past: tuple[Any, ...]) -> Any:
    """As users see it: one tensor, a pair, or None where there is none."""
    return past if len(past) > 1 else past[0] if past else None


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
