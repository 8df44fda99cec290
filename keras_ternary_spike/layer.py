"""Spiking neurons as Keras layers: whole sequences, `(batch, timesteps, *features)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from . import activity, presets
from .cell import BinaryLIFCell, LIFCell, MultiLevelLIFCell, TernaryLIFCell
from .dynamics import DECAY, THRESHOLD, lif_sequence
from .surrogate import PACKAGE, Surrogate


class LIF(keras.layers.RNN):
    """What TernaryLIF, BinaryLIF and MultiLevelLIF share; `cell_class` is where they differ."""

    cell_class: type[LIFCell]

    def __init__(
        self,
        decay: float | Sequence[float] = DECAY,
        threshold: float | Sequence[float] = THRESHOLD,
        trainable_amplitude: bool = True,
        amplitude_per: str = "layer",
        surrogate: Surrogate | str | dict | None = "rectangular",
        reset: str = "zero",
        detach_reset: bool = False,
        amplitude_initializer: Any = "ones",
        amplitude_regularizer: Any = None,
        amplitude_constraint: Any = None,
        return_sequences: bool = True,
        *,
        trainable_threshold: bool = False,
        threshold_per: str = "layer",
        trainable_decay: bool = False,
        decay_per: str = "layer",
        snap_decay: bool = False,
        reset_amount: float = 1.0,
        separate_bumps: bool = False,
        spike_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        cell = self._make_cell(
            decay=decay,
            threshold=threshold,
            trainable_amplitude=trainable_amplitude,
            amplitude_per=amplitude_per,
            surrogate=surrogate,
            reset=reset,
            detach_reset=detach_reset,
            amplitude_initializer=amplitude_initializer,
            amplitude_regularizer=amplitude_regularizer,
            amplitude_constraint=amplitude_constraint,
            trainable_threshold=trainable_threshold,
            threshold_per=threshold_per,
            trainable_decay=trainable_decay,
            decay_per=decay_per,
            snap_decay=snap_decay,
            reset_amount=reset_amount,
            separate_bumps=separate_bumps,
            dtype=kwargs.get("dtype"),
            name="cell",
        )
        super().__init__(cell, return_sequences=return_sequences, **kwargs)
        self.spike_regularizers = activity.get(spike_regularizer)

    def _make_cell(self, **options: Any) -> LIFCell:
        return self.cell_class(**options)

    @property
    def decay(self) -> Any:
        return self.cell.decay

    @property
    def threshold(self) -> Any:
        return self.cell.threshold

    @property
    def amplitude(self) -> keras.Variable:
        return self.cell.amplitude

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        if len(sequences_shape) < 3:
            raise ValueError(
                f"{type(self).__name__} takes sequences of shape (batch, timesteps, *features) with at least "
                f"one feature axis. Received: shape {tuple(sequences_shape)}"
            )
        super().build(sequences_shape, initial_state_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if initial_state is None and not self.stateful:
            # A scalar stands for zeros everywhere: a feature axis may have no fixed size, and real zeros cost time.
            initial_state = [ops.zeros(())]
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """The sequence in one function, compiled in training; step by step, as Keras does it, where there is a mask."""
        state = keras.tree.flatten(initial_state)[0]
        given = len(state.shape) > 0
        if mask is not None:
            self._refuse_mask()
            state = state if given else ops.zeros_like(sequences[:, 0], dtype=self.cell.compute_dtype)
            return super().inner_loop(sequences, [state], mask, training)
        sequences, state = ops.flip(sequences, axis=1) if self.go_backwards else sequences, state if given else None
        if self.spike_regularizers:
            did = activity.lif_activity(sequences, state, dynamics=self.cell.dynamics, **self.cell.numbers)
            self.add_loss(activity.penalty(self.spike_regularizers, did))
        outputs, state = lif_sequence(
            sequences,
            state,
            amplitude=self.amplitude,
            dynamics=self.cell.dynamics,
            return_state=self.return_state or self.stateful,
            fuse=bool(training),
            **self.cell.numbers,
        )
        return outputs[:, -1], outputs, [] if state is None else [state]

    def _refuse_mask(self) -> None:
        if self.spike_regularizers:
            raise ValueError(
                f"A `spike_regularizer` needs sequences without a mask. Received: layer {self.name!r} with one. Cut "
                "the sequences to one length, or use no regularizer."
            )

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        state_shape = (sequences_shape[0], *sequences_shape[2:])
        output_shape = tuple(sequences_shape) if self.return_sequences else state_shape
        return (output_shape, state_shape) if self.return_state else output_shape

    def get_config(self) -> dict[str, Any]:
        config = {**self.cell.get_config(), **super().get_config()}
        del config["cell"]
        return {**config, "spike_regularizer": activity.serialize(self.spike_regularizers)}

    @classmethod
    def from_preset(cls, preset: str, **options: Any) -> LIF:
        """A layer that computes what others do.

        Args:
            preset: "paper" (Guo et al., 2024, with the numbers of its released code) or "official_code" (that code,
                which keeps the amplitude at 1).
            **options: any arguments of the layer; they come before those of the preset.

        Raises:
            ValueError: if nothing by that name is known.
        """
        return cls(**{**presets.preset(preset), **options})

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> LIF:
        return cls(**config)


@keras.saving.register_keras_serializable(package=PACKAGE)
class TernaryLIF(LIF):
    """Leaky integrate-and-fire neurons with spikes in {-1, 0, +1}, over a sequence.

        membrane[t] = decay * membrane[t-1] * (1 - |spike[t-1]|) + current[t]
        spike[t]    = +1 if membrane[t] >= threshold, -1 if membrane[t] <= -threshold, else 0
        output[t]   = amplitude * spike[t]

    The defaults, threshold=0.5 and decay=0.25, are what the paper's released code does, in the paper's
    definition: the code sets V_th = 1 and fires at |membrane| >= V_th / 2, equality included.
    Reference: [Guo et al., 2024](https://arxiv.org/abs/2312.06372)

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
        spike_regularizer: a loss on the bare spikes and membranes, such as `FiringRateTarget(target=0.1)`, or a list
            of them. Default: None.
        return_sequences: Boolean. Every timestep, or the last one only. Default: True.
        **kwargs: return_state, go_backwards, stateful, unroll and zero_output_for_mask as in
            `keras.layers.RNN` (unroll matters to masked sequences only); name, dtype, trainable.

    Call arguments:
        sequences: current, `(batch, timesteps, *features)`.
        initial_state: `(batch, *features)`, the membrane after the reset, before the decay. Default: zeros.
        mask: Boolean, `(batch, timesteps)`. A masked timestep leaves the state as it is.
        training: in training the sequence is compiled, where the backend can and its sizes are known; results
            are the same.

    Output shape:
        `(batch, timesteps, *features)`, or `(batch, *features)` with return_sequences=False; with return_state
        also the last state, `(batch, *features)`. Under float16 and bfloat16 policies the membrane is float32
        within the call, and rounded where it enters or leaves it.

    Raises:
        ValueError: decay outside [0, 1], threshold not positive, unknown values of options, inputs of integers or
            without a feature axis, unknown sizes where something is per channel or element, states of another shape.

    Example:

    >>> TernaryLIF()(np.ones((1, 4, 3), "float32")).shape
    TensorShape([1, 4, 3])
    """

    cell_class = TernaryLIFCell


@keras.saving.register_keras_serializable(package=PACKAGE)
class BinaryLIF(LIF):
    """As `TernaryLIF`, with spikes in {0, 1}: spike[t] = 1 if membrane[t] >= threshold, else 0.

    The baseline of the paper's comparison. Arguments, shapes and errors are those of `TernaryLIF`.
    """

    cell_class = BinaryLIFCell


@keras.saving.register_keras_serializable(package=PACKAGE)
class MultiLevelLIF(LIF):
    """As `TernaryLIF`, with integer spikes from -levels to levels, for comparison. It is not exported.

        spike[t] = round(membrane[t] / (2 * threshold)), halves away from zero, clipped to [-levels, levels]
        state[t] = 0 after any spike (reset="zero"); membrane[t] - reset_amount * threshold * spike[t] ("subtract")

    With levels=1 it is `TernaryLIF`. The surrogate sits around the nearest threshold, an odd multiple of `threshold`:
    the rectangle of width 1 is straight-through up to 2 * levels * threshold.

    Args:
        levels: Integer from 1 to 127.
        **options: those of `TernaryLIF`, by name.
    """

    cell_class = MultiLevelLIFCell

    def __init__(self, levels: int, **options: Any) -> None:
        self._levels = levels
        super().__init__(**options)

    def _make_cell(self, **options: Any) -> LIFCell:
        return self.cell_class(self._levels, **options)
