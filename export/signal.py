"""What the emitters of single layers share: the value of a node in the program, and what they may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .builder import Builder
from .currents import CurrentGrid, effective_decay
from .grid import Grid, MembraneGrid
from .network import LIF, Network


@dataclass(frozen=True)
class Signal:
    """The value of a node in the program: one tensor, or one per timestep, all on one grid."""

    tensors: tuple[int, ...]
    grid: Grid


@dataclass(frozen=True)
class Context:
    """What emitting a node may look at. currents: the grids of values that reach neurons, by node name."""

    network: Network
    builder: Builder
    input_range: tuple[float, float]
    currents: Mapping[str, CurrentGrid]
    signals: dict[str, Signal] = field(default_factory=dict)
    inputs: list[int] = field(default_factory=list)


def neuron_grid(context: Context, node: LIF) -> MembraneGrid:
    return MembraneGrid(effective_decay(context.network, node), context.currents[node.inputs[0]].half)


def per_timestep(signal: Signal, name: str, emit: Callable[[int, str], int]) -> tuple[int, ...]:
    """Applies `emit(tensor, name)` at every timestep, or once where all timesteps are the same."""
    if len(set(signal.tensors)) == 1:
        return (emit(signal.tensors[0], name),) * len(signal.tensors)
    return tuple(emit(tensor, f"{name}/{t}") for t, tensor in enumerate(signal.tensors))
