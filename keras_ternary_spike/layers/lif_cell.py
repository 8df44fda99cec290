"""What the cells share: one timestep of neurons, with the numbers that they are made of."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from ..neuron import surrogate as surrogates
from ..neuron.dynamics import Dynamics
from ..neuron.sequence import lif_step
from ..registration import PACKAGE
from .options import CellOptions, KerasOptions, MultiLevelCellOptions, config, option, part, resolved, shown, takes
from .parameters import Decay, Threshold


class MembraneCell(keras.layers.Layer):
    """What cells with a membrane share, LIFCell and LeakyIntegratorCell: its size, its type and its start.

    features: axes of the input without the batch axis; (1,) before `build`.
    """

    options: Any
    features: tuple[int | None, ...] = (1,)

    @property
    def compute_dtype(self) -> str:
        """float32 under float16 and bfloat16 policies, in which a membrane would lose small currents."""
        return keras.backend.result_type(super().compute_dtype, "float32")

    @property
    def output_size(self) -> int | tuple[int | None, ...]:
        """Features: an integer for vectors, a tuple for higher ranks. Known once built (1 before)."""
        return self.features[0] if len(self.features) == 1 else self.features

    @property
    def state_size(self) -> list[int | tuple[int | None, ...]]:
        """One state, the carried membrane, of the size of the output."""
        return [self.output_size]

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

    def __repr__(self) -> str:
        return shown(self, self.options)


class LIFCell(MembraneCell):
    """What TernaryLIFCell, BinaryLIFCell and MultiLevelLIFCell share; `levels` is where they differ."""

    levels: str | int
    unsigned = False
    dead_zone = 1.0
    options: CellOptions

    @takes(CellOptions)
    def __init__(self, options: CellOptions, others: dict[str, Any]) -> None:
        self._set_up(options, others)

    def _set_up(self, options: CellOptions, others: dict[str, Any]) -> None:
        """What constructors do."""
        super().__init__(**part(options, KerasOptions), **others)
        even, snap = options.reset == "subtract", options.snap_decay
        self._decay = Decay(options.decay, options.trainable_decay, options.decay_per, snap=snap, even=even)
        self._threshold = Threshold(options.threshold, options.trainable_threshold, options.threshold_per)
        self.dynamics = Dynamics(
            levels=self.levels,
            reset=options.reset,
            detach_reset=options.detach_reset,
            surrogate=surrogates.get(options.surrogate),
            reset_amount=float(options.reset_amount),
            separate_bumps=options.separate_bumps,
            unsigned=self.unsigned,
            dead_zone=self.dead_zone,
        )
        used = {"surrogate": self.dynamics.surrogate, "reset_amount": self.dynamics.reset_amount}
        self.options = options
        self._used = resolved(options, decay=self._decay.value, threshold=self._threshold.value, **used)
        self._decay_weight = self._threshold_weight = None

    trainable_amplitude = option("trainable_amplitude")
    amplitude_per = option("amplitude_per")
    amplitude_initializer = option("amplitude_initializer")
    amplitude_regularizer = option("amplitude_regularizer")
    amplitude_constraint = option("amplitude_constraint")

    @property
    def decay(self) -> Any:
        """As the neuron uses it: a float where it is fixed and one, else an array or tensor, `()` or `(channels,)`."""
        return _as_array(self.numbers["decay"])

    @property
    def threshold(self) -> Any:
        """As the neuron uses it: a float where it is fixed and one, else an array or tensor, `()` or `(channels,)`."""
        return _as_array(self.numbers["threshold"])

    @property
    def numbers(self) -> dict[str, Any]:
        """Decay and threshold for `lif_sequence`: floats, tuples of one for each channel, or tensors."""
        return {
            "decay": self._decay.number(self._decay_weight),
            "threshold": self._threshold.number(self._threshold_weight),
        }

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

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **config(self._used)}


@keras.saving.register_keras_serializable(package=PACKAGE)
class TernaryLIFCell(LIFCell):
    """One timestep of the leaky integrate-and-fire neuron with spikes in {-1, 0, +1}.

        membrane[t] = decay * membrane[t-1] * (1 - |spike[t-1]|) + current[t]
        spike[t]    = +1 if membrane[t] >= threshold, -1 if membrane[t] <= -threshold, else 0
        output[t]   = amplitude * spike[t]

    For features of any rank; `keras.layers.RNN(TernaryLIFCell())` works on vectors, and `TernaryLIF` is the
    faster layer for sequences of any shape. Reference: [Guo et al., 2024](https://arxiv.org/abs/2312.06372)

    Args: those of `TernaryLIF` but for return_sequences and spike_regularizer; name, dtype, trainable.

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
    """As `TernaryLIFCell`, with graded spikes: integers from -levels to levels, or from 0 to levels.

        spike[t] = round(membrane[t] / (2 * threshold)), halves away from zero, clipped to [-levels, levels]
        state[t] = 0 after any spike (reset="zero"); membrane[t] - reset_amount * threshold * spike[t] ("subtract")

    With levels=1 it is `TernaryLIFCell`; unsigned, `BinaryLIFCell`. The surrogate sits around the nearest threshold, an
    odd multiple of `threshold`: the rectangle of width 1 is straight-through up to 2 * levels * threshold. A trained
    threshold is a trained step: its gradient is divided by sqrt(neurons that share it * levels), after
    [Esser et al., 2020](https://arxiv.org/abs/1902.08153), so that it moves about as fast as weights do.

    Args:
        levels: Integer from 1 to 127.
        signed: Boolean. Whether there are spikes below 0. Default: True.
        dead_zone: Float >= 1, in thresholds. Nothing fires below dead_zone * threshold; from there on a level every
            2 * threshold. Default: 1.0, halfway to the first level.
        Further ones are those of `TernaryLIFCell`.
    """

    @takes(MultiLevelCellOptions)
    def __init__(self, options: MultiLevelCellOptions, others: dict[str, Any]) -> None:
        self.levels, self.unsigned, self.dead_zone = options.levels, not options.signed, float(options.dead_zone)
        self._set_up(options, others)

    @property
    def numbers(self) -> dict[str, Any]:
        """As of any cell; the threshold's gradient is scaled."""
        weight = self._threshold_weight
        if weight is None:
            return super().numbers
        shared = math.prod(size or 1 for size in self.features) / math.prod(weight.shape)
        threshold = self._threshold.from_weight(scale_gradient(weight.value, 1 / math.sqrt(shared * self.levels)))
        return {**super().numbers, "threshold": threshold}

    def get_config(self) -> dict[str, Any]:
        own = {"levels": self.levels, "signed": not self.unsigned, "dead_zone": self.dead_zone}
        return {**own, **super().get_config()}


def scale_gradient(tensor: Any, factor: float) -> Any:
    """The tensor, whose gradient passes times `factor`."""
    fixed = ops.stop_gradient(tensor)
    return fixed + factor * (tensor - fixed)


def _as_array(number: Any) -> Any:
    return np.array(number) if isinstance(number, tuple) else number
