"""The neuron on an int8 grid: membranes are whole steps, and so is what is carried from timestep to timestep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import keras
from keras import ops

from ..backend import gradient
from ..registration import PACKAGE
from .rounding import INT8_MAX, INT8_MIN

FUSION_DEPTH = 4  # a compiler computes the chain of timesteps anew for each of its consumers


@dataclass(frozen=True, eq=False)
class ExactRecurrence:
    """The recurrence of `ExactLIF` with its gradient, as `gradient.call` takes it.

        unit = 2 * threshold, most = levels * unit, fired = min(|spike|, 1)
        slope = 1 / unit where |membrane| <= most (not signed: 0 <= membrane <= most), else 0
        grad_current[t] = grad_spike[t] * slope[t] + decay * grad_current[t+1]
                          * ((1 - fired[t]) - membrane[t] * d fired[t] / d spike[t] * slope[t])

    d fired / d spike is the spike itself up to the first level, and 0 beyond.

    Args:
        decay: Float, share of the membrane kept per timestep.
        threshold: Float, in steps. No membrane equals it.
        signed: whether spikes are -levels to levels, otherwise 0 to levels.
        fused: whether forward and backward are compiled; membranes are then computed again instead of saved.
        levels: the largest spike.
    """

    decay: float
    threshold: float
    signed: bool
    fused: bool
    levels: int = 1

    def forward(self, current: Any) -> tuple[tuple[Any], Any]:
        membranes = self._membranes(current)
        return (ops.stack([self._fire(m) for m in membranes], axis=1),), None if self.fused else membranes

    def backward(self, tensors: Sequence[Any], membranes: Any, upstream: Sequence[Any]) -> tuple[Any]:
        membranes = self._membranes(tensors[0]) if self.fused else membranes
        grad_outputs, gradients = ops.unstack(upstream[0], axis=1), []
        for membrane, grad in reversed(list(zip(membranes, grad_outputs, strict=True))):
            slope = self._slope(membrane)
            grad = grad * slope
            if gradients and self.decay:
                spike = self._fire(membrane)
                kept = 1.0 - self._fired(spike) - membrane * self._first_level(spike) * slope
                grad = grad + self.decay * gradients[-1] * kept
            gradients.append(grad)
        return (ops.stack(gradients[::-1], axis=1),)

    def _membranes(self, current: Any) -> list[Any]:
        membranes: list[Any] = []
        for membrane in ops.unstack(current, axis=1):
            if membranes and self.decay:
                state = membranes[-1] * (1.0 - self._fired(self._fire(membranes[-1])))
                membrane = ops.clip(ops.round(self.decay * state + membrane), INT8_MIN, INT8_MAX)
            membranes.append(membrane)
        return membranes

    def _fire(self, membrane: Any) -> Any:
        spike = self._crossed(membrane) if self.levels == 1 else self._level(membrane)
        return spike + (membrane - membrane)  # NaN stays NaN

    def _crossed(self, membrane: Any) -> Any:
        spike = ops.cast(membrane >= self.threshold, membrane.dtype)
        return spike - ops.cast(membrane <= -self.threshold, membrane.dtype) if self.signed else spike

    def _level(self, membrane: Any) -> Any:
        """A whole number over an odd one lies at least 1 / 256 off a tie: the rounding of the quotient is none."""
        nearest = ops.round(membrane * (0.5 / self.threshold))
        return ops.clip(nearest, -self.levels if self.signed else 0, self.levels)

    def _fired(self, spike: Any) -> Any:
        return ops.abs(spike) if self.levels == 1 else ops.minimum(ops.abs(spike), 1.0)

    def _first_level(self, spike: Any) -> Any:
        return spike if self.levels == 1 else spike * ops.cast(ops.abs(spike) <= 1, spike.dtype)

    def _slope(self, membrane: Any) -> Any:
        most = 2 * self.levels * self.threshold
        inside = ops.abs(membrane) <= most if self.signed else ops.abs(membrane - most / 2) <= most / 2
        return ops.cast(inside, membrane.dtype) * (0.5 / self.threshold)


@keras.saving.register_keras_serializable(package=PACKAGE)
class ExactLIF(keras.layers.Layer):
    """Leaky integrate-and-fire neurons on integers, over a sequence `(batch, timesteps, *features)`.

        membrane[t] = clip(round(decay * state[t-1] + current[t]), -128, 127)
        spike[t]    = round(membrane[t] / (2 * half + 1)) within [-levels, levels]; not signed: [0, levels]
        state[t]    = membrane[t] where spike[t] is 0, else 0

    One unit of 2 * threshold is 2 * half + 1 steps, so every threshold lies midway between two integers. The surrogate
    is `Rectangular()` in that unit.

    Args:
        decay: a fraction in [0, 1] with an odd denominator, such as "16/63".
        half: Integer >= 0.
        signed: Boolean. Whether spikes may be negative. Default: True.
        fires_only: Boolean. Whether the input is not on the grid: real numbers in units of 2 * threshold, and nothing
            is carried over to the next timestep. Default: False.
        levels: Integer >= 1, the largest spike. Default: 1.
    """

    def __init__(
        self,
        decay: str,
        half: int,
        signed: bool = True,
        fires_only: bool = False,
        levels: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decay, self.half, self.signed, self.fires_only = Fraction(decay), half, signed, fires_only
        self.levels = levels
        self.recurrence, self.fused_recurrence = (self._recurrence(fused) for fused in (False, True))

    def _recurrence(self, fused: bool) -> ExactRecurrence:
        decay, threshold = (0.0, 0.5) if self.fires_only else (float(self.decay), self.half + 0.5)
        return ExactRecurrence(decay, threshold, self.signed, fused, self.levels)

    def call(self, current: Any, training: bool = False) -> Any:
        shallow = None not in current.shape[1:] and current.shape[1] <= FUSION_DEPTH
        fused = bool(training) and shallow and gradient.can_fuse()
        return gradient.call(self.fused_recurrence if fused else self.recurrence, [current])[0]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("half", "signed", "fires_only", "levels")}
        return {**super().get_config(), "decay": str(self.decay), **own}
