"""A membrane that never fires: what many spiking networks end with, and read instead of spikes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from ..neuron.sequence import check_current
from ..registration import PACKAGE
from .lif import check_sequences
from .lif_cell import MembraneCell
from .options import (
    IntegratorCellOptions,
    IntegratorOptions,
    KerasOptions,
    LeakOptions,
    RNNOptions,
    of_cell,
    part,
    shown,
    takes,
)
from .parameters import Decay

UNROLLED = 16  # timesteps


@keras.saving.register_keras_serializable(package=PACKAGE)
class LeakyIntegratorCell(MembraneCell):
    """One timestep of a leaky integrator: the membrane is the output, and nothing ever clears it.

        membrane[t] = decay * membrane[t-1] + current[t]

    Args: those of `LeakyIntegrator` but for those of `keras.layers.RNN`; name, dtype, trainable.

    Call arguments:
        inputs: current, `(batch, *features)`.
        states: `[membrane]`, `(batch, *features)`.

    Returns:
        `(membrane, [membrane])`, both `(batch, *features)`, in float32 under half-precision policies.

    Raises:
        ValueError: decay outside [0, 1], one for each channel of an unknown number.
    """

    options: IntegratorCellOptions

    @takes(IntegratorCellOptions)
    def __init__(self, options: IntegratorCellOptions, others: dict[str, Any]) -> None:
        super().__init__(**part(options, KerasOptions), **others)
        self._decay = Decay(options.decay, options.trainable_decay, options.decay_per, snap=options.snap_decay)
        self.options = options
        self._decay_weight = None

    @property
    def decay(self) -> Any:
        """As the cell uses it: a float where it is fixed and one, else an array or tensor, `()` or `(channels,)`."""
        number = self._decay.number(self._decay_weight)
        return np.array(number) if isinstance(number, tuple) else number

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.features = tuple(input_shape[1:])
        self._decay_weight = self._decay.add_weight(self, self.features[-1])

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, list[Any]]:
        current, before = (ops.cast(tensor, self.compute_dtype) for tensor in (inputs, states[0]))
        membrane = ops.cast(self.decay, self.compute_dtype) * before + current
        return membrane, [membrane]

    def get_config(self) -> dict[str, Any]:
        leak = part(self.options, LeakOptions)
        decay = np.asarray(self._decay.value, float).tolist()
        return {**super().get_config(), **leak, "decay": decay}


@keras.saving.register_keras_serializable(package=PACKAGE)
class LeakyIntegrator(keras.layers.RNN):
    """Leaky integrators that do not fire, over a sequence: a membrane readout, as the last layer.

        membrane[t] = decay * membrane[t-1] + current[t]

    What SpikingJelly calls NonSpikingLIFNode and Norse LI; a last `Leaky` of snnTorch whose membrane is read, with a
    threshold that it never reaches. Behind it: `[:, -1]` or return_sequences=False, `TimeMax()`, or nothing.

    Args:
        decay: Float in [0, 1], or a sequence of one for each channel. Share of the membrane kept per timestep.
            Default: 0.9.
        trainable_decay: Boolean. Whether a weight stands for it, sigmoid(logit_decay). Default: False.
        decay_per: "layer" or "channel": who shares a trained one. Default: "layer".
        snap_decay: Boolean. Whether the decay is the nearest fraction with an odd denominator of at most 63, as in an
            exported file. Default: False.
        return_sequences: Boolean. Every timestep, or the last one only. Default: True.
        **kwargs: return_state, go_backwards, stateful, unroll and zero_output_for_mask as in `keras.layers.RNN`; name,
            dtype, trainable.

    Call arguments:
        sequences: current, `(batch, timesteps, *features)`.
        initial_state: `(batch, *features)`, the membrane before the decay. Default: zeros.
        mask: Boolean, `(batch, timesteps)`. A masked timestep leaves the membrane as it is.

    Output shape:
        `(batch, timesteps, *features)`, or `(batch, *features)` with return_sequences=False; with return_state also the
        last membrane, `(batch, *features)`.

    Raises:
        ValueError: as `TernaryLIF`.

    Example:

    >>> LeakyIntegrator(0.5)(np.array([[[4.0], [0.0], [1.0]]], "float32")).numpy().ravel().tolist()
    [4.0, 2.0, 2.0]
    """

    options: IntegratorOptions

    @takes(IntegratorOptions)
    def __init__(self, options: IntegratorOptions, others: dict[str, Any]) -> None:
        cell = LeakyIntegratorCell(name="cell", **of_cell(options, LeakyIntegratorCell))
        super().__init__(cell, **part(options, RNNOptions), **others)
        self.options = options

    @property
    def decay(self) -> Any:
        return self.cell.decay

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        check_sequences(self, sequences_shape)
        super().build(sequences_shape, initial_state_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        check_current(sequences)
        if initial_state is None and not self.stateful:  # a feature axis may have no fixed size
            initial_state = [ops.zeros_like(sequences[:, 0], dtype=self.cell.compute_dtype)]
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        dtype = sequences.dtype
        widened, timesteps = ops.cast(sequences, self.cell.compute_dtype), sequences.shape[1]
        if mask is None and timesteps is not None and timesteps <= UNROLLED:
            last, outputs, states = self._unrolled(widened, keras.tree.flatten(initial_state))
        else:
            last, outputs, states = super().inner_loop(widened, initial_state, mask, training)
        return ops.cast(last, dtype), ops.cast(outputs, dtype), states

    def _unrolled(self, sequences: Any, states: list[Any]) -> tuple[Any, Any, list[Any]]:
        """As Keras's loop, which takes seconds to build, timestep after timestep."""
        timesteps, membranes = range(sequences.shape[1]), []
        for t in reversed(timesteps) if self.go_backwards else timesteps:
            membrane, states = self.cell(sequences[:, t], states)
            membranes.append(membrane)
        return membranes[-1], ops.stack(membranes, axis=1), states

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        state_shape = (sequences_shape[0], *sequences_shape[2:])
        output_shape = tuple(sequences_shape) if self.return_sequences else state_shape
        return (output_shape, state_shape) if self.return_state else output_shape

    def get_config(self) -> dict[str, Any]:
        config = {**self.cell.get_config(), **super().get_config()}
        del config["cell"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> LeakyIntegrator:
        return cls(**config)

    def __repr__(self) -> str:
        return shown(self, self.options)
