"""The complemented ternary neuron: a membrane with a memory that spikes do not clear."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..messages import listed
from ..neuron.memory import MEMORIES, Memory
from ..registration import PACKAGE
from .lif import LIF
from .lif_cell import LIFCell
from .options import ComplementedCellOptions, ComplementedOptions, takes

FACTORS = ("alpha", "beta", "gamma")


@keras.saving.register_keras_serializable(package=PACKAGE)
class ComplementedTernaryLIFCell(LIFCell):
    """CTSN, one timestep: a ternary neuron with a learned memory of its past that spikes do not clear.

        state[t]      = decay * membrane[t-1] * (1 - |spike[t-1]|)
        complement[t] = a * max(complement[t-1], 0) + b * min(complement[t-1], 0) + c * state[t]    (memory="static")
        complement[t] = a * complement[t-1] + b * max(state[t], 0) + c * min(state[t], 0)           (memory="dynamic")
        membrane[t]   = complement[t] + current[t]
        spike[t]      = +1 if membrane[t] >= threshold, -1 if membrane[t] <= -threshold, else 0

    a, b and c are the sigmoids of the weights alpha, beta and gamma, three scalars a layer, initially 0. The equations
    are those of the paper's released code. Reference: [Zhang et al., 2026](https://arxiv.org/abs/2601.15598)

    Args:
        memory: "static" (still images) or "dynamic" (events). Default: "static".
        Further ones are those of `TernaryLIFCell`.

    Call arguments:
        inputs: current, `(batch, *features)`.
        states: `[state, complement]`, each `(batch, *features)`: the membrane after the reset, before the decay.

    Raises:
        ValueError: unknown memory; what `TernaryLIFCell` refuses.
    """

    levels = "ternary"

    @takes(ComplementedCellOptions)
    def __init__(self, options: ComplementedCellOptions, others: dict[str, Any]) -> None:
        self._set_up(options, others)
        if options.memory not in MEMORIES:
            raise ValueError(f"`memory` must be {listed(MEMORIES)}. Received: memory={options.memory!r}")
        self.memory = options.memory

    @property
    def state_size(self) -> list[int | tuple[int | None, ...]]:
        """Two states of the size of the output: the carried membrane and the complement."""
        return [self.output_size, self.output_size]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.alpha, self.beta, self.gamma = (
            self.add_weight(name=name, shape=(), initializer="zeros") for name in FACTORS
        )

    @property
    def numbers(self) -> dict[str, Any]:
        """As those of `TernaryLIFCell`, and the memory with its factors, tensors in (0, 1)."""
        weights = (self.alpha, self.beta, self.gamma)
        factors = tuple(ops.sigmoid(ops.convert_to_tensor(weight)) for weight in weights)
        return {**super().numbers, "memory": Memory(self.memory, factors)}

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros, two tensors of shape `(batch_size, *features)`."""
        return 2 * super().get_initial_state(batch_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "memory": self.memory}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ComplementedTernaryLIF(LIF):
    """A layer of `ComplementedTernaryLIFCell` over a sequence, `(batch, timesteps, *features)`.

    One function with one hand-written gradient, compiled in training, as `TernaryLIF` is; not exported. Train it with
    `spike_regularizer=TemporalMembranePotential(...)`, the paper's.

    Args:
        memory: "static" (still images) or "dynamic" (events). Default: "static".
        Further ones are those of `TernaryLIF`. With return_state there are two: membrane and complement.

    Raises:
        ValueError: unknown memory; what `TernaryLIF` refuses.
    """

    cell_class = ComplementedTernaryLIFCell

    @takes(ComplementedOptions)
    def __init__(self, options: ComplementedOptions, others: dict[str, Any]) -> None:
        self._set_up(options, others)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        shape = super().compute_output_shape(sequences_shape)
        return (*shape, shape[1]) if self.return_state else shape
