"""From a folded network to an exact integer program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import get_args

import numpy as np

from . import logits
from .boundary import emit_affine, emit_input, emit_outputs
from .builder import Builder
from .currents import name_shortcuts, plan_currents
from .firing import BINARY_SPIKE, SPIKE
from .grid import Grid, Neuron
from .interface import UNIT_RANGE, Range, Ranges, ranges_of, stated_ranges, with_names
from .joints import emit_add, emit_concatenate, emit_crop, emit_upsample, emit_zero_pad
from .linear import Target, emit_linear
from .network import (
    LIF,
    Add,
    Affine,
    Concatenate,
    Conv,
    ConvTranspose,
    Crop,
    Dense,
    DepthwiseConv,
    Input,
    Linear,
    MaxPool,
    Network,
    Node,
    Repeat,
    Reshape,
    SumPool,
    TimestepAffine,
    TimeSum,
    Upsample,
    ZeroPad,
)
from .neuron import emit_neuron, emit_step
from .program import Program
from .resets import leaked_grid, state_grid
from .saturation import saturation_notes
from .schedule import with_small_peak
from .signal import Context, Form, Signal, fused_neuron, integer_neuron, per_timestep, stated_neuron
from .structure import emit_max_pool, emit_repeat, emit_reshape_node, emit_sum_pool, emit_time_sum
from .sums import split_sums
from .timestep_kernels import kernel_at


def quantize(network: Network, *, input_range: Ranges = UNIT_RANGE, form: Form = "unrolled") -> Program:
    """Turns a folded network into integers.

    Args:
        network: As `fold_network` returns it: thresholds 1/2, amplitudes 1, sums instead of averages.
        input_range: (low, high) of the samples, in the units of the network's inputs; for all, or for each by name.
        form: "unrolled" computes all timesteps in one call. "step" computes one, with the neurons' states and the sums
            over time as further inputs `state_in/<layer>` and outputs `state_out/<layer>`; all 0 before the first.

    Raises:
        ValueError: if `input_range` is not finite and ascending or does not name the inputs, `form` is not known, or a
            layer does not fit into integers.
    """
    ranges = ranges_of(network, input_range)
    if form not in get_args(Form):
        raise ValueError(f"`form` must be one of {get_args(Form)}. Received: form={form!r}")
    context, program = emitted(network, ranges)
    if form == "unrolled":
        return program
    grids = {"currents": context.currents, "logit_grids": context.logit_grids}
    return emit_network(Context(context.network, Builder(), ranges, form=form, **grids))


def emitted(network: Network, ranges: Mapping[str, Range]) -> tuple[Context, Program]:
    """The unrolled program of a folded network, and all that was decided for it. ranges: by node name of the Input."""
    network = prepared(network)
    context = Context(network, Builder(), ranges, plan_currents(network))
    return context, emit_network(context)


def prepared(network: Network) -> Network:
    """With sums cut that int8 does not hold, and a node for every shortcut."""
    return name_shortcuts(split_sums(network))


def current_units(network: Network) -> dict[str, float]:
    """What 1 of a folded network is worth in its program's real numbers, for the nodes where that is not 1."""
    return {name: grid.unit for name, grid in plan_currents(prepared(network)).items() if grid.unit != 1}


def emit_network(context: Context) -> Program:
    """Emits node after node."""
    for node in context.network.nodes:
        sources = [context.signals[name] for name in node.inputs]
        context.signals[node.name] = EMITTERS[type(node)](context, node, *sources)
    outputs = emit_outputs(context)
    inputs, outputs = (*context.inputs, *context.states), (*outputs, *context.states.values())
    program = context.builder.program(context.network.name, inputs, outputs, metadata(context))
    return with_small_peak(with_names(program, context.network))


def emit_weighted(context: Context, node: Linear, source: Signal) -> Signal:
    if any(isinstance(reader, TimestepAffine) for reader in context.network.consumers(node.name)):
        return source  # its kernels of the timesteps are emitted there
    node = in_units(context, node, node.name)
    neuron = fused_neuron(context, node)
    name = f"{neuron.name}/spike" if neuron else f"{node.name}/current"
    if neuron and len(set(source.tensors)) == 1:
        name += "/0"
    target = Target(SPIKE, "RELU_N1_TO_1") if neuron else Target(linear_grid(context, node, source))

    def emit(tensor: int, name: str, target: Target = target) -> int:
        return emit_linear(context.builder, node, tensor, name, source=source.grid, target=target)

    own = targets(context, node.name, node, source, target)
    if own[0] is target:
        return Signal(per_timestep(source, name, emit), target.grid)
    frames = enumerate(zip(source.tensors, own, strict=True))
    return Signal(tuple(emit(tensor, f"{name}/{t}", target) for t, (tensor, target) in frames), target.grid)


