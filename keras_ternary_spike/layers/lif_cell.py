"""What the cells share: one timestep of neurons, with the numbers that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import constraints, initializers, ops, regularizers

from ..messages import listed
from ..neuron import surrogate as surrogates
from ..neuron.dynamics import Dynamics
from ..neuron.sequence import DECAY, THRESHOLD, lif_step
from ..registration import PACKAGE
from .parameters import Decay, Threshold


class LIFCell(keras.layers.Layer):
    """What TernaryLIFCell, BinaryLIFCell and MultiLevelLIFCell share; `levels` is where they differ."""

    levels: str | int

    def __init__(
        self,
        decay: float | Sequence[float] = DECAY,
        threshold: float | Sequence[float] = THRESHOLD,
        trainable_amplitude: bool = True,
        amplitude_per: str = "layer",
        surrogate: surrogates.Surrogate | str | dict | None = "rectangular",
        reset: str = "zero",
        detach_reset: bool = False,
        amplitude_initializer: Any = "ones",
        amplitude_regularizer: Any = None,
        amplitude_constraint: Any = None,
        *,
        trainable_threshold: bool = False,
        threshold_per: str = "layer",
        trainable_decay: bool = False,
        decay_per: str = "layer",
        snap_decay: bool = False,
        reset_amount: float = 1.0,
        separate_bumps: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._decay = Decay(decay, trainable_decay, decay_per, snap=snap_decay, even=reset == "subtract")
        self._threshold = Threshold(threshold, trainable_threshold, threshold_per)
        self.dynamics = Dynamics(
            levels=self.levels,
            reset=reset,
            detach_reset=detach_reset,
            surrogate=surrogates.get(surrogate),
            reset_amount=float(reset_amount),
            separate_bumps=separate_bumps,
        )
        self.trainable_amplitude = trainable_amplitude
        self.amplitude_per = _check_amplitude_per(amplitude_per)
        self.amplitude_initializer = initializers.get(amplitude_initializer)
        self.amplitude_regularizer = regularizers.get(amplitude_regularizer)
        self.amplitude_constraint = constraints.get(amplitude_constraint)
        self.features: tuple[int | None, ...] = (1,)
        self._decay_weight = self._threshold_weight = None

    @property
    def decay(self) -> Any:
        """As the neuron uses it: a float where it is fixed and one, else an array or tensor, `()` or `(channels,)`."""
        return _shown(self.numbers["decay"])

    @property
    def threshold(self) -> Any:
        """As the neuron uses it: a float where it is fixed and one, else an array or tensor, `()` or `(channels,)`."""
        return _shown(self.numbers["threshold"])

    @property
    def numbers(self) -> dict[str, Any]:
        """Decay and threshold for `lif_sequence`: floats, tuples of one for each channel, or tensors."""
        return {
            "decay": self._decay.number(self._decay_weight),
            "threshold": self._threshold.number(self._threshold_weight),
        }

    @property
    def compute_dtype(self) -> str:
        """float32 under float16 and bfloat16 policies: a rounded membrane crosses the threshold elsewhere."""
        return keras.backend.result_type(super().compute_dtype, "float32")

    @property
    def output_size(self) -> int | tuple[int | None, ...]:
        """Features: an integer for vectors, a tuple for higher ranks. Known once built (1 before)."""
        return self.features[0] if len(self.features) == 1 else self.features

    @property
    def state_size(self) -> list[int | tuple[int | None, ...]]:
        """One state, the carried membrane, of the size of the output."""
        return [self.output_size]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.features = tuple(input_shape[1:])
        self.amplitude = self.add_weight(
            name="amplitude",
            shape=self._amplitude_shape(),
            initializer=self.amplitude_initializer,
            regularizer=self.amplitude_regularizer,
            constraint=self.amplitude_constraint,
            trainable=self.trainable_amplitude,
        )
        self._threshold_weight = self._threshold.add_weight(self, self.features[-1])
        self._decay_weight = self._decay.add_weight(self, self.features[-1])

    def _amplitude_shape(self) -> tuple[int, ...]:
        """(), `(channels,)` or `features`: it broadcasts against the features."""
        shape = {"layer": (), "channel": self.features[-1:], "element": self.features}[self.amplitude_per]
        if None in shape:
            what = "channels, the last axis" if self.amplitude_per == "channel" else "every feature axis"
            raise ValueError(
                f"amplitude_per={self.amplitude_per!r} needs a fixed size of {what}. Received: features "
                f'{self.features} at {self.name!r}. Give the input its sizes, or use amplitude_per="layer".'
            )
        return shape

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, list[Any]]:
        state = states[0] if len(self.state_size) == 1 else states
        output, state = lif_step(inputs, state, amplitude=self.amplitude, dynamics=self.dynamics, **self.numbers)
        return output, keras.tree.flatten(state)

    def fit_amplitude(self, currents: Any, spikes: Any) -> None:
        """Set the amplitude to the least-squares fit of currents by amplitude * spikes, where there are spikes.

        currents, spikes: `(batch, timesteps, *features)`.
        """
        currents, spikes = (ops.cast(tensor, self.amplitude.dtype) for tensor in (currents, spikes))
        axes = tuple(range(len(currents.shape) - len(self.amplitude.shape)))
        products, squares = ops.sum(currents * spikes, axis=axes), ops.sum(spikes * spikes, axis=axes)
        fitted = ops.where(squares > 0, products / ops.maximum(squares, 1.0), self.amplitude.value)
        self.amplitude.assign(fitted if self.amplitude_constraint is None else self.amplitude_constraint(fitted))

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros, `[(batch_size, *features)]`.

        Raises:
            ValueError: before `build`, or where a feature axis has no fixed size.
        """
        if not self.built or None in self.features:
            raise ValueError(
                f"The initial state of '{self.name}' needs a fixed size of every feature axis: build the cell "
                f"on one, or pass `initial_state`. Received: built={self.built}, features={self.features}"
            )
        return [ops.zeros((batch_size, *self.features), dtype=self.compute_dtype)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **self._decay.get_config(),
            **self._threshold.get_config(),
            "trainable_amplitude": self.trainable_amplitude,
            "amplitude_per": self.amplitude_per,
            "surrogate": keras.saving.serialize_keras_object(self.dynamics.surrogate),
            "reset": self.dynamics.reset,
            "detach_reset": self.dynamics.detach_reset,
            "reset_amount": self.dynamics.reset_amount,
            "separate_bumps": self.dynamics.separate_bumps,
            "amplitude_initializer": initializers.serialize(self.amplitude_initializer),
            "amplitude_regularizer": regularizers.serialize(self.amplitude_regularizer),
            "amplitude_constraint": constraints.serialize(self.amplitude_constraint),
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class TernaryLIFCell(LIFCell):
    """One timestep of the leaky integrate-and-fire neuron with spikes in {-1, 0, +1}.

        membrane[t] = decay * membrane[t-1] * (1 - |spike[t-1]|) + current[t]
        spike[t]    = +1 if membrane[t] >= threshold, -1 if membrane[t] <= -threshold, else 0
        output[t]   = amplitude * spike[t]

    For features of any rank; `keras.layers.RNN(TernaryLIFCell())` works on vectors, and `TernaryLIF` is the
    faster layer for sequences of any shape. Reference: [Guo et al., 2024](https://arxiv.org/abs/2312.06372)

    Args:
        decay: Float in [0, 1], or a sequence of one for each channel. Share of the membrane kept per timestep (the
            paper's tau). Default: 0.25.
        threshold: Float > 0, or a sequence of one for each channel, in units of the membrane. Equality fires.
            Default: 0.5.
        trainable_amplitude: Boolean. Whether the weight `amplitude` is trained. Default: True.
        amplitude_per: "layer" (one scalar, the paper's), "channel" (one per index of the last axis) or "element"
            (one per feature, after [Guo et al., 2022](https://arxiv.org/abs/2210.06686)). Default: "layer".
        surrogate: a `Surrogate`, its name, or None for `Rectangular()`, the paper's. Default: "rectangular".
        reset: "zero" (a spike clears the membrane), "subtract" (it takes the threshold off) or "none" (the membrane
            is carried on as it is). Default: "zero".
        detach_reset: Boolean. Whether the gradient ignores the reset's dependence on the membrane.
        amplitude_initializer, amplitude_regularizer, amplitude_constraint: as for any Keras weight.
            Default: "ones", None, None.
        trainable_threshold, trainable_decay: Boolean. Whether a weight stands for it, exp(log_threshold) and
            sigmoid(logit_decay). Default: False.
        threshold_per, decay_per: "layer" or "channel": who shares a trained one. Default: "layer".
        snap_decay: Boolean. Whether the decay is the nearest fraction with an odd denominator of at most 63, as in an
            exported file. Default: False.
        reset_amount: Float > 0, in thresholds per spike: what reset="subtract" takes off. Default: 1.0.
        separate_bumps: Boolean. Whether each threshold has a surrogate of its own, and where they overlap they add up.
            Default: False, the nearest counts alone.

    Call arguments:
        inputs: current, `(batch, *features)`.
        states: `[state]` with state `(batch, *features)`: the membrane after the reset, before the decay.

    Returns:
        `(output, [state])`, both `(batch, *features)`, in float32 under half-precision policies.

    Raises:
        ValueError: decay outside [0, 1], threshold not positive, unknown values of options, unknown sizes where
            something is per channel or element, inputs of integers, states of another shape.
    """

    levels = "ternary"


@keras.saving.register_keras_serializable(package=PACKAGE)
class BinaryLIFCell(LIFCell):
    """As `TernaryLIFCell`, with spikes in {0, 1}: spike[t] = 1 if membrane[t] >= threshold, else 0.

    The baseline of the paper's comparison. Arguments, shapes and errors are those of `TernaryLIFCell`.
    """

    levels = "binary"


@keras.saving.register_keras_serializable(package=PACKAGE)
class MultiLevelLIFCell(LIFCell):
    """As `TernaryLIFCell`, with integer spikes from -levels to levels, for comparison.

        spike[t] = round(membrane[t] / (2 * threshold)), halves away from zero, clipped to [-levels, levels]
        state[t] = 0 after any spike (reset="zero"); membrane[t] - reset_amount * threshold * spike[t] ("subtract")

    With levels=1 it is `TernaryLIFCell`. The surrogate sits around the nearest threshold, an odd multiple of
    `threshold`: the rectangle of width 1 is straight-through up to 2 * levels * threshold.

    Args:
        levels: Integer from 1 to 127.
        **options: those of `TernaryLIFCell`, by name.
    """

    def __init__(self, levels: int, **options: Any) -> None:
        self.levels = levels
        super().__init__(**options)

    def get_config(self) -> dict[str, Any]:
        return {"levels": self.levels, **super().get_config()}


AMPLITUDES = ("layer", "channel", "element")


def _shown(number: Any) -> Any:
    return np.array(number) if isinstance(number, tuple) else number


def _check_amplitude_per(amplitude_per: str) -> str:
    if amplitude_per not in AMPLITUDES:
        raise ValueError(f"`amplitude_per` must be {listed(AMPLITUDES)}. Received: amplitude_per={amplitude_per!r}")
    return amplitude_per
