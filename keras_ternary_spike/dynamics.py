"""The neuron's equations as pure functions, forward and backward, for one step or a whole sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from . import recurrence
from .surrogate import Rectangular, Surrogate

DECAY = 0.25
THRESHOLD = 0.5
LEVELS = ("ternary", "binary")
RESETS = ("zero", "subtract", "none")


@dataclass(frozen=True)
class Dynamics:
    """What happens at one timestep, apart from the leak. Elementwise, for any shape.

        spike = +1 if membrane >= threshold, -1 if membrane <= -threshold, else 0     (levels="ternary")
        spike = 1 if membrane >= threshold, else 0                                    (levels="binary")
        state = membrane * (1 - |spike|)                                              (reset="zero")
        state = membrane - threshold * spike                                          (reset="subtract")
        state = membrane                                                              (reset="none")

    Args:
        threshold: Float > 0, in units of the membrane; a membrane equal to it fires. Default: 0.5.
        levels: "ternary" or "binary".
        reset: "zero", "subtract" or "none".
        detach_reset: whether the gradient of the state ignores that the reset depends on the membrane.
        surrogate: a `Surrogate`; stands in for d spike / d membrane.

    Raises:
        ValueError: if threshold is not positive and finite, or levels or reset are not known.
    """

    threshold: float = THRESHOLD
    levels: str = "ternary"
    reset: str = "zero"
    detach_reset: bool = False
    surrogate: Surrogate = field(default_factory=Rectangular)

    def __post_init__(self) -> None:
        if not (0 < self.threshold < math.inf):
            raise ValueError(f"`threshold` must be positive and finite. Received: threshold={self.threshold}")
        if self.levels not in LEVELS:
            raise ValueError(f"`levels` must be {listed(LEVELS)}. Received: levels={self.levels!r}")
        if self.reset not in RESETS:
            raise ValueError(f"`reset` must be {listed(RESETS)}. Received: reset={self.reset!r}")

    def fire(self, membrane: Any) -> Any:
        """Spikes, unscaled: -1, 0 or 1 where the membrane is finite, NaN where it is not."""
        spike = ops.cast(membrane >= self.threshold, membrane.dtype)
        if self.levels == "ternary":
            spike = spike - ops.cast(membrane <= -self.threshold, membrane.dtype)
        # 0 where finite, NaN elsewhere: a comparison alone would turn NaN into silence.
        return spike + (membrane - membrane)

    def carry(self, membrane: Any, spike: Any) -> Any:
        """State: the membrane after the reset, before the decay."""
        if self.reset == "zero":
            return membrane * (1.0 - ops.abs(spike))
        return membrane - self.threshold * spike if self.reset == "subtract" else membrane

    def spike_slope(self, membrane: Any) -> Any:
        """d spike / d membrane as the surrogate has it."""
        height = ops.abs(membrane) if self.levels == "ternary" else membrane
        return self.surrogate((height - self.threshold) / self.threshold) / self.threshold

    def carry_slope(self, membrane: Any, spike: Any, spike_slope: Any) -> Any:
        """d state / d membrane. d |spike| / d spike is taken as sign(spike), 0 at 0."""
        if self.reset == "zero":
            kept = 1.0 - ops.abs(spike)
            return kept if self.detach_reset else kept - membrane * spike * spike_slope
        reads_spike = self.reset == "subtract" and not self.detach_reset
        return 1.0 - self.threshold * spike_slope if reads_spike else ops.ones_like(membrane)


def listed(names: tuple[str, ...]) -> str:
    """Names for a message: "'a', 'b' or 'c'"."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}"


def check_decay(decay: float) -> float:
    """`decay` as a float.

    Raises:
        ValueError: outside [0, 1].
    """
    if not (0 <= decay <= 1):
        raise ValueError(f"`decay` must lie in [0, 1]. Received: decay={decay}")
    return float(decay)


DEFAULT = Dynamics()


def lif_sequence(
    current: Any,
    state: Any = None,
    *,
    amplitude: Any = 1.0,
    decay: Any = DECAY,
    dynamics: Dynamics = DEFAULT,
    return_state: bool = True,
    fuse: bool = False,
) -> tuple[Any, Any]:
    """Leaky integrate-and-fire over a whole sequence, with one hand-written gradient.

        membrane[t] = decay * state[t-1] + current[t];   spike[t], state[t] = fire and reset (see `Dynamics`)

    `docs/neuron.md` writes the backward pass out. Gradients flow into current, state, amplitude and decay.
    Half-precision inputs are integrated in float32.

    Args:
        current: `(batch, timesteps, *features)`.
        state: `(batch, *features)`, the state before the first timestep. Default: None, zeros.
        amplitude: scalar, or a shape that broadcasts against the features. Factor of the spikes.
        decay: scalar, or a shape that broadcasts against the features, in [0, 1]. A Python float is a constant
            of the graph and has no gradient.
        dynamics: threshold, levels, reset and surrogate. Default: `Dynamics()`.
        return_state: whether the last state is wanted. Default: True.
        fuse: whether forward and backward may each become one compiled function, which converters to other
            formats do not read: for training. It is compiled once per `dynamics` object. Default: False.

    Returns:
        amplitude * spike, `(batch, timesteps, *features)`, in current's dtype, and the last state,
        `(batch, *features)`, in float32 (float64 if current is), or None without `return_state`.

    Raises:
        ValueError: if timesteps is 0.
    """
    current = ops.convert_to_tensor(current)
    if current.shape[1] == 0:
        raise ValueError(f"`timesteps` must be at least 1. Received: current with shape {current.shape}")
    dtype = keras.backend.result_type(current.dtype, "float32")
    tensors = [None if tensor is None else ops.cast(tensor, dtype) for tensor in (current, state, amplitude)]
    decay = decay if isinstance(decay, float) else ops.cast(decay, dtype)
    outputs, last_state = recurrence.run(dynamics, *tensors, decay, return_state=return_state, fuse=fuse)
    return ops.cast(outputs, current.dtype), last_state


def lif_step(
    current: Any, state: Any, *, amplitude: Any = 1.0, decay: Any = DECAY, dynamics: Dynamics = DEFAULT
) -> tuple[Any, Any]:
    """One timestep of `lif_sequence`: current and output are `(batch, *features)`."""
    outputs, state = lif_sequence(
        ops.expand_dims(current, 1), state, amplitude=amplitude, decay=decay, dynamics=dynamics
    )
    return ops.squeeze(outputs, 1), state
