"""What the emitters of single layers share: the value of a node in the program, and what they may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from ...network import nodes
from ...network.nodes import Network, Node
from ...program.builder import Builder
from ...program.grid import Grid
from ...program.names import STATE_IN, STATE_OUT, Name
from ..current_grids import CurrentGrid, effective_decay
from ..integer_neuron import Neuron, drop_steps
from .output_grids import OutputGrid

Form = Literal["unrolled", "step"]


@dataclass(frozen=True)
class Signal:
    """The value of a node in the program: one tensor, or one per timestep, all on one grid."""

    tensors: tuple[int, ...]
    grid: Grid


@dataclass(frozen=True)
class Context:
    """What emitting a node may look at, and what it leaves there.

    input_ranges: (low, high) of the samples, by the node name of the Input.
    currents: the grids of values that reach neurons, by node name.
    form: "unrolled", or "step": one timestep a call.
    inputs, states: the program's inputs so far; its state inputs and the tensors that hold their next values.
    output_ranges: (low, high) of values that leave the network, by the name of the linear node, where they are known.
    output_grids: the grids of such values.
    membranes: the membrane and the spikes of the last timestep of neurons whose state is read, by the name of the node
        that holds it.
    """

    network: Network
    builder: Builder
    input_ranges: Mapping[str, tuple[float, float]]
    currents: Mapping[str, CurrentGrid]
    form: Form = "unrolled"
    output_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    inputs: list[int] = field(default_factory=list)
    states: dict[int, int] = field(default_factory=dict)
    output_grids: dict[str, OutputGrid] = field(default_factory=dict)
    membranes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def timesteps(self) -> int:
        """How many timesteps the program computes."""
        return 1 if self.form == "step" else self.network.timesteps

    @property
    def windowed(self) -> bool:
        """Whether it is a stream without end: then sums over time are of a window."""
        return self.form == "step" and self.network.endless

    def unit(self, name: str) -> float:
        """What 1 of node `name` is worth in the file's real numbers."""
        if name in self.currents:
            return self.currents[name].unit
        return self.signals[name].grid.unit if name in self.signals else 1.0

    def state(self, name: str, shape: tuple[int, ...], grid: Grid, emit: Callable[[int], int]) -> int:
        """Emits `emit(state)`, with the state an input of the program and the result its next value. Returns that."""
        before = self.builder.activation(Name(name, STATE_IN), shape, grid)
        self.states[before] = after = emit(before)
        self.builder.rename(after, Name(name, STATE_OUT))
        return after


def fused_neuron(context: Context, node: Node) -> nodes.LIF | None:
    """The neuron that `node` alone drives, if it carries no state: the operator of `node` itself fires."""
    return _stateless_reader(context, node) if node.takes_activation else None


def _stateless_reader(context: Context, node: Node) -> nodes.LIF | None:
    readers = context.network.consumers(node.name)
    if len(readers) != 1:
        return None
    reader = readers[0]
    if isinstance(reader, nodes.Repeat):
        return _stateless_reader(context, reader)
    clips = isinstance(reader, nodes.LIF) and (reader.signed or reader.levels > 1)
    if clips and effective_decay(context.network, reader) == 0:
        return reader
    return None


def integer_neuron(context: Context, node: nodes.LIF | nodes.FinalState) -> Neuron:
    decay, current = effective_decay(context.network, node), context.currents[node.inputs[0]]
    drop = drop_steps(decay, current.quiet_steps, node.reset_amount) if node.reset == "subtract" else Fraction(0)
    return Neuron(node.name, decay, current.quiet_steps, node.signed, node.reset, drop, current.unit, node.levels)


def per_timestep(signal: Signal, name: Name, emit: Callable[[int, Name], int]) -> tuple[int, ...]:
    """Applies `emit(tensor, name)` at every timestep, or once where all timesteps are the same."""
    if len(set(signal.tensors)) == 1:
        return (emit(signal.tensors[0], name),) * len(signal.tensors)
    return tuple(emit(tensor, name.at(t)) for t, tensor in enumerate(signal.tensors))
