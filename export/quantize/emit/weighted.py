"""Convolutions and Dense layers of a network: the grid of each, and which of them fires."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...network import nodes
from ...network.linear_algebra import factors, kernel_at
from ...network.nodes import Node
from ...program.grid import Grid, firing_activation, spike_grid
from ...program.names import Name
from ..output_ranges import UNCHANGED
from . import output_grids
from .context import Context, Signal, fused_neuron, integer_neuron, per_timestep
from .linear import Emission, emit_linear
from .neurons.integrator_grids import integrator_behind, membrane_grid
from .neurons.resets import leaked_grid


def emit_weighted(context: Context, node: nodes.Linear, source: Signal) -> Signal:
    if any(isinstance(reader, nodes.TimestepAffine) for reader in context.network.consumers(node.name)):
        return source  # its kernels of the timesteps are emitted there
    node = in_units(context, node, node.name)
    neuron = fused_neuron(context, node)
    name = Name(neuron.name, "spike") if neuron else Name(node.name, "current")
    if neuron and len(set(source.tensors)) == 1:
        name = name.at(0)
    emission = _firing(neuron) if neuron else Emission(linear_grid(context, node, source))

    def emit(tensor: int, name: Name, emission: Emission = emission) -> int:
        return emit_linear(context.builder, node, tensor, name, source=source.grid, emission=emission)

    own = emissions(context, node.name, node, source, emission)
    if own[0] is emission:
        return Signal(per_timestep(source, name, emit), emission.grid)
    frames = enumerate(zip(source.tensors, own, strict=True))
    return Signal(tuple(emit(tensor, name.at(t), emission) for t, (tensor, emission) in frames), emission.grid)


def _firing(neuron: nodes.LIF) -> Emission:
    spike = spike_grid(neuron.levels, signed=neuron.signed)
    return Emission(spike, firing_activation(spike))


def emissions(
    context: Context, name: str, linear: nodes.Linear, source: Signal, emission: Emission
) -> tuple[Emission, ...]:
    """`emission` for every timestep, but for the first as a neuron that alone reads the value leaks it.

    name: of the value that `linear` computes.
    """
    readers, rest = context.network.consumers(name), (emission,) * (len(source.tensors) - 1)
    still = len(set(source.tensors)) == 1  # a constant current, or one timestep a call
    if still or len(readers) != 1 or not isinstance(readers[0], nodes.LIF):
        return (emission, *rest)
    grid, clips = leaked_grid(integer_neuron(context, readers[0])), readers[0].reset == "zero"
    if grid is None or (clips and not linear.takes_activation):
        return (emission, *rest)
    return (Emission(grid, "RELU_N1_TO_1" if clips else "NONE", like=emission.grid), *rest)


def emit_timestep_kernels(context: Context, node: nodes.TimestepAffine, source: Signal) -> Signal:
    """The Linear in front, once per timestep with a kernel of its own."""
    if context.form == "step":
        raise ValueError(
            f"The step form has one kernel for all timesteps. Received: layer {node.name!r} with a factor per "
            'timestep. Export with form="unrolled", or use ThresholdDependentBatchNormalization.'
        )
    linear, emission, tensors = context.network[node.inputs[0]], Emission(context.currents[node.name].grid), []
    own = emissions(context, node.name, linear, source, emission)
    for t, (tensor, emission) in enumerate(zip(source.tensors, own, strict=True)):
        kernel, name = in_units(context, kernel_at(linear, node, t), node.name), Name(node.name, "current", t)
        tensors.append(emit_linear(context.builder, kernel, tensor, name, source=source.grid, emission=emission))
    return Signal(tuple(tensors), own[-1].grid)


def in_units(context: Context, node: nodes.Linear, output: str) -> nodes.Linear:
    """`node` between the file's real numbers. output: the node whose value it computes."""
    unit = context.unit(output)
    return replace(node, kernel=node.kernel * (unit / context.unit(node.inputs[0])), bias=node.bias * unit)


def linear_grid(context: Context, node: nodes.Linear, source: Signal) -> Grid:
    """The grid of the neurons that read the value; of the logits; or one that holds whatever can occur."""
    if node.name in context.currents:
        return context.currents[node.name].grid
    if node.scale is not None:
        return Grid(node.scale, node.zero_point)
    integrated = integrator_behind(context.network, node) is not None
    if integrated or reaches_output(context, node):
        if node.name not in context.output_grids:
            context.output_grids[node.name] = _output_grid(context, node, source, integrated=integrated)
        return context.output_grids[node.name].grid
    if isinstance(context.network[node.inputs[0]], nodes.Input) and factors(node) is not None:
        return output_grids.factor_grid(node, source.grid)
    return output_grids.worst_case_grid(node, source.grid)


def _output_grid(context: Context, node: nodes.Linear, source: Signal, *, integrated: bool) -> output_grids.OutputGrid:
    known, probed = context.output_ranges.get(node.name), (context.builder, tuple(context.inputs), source.tensors)
    if integrated:
        frames = partial(output_grids.probe_frames, *probed)
        return membrane_grid(context.network, node, source.grid, known, frames)
    return output_grids.output_grid(node, source.grid, known, partial(output_grids.probe, *probed))


def reaches_output(context: Context, node: Node) -> bool:
    """Whether the value of `node` leaves the network as it is."""
    readers = context.network.consumers(node.name)
    return not readers or all(isinstance(r, UNCHANGED) and reaches_output(context, r) for r in readers)
