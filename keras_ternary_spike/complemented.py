"""The complemented ternary neuron: a membrane with a memory that spikes do not clear."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from . import activity
from .cell import LIFCell
from .dynamics import lif_step
from .firing import listed
from .layer import LIF
from .surrogate import PACKAGE

MEMORIES = ("static", "dynamic")
FACTORS = ("alpha", "beta", "gamma")


def complemented_membrane(state: Any, complement: Any, current: Any, *, factors: Any, memory: str) -> tuple[Any, Any]:
    """The membrane and the complement of one timestep; see `ComplementedTernaryLIFCell`.

    Args:
        state: what the reset left of the membrane, times the decay.
        complement: of the timestep before.
        factors: sigmoid of alpha, beta and gamma.
    """
    alpha, beta, gamma = factors
    if memory == "static":
        complement = alpha * ops.relu(complement) - beta * ops.relu(-complement) + gamma * state
    else:
        complement = alpha * complement + beta * ops.relu(state) - gamma * ops.relu(-state)
    return complement + current, complement


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
        **options: those of `TernaryLIFCell`, by name.

    Call arguments:
        inputs: current, `(batch, *features)`.
        states: `[state, complement]`, each `(batch, *features)`: the membrane after the reset, before the decay.

    Raises:
        ValueError: unknown memory; what `TernaryLIFCell` refuses.
    """

    levels = "ternary"

    def __init__(self, memory: str = "static", **options: Any) -> None:
        super().__init__(**options)
        if memory not in MEMORIES:
            raise ValueError(f"`memory` must be {listed(MEMORIES)}. Received: memory={memory!r}")
        self.memory = memory

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
    def factors(self) -> tuple[Any, ...]:
        """a, b and c of the equations, tensors in (0, 1)."""
        return tuple(ops.sigmoid(ops.convert_to_tensor(weight)) for weight in (self.alpha, self.beta, self.gamma))

    def integrate(self, current: Any, states: Any) -> tuple[Any, Any]:
        """The membrane and the complement of one timestep."""
        decay = ops.convert_to_tensor(self.numbers["decay"], dtype=current.dtype)
        state, complement = states
        return complemented_membrane(decay * state, complement, current, factors=self.factors, memory=self.memory)

    def fire(self, membrane: Any, amplitude: Any = 1.0) -> tuple[Any, Any]:
        """amplitude * spike and the membrane after the reset, with the surrogate's gradient."""
        return lif_step(
            membrane, None, amplitude=amplitude, dynamics=self.dynamics, threshold=self.numbers["threshold"]
        )

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, list[Any]]:
        membrane, complement = self.integrate(inputs, states)
        output, state = self.fire(membrane, self.amplitude)
        return output, [state, complement]

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros, two tensors of shape `(batch_size, *features)`."""
        return 2 * super().get_initial_state(batch_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "memory": self.memory}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ComplementedTernaryLIF(LIF):
    """A layer of `ComplementedTernaryLIFCell` over a sequence, `(batch, timesteps, *features)`.

    Differentiated step by step, with more memory than `TernaryLIF` takes; not exported. Train it with
    `spike_regularizer=TemporalMembranePotential(...)`, the paper's.

    Args:
        memory: "static" (still images) or "dynamic" (events). Default: "static".
        **options: those of `TernaryLIF`, by name. With return_state there are two: membrane and complement.

    Raises:
        ValueError: unknown memory; what `TernaryLIF` refuses.
    """

    cell_class = ComplementedTernaryLIFCell

    def __init__(self, memory: str = "static", **options: Any) -> None:
        self._memory = memory
        super().__init__(**options)

    def _make_cell(self, **options: Any) -> LIFCell:
        return self.cell_class(self._memory, **options)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if initial_state is None and not self.stateful:
            initial_state = [ops.zeros(()), ops.zeros(())]
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        current = ops.cast(sequences, self.cell.compute_dtype)
        zeros = ops.zeros_like(current[:, 0])
        states = [zeros + ops.cast(state, zeros.dtype) for state in keras.tree.flatten(initial_state)]
        if mask is not None:
            self._refuse_mask()
            return keras.layers.RNN.inner_loop(self, current, states, mask, training)

        def step(states, current):
            membrane, complement = self.cell.integrate(current, (states[:, 0], states[:, 1]))
            after = ops.stack([self.cell.fire(membrane)[1], complement], axis=1)
            return after, ops.stack([membrane, complement], axis=1)

        current = ops.flip(current, axis=1) if self.go_backwards else current
        inner, states = activity.over_time(step, ops.stack(states, axis=1), current)
        membranes = inner[:, :, 0]
        spikes, _ = self.cell.fire(membranes)
        if self.spike_regularizers:
            did = activity.activity_of(spikes, membranes, signed=True)
            self.add_loss(activity.penalty(self.spike_regularizers, did))
        outputs = ops.cast(self.amplitude, spikes.dtype) * spikes
        return outputs[:, -1], outputs, [states[:, 0], states[:, 1]]

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        shape = super().compute_output_shape(sequences_shape)
        return (*shape, shape[1]) if self.return_state else shape
