"""What the layers share: whole sequences, their states, their first amplitudes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
from keras import ops

from . import activity, presets
from . import mask as masks
from .dynamics import DECAY, THRESHOLD, check_current, lif_membranes, lif_sequence
from .lif_cell import LIFCell
from .surrogate import Surrogate


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
        # In a namespace, which Keras does not search for weights.
        self._former = SimpleNamespace(states={})

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
        if len(sequences_shape) < 3:
            raise ValueError(
                f"{type(self).__name__} takes sequences of shape (batch, timesteps, *features) with at least "
                f"one feature axis. Received: shape {tuple(sequences_shape)}"
            )
        if self.stateful and sequences_shape[0] is None:
            raise ValueError(
                f"stateful=True needs a fixed batch size. Received: shape {tuple(sequences_shape)} at {self.name!r}. "
                "Give it to the input, keras.Input(batch_shape=(1, ...)), or hand the state on by `initial_state`."
            )
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

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> LIF:
        return cls(**config)
