"""Grids of membranes that never fire: one for a linear node and for the integrator that adds up its values.

It holds, in this order: the range that is known of the membranes, given or found on samples; every membrane that any
input can bring; twice what noise brings, where that is finer and there are several numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ....network import nodes
from ....network.nodes import Network
from ....network.queries import only_reader
from ....program.builder import Builder
from ....program.grid import INT8_MAX, Grid, float32
from ....program.names import Name
from ...input_ranges import Range
from ...integer_neuron import Decay, distinct, snap
from .. import output_grids
from ..linear import Emission, emit_linear
from ..output_grids import MARGIN, WIDENINGS, OutputGrid

LEAST_STEPS = 4  # of the largest current, on a grid that holds every membrane: coarser ones say nothing
Frames = Callable[[], list[np.ndarray]]


def integrator_behind(network: Network, node: nodes.Linear) -> nodes.Integrator | None:
    """The integrator that alone reads a linear node, perhaps repeated over time or in another shape."""
    reader = only_reader(network, node.name)
    while isinstance(reader, nodes.Reshape | nodes.Repeat):
        reader = only_reader(network, reader.name)
    return reader if isinstance(reader, nodes.Integrator) else None


def integer_decay(network: Network, node: nodes.Integrator) -> Decay:
    """The decay in integers, a tuple where channels differ; 0 where there is one timestep."""
    return snap(node.decay) if network.timesteps > 1 or network.endless else Fraction(0)


def most_steps(network: Network, node: nodes.Integrator) -> int:
    """Steps that no |current| may exceed so that no |membrane| exceeds 127 steps, rounding included; 0: there are none.

    membrane[t] = round(decay * membrane[t-1]) + current, as often as there are timesteps; without end, until it stays.
    """
    decay, timesteps = max(distinct(integer_decay(network, node))), None if network.endless else network.timesteps
    fitting = (steps for steps in range(INT8_MAX, 0, -1) if _largest(decay, steps, timesteps) <= INT8_MAX)
    return next(fitting, 0)


def _largest(decay: Fraction, current: int, timesteps: int | None) -> int:
    membrane, t = current, 1
    while membrane <= INT8_MAX and t != timesteps:
        later = math.floor(decay * membrane + Fraction(1, 2)) + current
        if later == membrane:
            break
        membrane, t = later, t + 1
    return membrane


def membrane_grid(
    network: Network, node: nodes.Linear, source: Grid, known: Range | None, frames: Frames
) -> OutputGrid:
    """Of a linear node and the integrator behind it.

    known: (low, high) of currents and membranes, in real units. frames: gives int8 inputs of `node` for noise at every
    timestep, each `(samples, *shape)`.
    """
    if known is not None:
        bound = max(abs(end) for end in known)
        return OutputGrid(Grid(float32(max(bound / INT8_MAX, output_grids.least_scale(node, source)))))
    integrator = integrator_behind(network, node)
    proven = _proven(node, source, most_steps(network, integrator))
    if proven is not None and node.shape[-1] == 1:
        return OutputGrid(proven)
    probed = frames()
    if not any(np.ptp(frame) for frame in probed):  # of a network that is silent on noise it tells nothing
        return OutputGrid(proven or _worst_case(network, node, source, integrator))
    guess = _guessed(node, source, probed, integer_decay(network, integrator))
    if proven is not None and proven.scale <= guess.scale:
        return OutputGrid(proven)
    return OutputGrid(guess, guessed=True)


def _proven(node: nodes.Linear, source: Grid, steps: int) -> Grid | None:
    """Holds every membrane, if no |current| exceeds `steps`."""
    if steps < LEAST_STEPS:
        return None
    scale = max(abs(end) for end in output_grids.real_range(node, source)) / (steps - 1)
    for _ in range(WIDENINGS):  # rounded kernels may reach a few steps further
        grid = Grid(float32(scale))
        reached = max(abs(end) for end in output_grids.integer_range(node, source, grid))
        if reached <= steps:
            return grid
        scale *= reached / (steps - 1)
    return None


def _worst_case(network: Network, node: nodes.Linear, source: Grid, integrator: nodes.Integrator) -> Grid:
    """Holds current * (1 + decay + decay^2 + ...), however coarse that is."""
    decay = float(max(distinct(integer_decay(network, integrator))))
    gain = 1 / (1 - decay) if network.endless and decay < 1 else sum(decay**t for t in range(network.timesteps))
    return Grid(float32(gain * output_grids.worst_case_grid(node, source).scale))


def _guessed(node: nodes.Linear, source: Grid, frames: list[np.ndarray], decay: Decay) -> Grid:
    """Holds MARGIN times the largest membrane and current on noise."""
    grid = output_grids.worst_case_grid(node, source)
    for _ in range(2):  # the second look is at the resolution that the first one found
        reached = _reached(node, source, frames, grid, decay) + grid.scale
        grid = Grid(float32(max(MARGIN * reached / INT8_MAX, output_grids.least_scale(node, source))))
    return grid


def _reached(node: nodes.Linear, source: Grid, frames: list[np.ndarray], grid: Grid, decay: Decay) -> float:
    builder = Builder()
    tensor = builder.activation("samples", frames[0].shape[1:], source)
    output = emit_linear(builder, node, tensor, Name("outputs"), source=source, emission=Emission(grid))
    program, membrane, largest = builder.program("probe", (tensor,), (output,)), 0.0, 0.0
    factor = np.array([float(one) for one in decay]) if isinstance(decay, tuple) else float(decay)
    for frame in frames:
        current = program.run(frame).astype(np.float64) * grid.scale
        current = current.reshape(len(current), *node.shape)
        membrane = factor * membrane + current
        largest = max(largest, float(np.abs(membrane).max()), float(np.abs(current).max()))
    return largest
