"""Factors and offsets: behind an input, at an output, and of shortcuts."""

from __future__ import annotations

import numpy as np

from ...network import nodes
from ...program.builder import Builder
from ...program.grid import INT8_MAX, INT8_MIN, Grid, float32, shifted_input_grid
from ...program.names import Name
from ..integer_neuron import step
from .context import Context, Signal, per_timestep


def emit_affine(context: Context, node: nodes.Affine, source: Signal) -> Signal:
    """After the input: the same integers under another zero point. At the output: under another scale.

    Between spikes and a neuron (an identity shortcut): each spike is worth a whole number of steps of its current.
    """
    builder, scale, offset = context.builder, node.scale, node.offset
    if node.name in context.currents:
        return emit_shortcut(context, node, source)
    if np.ptp(scale) or np.ptp(offset):
        raise ValueError(
            f"Cannot export layer '{node.name}': a factor per channel needs a layer with weights beside it. "
            "Add a Dense or Conv2D layer before or after it."
        )
    scale, offset = float(np.ravel(scale)[0]), float(np.ravel(offset)[0])
    if source.grid.zero_point == 0 and offset == 0:
        return emit_relabel(builder, node, source, scale)
    if scale == 1 and isinstance(context.network[node.inputs[0]], nodes.Input):
        return emit_shift(context, node, source, offset)
    raise ValueError(
        f"Cannot export layer '{node.name}': it is neither at the input nor a plain factor at the output. "
        "Fold it into a neighbouring Dense or Conv2D layer."
    )


def emit_shift(context: Context, node: nodes.Affine, source: Signal, offset: float) -> Signal:
    _, grid = shifted_input_grid(*context.input_ranges[node.inputs[0]], offset)
    if grid == source.grid:
        return source
    steps = source.grid.zero_point - grid.zero_point
    data = np.clip(steps, INT8_MIN, INT8_MAX)
    name, rank = Name(node.name, "offset"), len(node.shape)
    constant = context.builder.constant(
        name, np.full([1] * (rank + 1), data, np.int8), grid.scale, zero_point=int(data - steps)
    )

    def emit(tensor: int, name: Name) -> int:
        return context.builder.emit("ADD", (tensor, constant), name, node.shape, grid)

    return Signal(per_timestep(source, Name(node.name, "shifted"), emit), grid)


def emit_shortcut(context: Context, node: nodes.Affine, source: Signal) -> Signal:
    """MUL by the integer number of steps that one spike brings, per channel or for all."""
    if not source.grid.counts or np.any(node.offset):
        raise ValueError(
            f"Cannot export layer '{node.name}': a shortcut must bring spikes, scaled, without an offset. "
            "Put the offset into the layer beside it."
        )
    current = context.currents[node.name]
    grid, steps = current.grid, np.floor(np.atleast_1d(node.scale) / step(current.quiet_steps) + 0.5)
    shape = [1] * len(node.shape) + [len(steps)]
    label = float32(grid.scale / source.grid.unit)  # of levels, what one step of the current is for one level
    constant = context.builder.constant(Name(node.name, "steps"), steps.astype(np.int8).reshape(shape), label)

    def emit(tensor: int, name: Name) -> int:
        return context.builder.emit("MUL", (tensor, constant), name, node.shape, grid)

    return Signal(per_timestep(source, Name(node.name, "current"), emit), grid)


def emit_relabel(builder: Builder, node: nodes.Node, source: Signal, scale: float) -> Signal:
    """MUL by the constant 1 (or -1) of another scale: the integers pass unchanged."""
    worth = source.grid.scale / source.grid.unit  # of a step, where 1 is worth `scale` afterwards
    grid = Grid(float32(abs(scale) * worth), low=source.grid.low, high=source.grid.high)
    sign = np.full([1] * (len(node.shape) + 1), np.sign(scale), np.int8)
    constant = builder.constant(Name(node.name, "factor"), sign, float32(grid.scale / source.grid.scale))

    def emit(tensor: int, name: Name) -> int:
        return builder.emit("MUL", (tensor, constant), name, node.shape, grid)

    return Signal(per_timestep(source, Name(node.name, "scaled"), emit), grid)
