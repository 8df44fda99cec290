"""Sums of integers: of branches, and over timesteps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ...network import nodes
from ...program.builder import Builder
from ...program.grid import INT8_MAX, Grid, firing_activation, spike_grid
from ...program.names import Name
from .context import Context, Signal, fused_neuron
from .over_time import emit_membrane_sum, emit_window_sum

Pairs = Sequence[tuple[int, int]]


def emit_add(context: Context, node: nodes.Add, *sources: Signal) -> Signal:
    """A chain of ADD with one scale for all: sums of spikes, or of currents on one grid.

    The last one fires where the neuron behind it carries no state.
    """
    grid, neuron = sum_grid(node, [source.grid for source in sources]), fused_neuron(context, node)
    total, *others, last = (source.tensors for source in sources)
    for position, tensors in enumerate(others, start=1):
        name = Name(node.name, "sum", index=str(position))
        total = emit_sums(context.builder, node, name, _pairs(total, tensors), grid)
    pairs = _pairs(total, last)
    if neuron and all(first != second for first, second in pairs):
        spike = spike_grid(neuron.levels, signed=neuron.signed)
        return Signal(emit_fired_sums(context.builder, neuron, pairs, spike), spike)
    name = Name(node.name, "sum", index=str(len(others) + 1) if others else "")
    return Signal(emit_sums(context.builder, node, name, pairs, grid), grid)


def _pairs(first: tuple[int, ...], second: tuple[int, ...]) -> Pairs:
    return list(zip(first, second, strict=True))


def emit_sums(builder: Builder, node: nodes.Add, name: Name, pairs: Pairs, grid: Grid) -> tuple[int, ...]:
    constant = len(set(pairs)) == 1
    return tuple(
        builder.emit("ADD", pair, name if constant else name.at(t), node.shape, grid) for t, pair in enumerate(pairs)
    )


def emit_fired_sums(builder: Builder, neuron: nodes.LIF, pairs: Pairs, spike: Grid) -> tuple[int, ...]:
    """Rounds sums of two currents to spikes, as ADD(sum, 0) would."""
    clip = firing_activation(spike)
    return tuple(
        builder.emit("ADD", pair, Name(neuron.name, "spike", t), neuron.shape, spike, activation=clip)
        for t, pair in enumerate(pairs)
    )


def sum_grid(node: nodes.Add, grids: list[Grid]) -> Grid:
    if len({(grid.scale, grid.zero_point) for grid in grids}) > 1:
        raise ValueError(
            f"Cannot export layer '{node.name}': it adds values that no neuron brings onto one grid. "
            "Let a spiking layer read the sum, or add spikes to spikes."
        )
    low, high = sum(grid.low for grid in grids), sum(grid.high for grid in grids)
    if not grids[0].counts:
        return Grid(grids[0].scale)
    if max(-low, high) > INT8_MAX:
        raise ValueError(
            f"Cannot export layer '{node.name}': its sum of spikes may reach {max(-low, high)}, beyond int8's "
            f"{INT8_MAX}. Put a spiking layer in between."
        )
    return replace(grids[0], low=low, high=high)


def emit_time_sum(context: Context, node: nodes.TimeSum, source: Signal) -> Signal:
    """A chain of ADD with all scales 1: integer sums. In the step form, one ADD to the sum so far, or of a window."""
    if isinstance(context.network[node.inputs[0]], nodes.Integrator):
        return emit_membrane_sum(context, node, source)
    timesteps = context.network.timesteps
    grid = replace(source.grid, low=timesteps * source.grid.low, high=timesteps * source.grid.high)
    check_time_sum(node, source.grid, grid)
    if context.windowed:
        return Signal((emit_window_sum(context, node, source),), grid)
    emit = partial(context.builder.emit, "ADD", shape=node.shape, grid=grid)
    total, *others = source.tensors
    if context.form == "step":
        total = context.state(node.name, node.shape, grid, lambda before: emit((before, total), Name(node.name, "sum")))
    for t, tensor in enumerate(others, start=1):
        total = emit((total, tensor), Name(node.name, "sum", t))
    return Signal((total,), grid)


def check_time_sum(node: nodes.TimeSum, source: Grid, total: Grid) -> None:
    if not source.counts or total.bound > INT8_MAX:
        raise ValueError(
            f"Cannot export layer '{node.name}': a sum over timesteps must be of spikes or of sums of spikes up to "
            f"{INT8_MAX}. Received: values up to {total.bound} in steps of {source.scale:.4g}. "
            "Place TimeAverage directly after a spiking layer."
        )
