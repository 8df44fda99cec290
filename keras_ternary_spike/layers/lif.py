"""What the layers share: whole sequences, their states, their first amplitudes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
from keras import ops

from ..neuron import masking as masks
from ..neuron.sequence import check_current, lif_membranes, lif_sequence
from ..registration import PACKAGE
from . import presets
from . import spike_regularizers as activity
from .lif_cell import BinaryLIFCell, LIFCell, MultiLevelLIFCell, TernaryLIFCell
from .misplaced import warn_of_image
from .options import LIFOptions, MultiLevelOptions, RNNOptions, of_cell, part, shown, takes


class LIF(keras.layers.RNN):
    """What TernaryLIF, BinaryLIF and MultiLevelLIF share; `cell_class` is where they differ."""

    cell_class: type[LIFCell]
    options: LIFOptions

    @takes(LIFOptions)
    def __init__(self, options: LIFOptions, others: dict[str, Any]) -> None:
        self._set_up(options, others)

    def _set_up(self, options: LIFOptions, others: dict[str, Any]) -> None:
        """What constructors do."""
        cell = self.cell_class(name="cell", **of_cell(options, self.cell_class))
        super().__init__(cell, **part(options, RNNOptions), **others)
        self.spike_regularizers = activity.get(options.spike_regularizer)
        self.options = options
        # In a namespace, which Keras does not search for weights.
        self._former = SimpleNamespace(states={})

    @property
    def decay(self) -> Any:
        return self.cell.decay

    @property
    def threshold(self) -> Any:
        return self.cell.threshold

    @property
    def amplitude(self) -> keras.Variable:
        return self.cell.amplitude

    def adapt(self, currents: Any) -> None:
        """Set the amplitude so that amplitude * spike is nearest to the current, in least squares.

            amplitude = sum current * spike / sum spike^2

        over the neurons, timesteps and samples that share it: the mean |current| where it fires with the current's
        sign. An amplitude whose neurons never fire stays as it is; `amplitude_constraint` holds. A choice of this
        package, in the manner of data-dependent initialization
        ([Krahenbuhl et al., 2016](https://arxiv.org/abs/1511.06856)).

        Args:
            currents: `(samples, timesteps, *features)`, one batch.

        Raises:
            ValueError: if a current is not finite.
        """
        currents = ops.convert_to_tensor(currents)
        if not self.built:
            self.build(currents.shape)
        if not bool(ops.all(ops.isfinite(currents))):
            raise ValueError(f"`currents` must be finite to adapt to. Received: NaN or infinity at {self.name!r}")
        spikes, _ = lif_sequence(currents, dynamics=self.cell.dynamics, **self.cell.numbers)
        self.cell.fit_amplitude(currents, spikes)

    def reset_state(self, batch_size: int | None = None) -> None:
        """Set the state of a stateful layer to zero; with `batch_size`, for batches of that size from now on.

        Raises:
            ValueError: with a batch size, if the layer is not stateful or not built.
        """
        if batch_size is not None:
            self._resize_state(batch_size)
        super().reset_state()

    def _resize_state(self, batch_size: int) -> None:
        if not (self.stateful and self.states):
            raise ValueError(
                "`batch_size` is that of a state: the layer must have stateful=True and be built. Received: "
                f"batch_size={batch_size} at {self.name!r}, stateful={self.stateful}, built={self.built}"
            )
        # States of former sizes are kept: compiled functions hold on to them. Keras lets no built layer set variables.
        self._former.states[self.states[0].shape[0]] = self.states
        vars(self)["states"] = self._former.states.get(batch_size)
        super().build((batch_size, None, *self.cell.features))
        self._expected_batch_size = batch_size

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        check_sequences(self, sequences_shape)
        super().build(sequences_shape, initial_state_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        check_current(sequences)
        if initial_state is None and not self.stateful:
            # A scalar stands for zeros everywhere: a feature axis may have no fixed size, and real zeros cost time.
            initial_state = [ops.zeros(()) for _ in self.cell.state_size]
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """The sequence in one function, compiled in training."""
        states = keras.tree.flatten(initial_state)
        state = states if len(states[0].shape) else None
        if self.go_backwards:
            sequences, mask = ops.flip(sequences, axis=1), mask if mask is None else ops.flip(mask, axis=1)
        options = {"dynamics": self.cell.dynamics, "fuse": bool(training), **self.cell.numbers}
        options["return_state"] = self.return_state or self.stateful
        if mask is not None or self.spike_regularizers:
            outputs, state = self._observed(sequences, state, mask, options)
        else:
            outputs, state = lif_sequence(sequences, state, amplitude=self.amplitude, **options)
        return outputs[:, -1], outputs, [] if state is None else keras.tree.flatten(state)

    def _observed(self, current: Any, state: Any, mask: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        """`lif_sequence` with a mask, or for regularizers, which see spikes and membranes of the same pass."""
        if mask is None:
            spikes, membranes, state = lif_membranes(current, state, **options)
        else:
            mask = ops.cast(mask, "bool")
            spikes, membranes, state = masks.lif_masked(current, state, mask, **options)
        if self.spike_regularizers:
            front = None if mask is None else masks.front(mask)
            did = activity.activity_of(spikes, membranes, signed=self.cell.dynamics.signed, mask=front)
            self.add_loss(activity.penalty(self.spike_regularizers, did))
        if mask is not None:
            spikes = masks.spread(spikes, mask, zero=self.zero_output_for_mask)
        return ops.cast(ops.cast(self.amplitude, spikes.dtype) * spikes, current.dtype), state

    def compute_output_spec(self, sequences: Any, *args: Any, **kwargs: Any) -> Any:
        warn_of_image(self, sequences)
        return super().compute_output_spec(sequences, *args, **kwargs)

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
            preset: "paper" (Guo et al., 2024, with the numbers of its released code), "official_code" (that code,
                which keeps the amplitude at 1), "spikingjelly" (`TernaryLIFNode` and, of `BinaryLIF`, `LIFNode`) or
                "snntorch" (of `BinaryLIF`, `Leaky`). `docs/neuron.md` writes them out.
            **options: any arguments of the layer; they come before those of the preset. What a preset derives from
                the decay is derived from the given one.

        Raises:
            ValueError: if nothing by that name is known.
        """
        return cls(**{**presets.preset(preset, options.get("decay")), **options})

    def __repr__(self) -> str:
        return shown(self, self.options)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> LIF:
        return cls(**config)


def check_sequences(layer: keras.layers.RNN, shape: Any) -> None:
    """Raises ValueError unless the inputs are sequences of features, of a batch of a stateful layer's."""
    if len(shape) < 3:
        raise ValueError(
            f"{type(layer).__name__} takes sequences of shape (batch, timesteps, *features) with at least "
            f"one feature axis. Received: shape {tuple(shape)}"
        )
    if layer.stateful and shape[0] is None:
        raise ValueError(
            f"stateful=True needs a fixed batch size. Received: shape {tuple(shape)} at {layer.name!r}. "
            "Give it to the input, keras.Input(batch_shape=(1, ...)), or hand the state on by `initial_state`."
        )


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
            `keras.layers.RNN` (unroll changes nothing); name, dtype, trainable.

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
    """As `TernaryLIF`, with graded spikes: integers from -levels to levels, or from 0 to levels.

        spike[t] = round(membrane[t] / (2 * threshold)), halves away from zero, clipped to [-levels, levels]
        state[t] = 0 after any spike (reset="zero"); membrane[t] - reset_amount * threshold * spike[t] ("subtract")

    With levels=1 it is `TernaryLIF`; unsigned, `BinaryLIF`. The surrogate sits around the nearest threshold, an odd
    multiple of `threshold`: the rectangle of width 1 is straight-through up to 2 * levels * threshold. A trained
    threshold is a trained step: its gradient is divided by sqrt(neurons that share it * levels), after
    [Esser et al., 2020](https://arxiv.org/abs/1902.08153). `docs/levels.md` says when to use which.

    Args:
        levels: Integer from 1 to 127.
        signed: Boolean. Whether there are spikes below 0. Default: True.
        dead_zone: Float >= 1, in thresholds. Nothing fires below dead_zone * threshold; from there on a level every
            2 * threshold. Default: 1.0, halfway to the first level.
        Further ones are those of `TernaryLIF`.

    Example:

    >>> MultiLevelLIF(4, signed=False)(np.array([[[-3.0, 0.4, 0.5, 1.6, 9.0]]], "float32")).numpy().tolist()
    [[[0.0, 0.0, 1.0, 2.0, 4.0]]]
    """

    cell_class = MultiLevelLIFCell

    @takes(MultiLevelOptions)
    def __init__(self, options: MultiLevelOptions, others: dict[str, Any]) -> None:
        self._set_up(options, others)