def targets(context: Context, name: str, linear: Linear, source: Signal, target: Target) -> tuple[Target, ...]:
    """`target` for every timestep, but for the first as a neuron that alone reads the value leaks it.

    name: of the value that `linear` computes.
    """
    readers, rest = context.network.consumers(name), (target,) * (len(source.tensors) - 1)
    still = len(set(source.tensors)) == 1  # a constant current, or one timestep a call
    if still or len(readers) != 1 or not isinstance(readers[0], LIF):
        return (target, *rest)
    grid, clips = leaked_grid(integer_neuron(context, readers[0])), readers[0].reset == "zero"
    if grid is None or (clips and isinstance(linear, ConvTranspose)):  # TRANSPOSE_CONV fuses no activation
        return (target, *rest)
    return (Target(grid, "RELU_N1_TO_1" if clips else "NONE", like=target.grid), *rest)


def emit_timestep_kernels(context: Context, node: TimestepAffine, source: Signal) -> Signal:
    """The Linear in front, once per timestep with a kernel of its own."""
    if context.form == "step":
        raise ValueError(
            f"The step form has one kernel for all timesteps. Received: layer {node.name!r} with a factor per "
            'timestep. Export with form="unrolled", or use ThresholdDependentBatchNormalization.'
        )
    linear, target, tensors = context.network[node.inputs[0]], Target(context.currents[node.name].grid), []
    own = targets(context, node.name, linear, source, target)
    for t, (tensor, target) in enumerate(zip(source.tensors, own, strict=True)):
        kernel, name = in_units(context, kernel_at(linear, node, t), node.name), f"{node.name}/current/{t}"
        tensors.append(emit_linear(context.builder, kernel, tensor, name, source=source.grid, target=target))
    return Signal(tuple(tensors), own[-1].grid)


def in_units(context: Context, node: Linear, output: str) -> Linear:
    """`node` between the file's real numbers. output: the node whose value it computes."""
    unit = context.unit(output)
    return replace(node, kernel=node.kernel * (unit / context.unit(node.inputs[0])), bias=node.bias * unit)


def linear_grid(context: Context, node: Linear, source: Signal) -> Grid:
    """The grid of the neurons that read the value; of the logits; or one that holds whatever can occur."""
    if node.name in context.currents:
        return context.currents[node.name].grid
    if node.scale is not None:
        return Grid(node.scale)
    if reaches_output(context, node):
        if node.name not in context.logit_grids:
            samples = logits.probe(context.builder, tuple(context.inputs), source.tensors)
            context.logit_grids[node.name] = logits.logit_grid(node, samples, source.grid)
        return context.logit_grids[node.name]
    return logits.worst_case_grid(node, source.grid)


def reaches_output(context: Context, node: Node) -> bool:
    """Whether the value of `node` leaves the network as it is."""
    readers = context.network.consumers(node.name)
    return not readers or all(isinstance(r, Reshape) and reaches_output(context, r) for r in readers)


def emit_lif(context: Context, node: LIF, source: Signal) -> Signal:
    spike = SPIKE if node.signed else BINARY_SPIKE
    if source.grid == SPIKE:  # the linear operator in front has fired
        return source
    neuron = integer_neuron(context, node)
    if context.form == "step" and neuron.decay != 0:
        return Signal((emit_streaming(context, node, source.tensors[0], neuron),), spike)
    return Signal(emit_neuron(context.builder, neuron, source.tensors), spike)


def emit_streaming(context: Context, node: LIF, current: int, neuron: Neuron) -> int:
    """One timestep of a neuron whose state is an input and an output of the program. Returns the spikes."""
    spikes = []

    def emit(before: int) -> int:
        spike, after = emit_step(context.builder, neuron, current, before)
        spikes.append(spike)
        return after

    context.state(node.name, node.shape, state_grid(neuron), emit)
    return spikes[0]


def metadata(context: Context) -> dict[str, object]:
    """Facts for the reader of the file."""
    network = context.network
    neurons = [
        {
            "name": node.name,
            "levels": [-1, 0, 1] if node.signed else [0, 1],
            "trained_decay": np.asarray(node.decay, np.float64).tolist(),
            **stated_neuron(integer_neuron(context, node)),
        }
        for node in network.nodes
        if isinstance(node, LIF)
    ]
    return {
        "network": network.name,
        "timesteps": network.timesteps,
        "form": context.form,
        "input_range": stated_ranges(network, context.input_ranges),
        "neurons": neurons,
        "notes": [*network.notes, *saturation_notes(context)],
    }


EMITTERS: dict[type[Node], Callable[..., Signal]] = {
    Input: emit_input,
    Affine: emit_affine,
    TimestepAffine: emit_timestep_kernels,
    LIF: emit_lif,
    MaxPool: emit_max_pool,
    SumPool: emit_sum_pool,
    Reshape: emit_reshape_node,
    Repeat: emit_repeat,
    TimeSum: emit_time_sum,
    Add: emit_add,
    Concatenate: emit_concatenate,
    Upsample: emit_upsample,
    ZeroPad: emit_zero_pad,
    Crop: emit_crop,
    Conv: emit_weighted,
    ConvTranspose: emit_weighted,
    DepthwiseConv: emit_weighted,
    Dense: emit_weighted,
}
