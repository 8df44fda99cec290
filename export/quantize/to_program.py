"""From a folded network to an exact integer program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

from ..network import nodes
from ..network.nodes import Network, Node
from ..program.builder import Builder
from ..program.program import Program
from ..program.schedule import with_small_peak
from .current_grids import plan_currents
from .emit.context import Context, Form, Signal
from .emit.factors import emit_affine
from .emit.inputs_outputs import emit_input, emit_outputs
from .emit.neurons.final_state import emit_final_state
from .emit.neurons.integrator import emit_integrator
from .emit.neurons.neuron import emit_lif
from .emit.over_time import emit_last_timestep, emit_recent, emit_time_max
from .emit.pooling import emit_max_pool, emit_sum_pool
from .emit.reshaping import emit_concatenate, emit_crop, emit_repeat, emit_reshape_node, emit_upsample, emit_zero_pad
from .emit.sums import emit_add, emit_time_sum
from .emit.weighted import emit_timestep_kernels, emit_weighted
from .input_ranges import UNIT_RANGE, Range, Ranges, ranges_of, with_names
from .metadata import facts
from .output_ranges import linear_ranges
from .prepare import name_shortcuts, split_sums


def quantize(
    network: Network,
    *,
    input_range: Ranges = UNIT_RANGE,
    output_ranges: Mapping[str, Range] | None = None,
    form: Form = "unrolled",
) -> Program:
    """Turns a folded network into integers.

    Args:
        network: As `fold_network` returns it: thresholds 1/2, amplitudes 1, sums instead of averages.
        input_range: (low, high) of the samples, in the units of the network's inputs; for all, or for each by name.
        output_ranges: (low, high) of what leaves the network, by the names of `network.outputs`, where it is known.
        form: "unrolled" computes all timesteps in one call. "step" computes one, with the neurons' states and the sums
            over time as further inputs `state_in/<layer>` and outputs `state_out/<layer>`; all 0 before the first.

    Raises:
        ValueError: if `input_range` is not finite and ascending or does not name the inputs, `form` is not known, or a
            layer does not fit into integers.
    """
    ranges = ranges_of(network, input_range)
    if form not in get_args(Form):
        raise ValueError(f"`form` must be one of {get_args(Form)}. Received: form={form!r}")
    context, program = emitted(network, ranges, output_ranges or {})
    if form == "unrolled":
        return program
    grids = {"currents": context.currents, "output_grids": context.output_grids}
    return emit_network(Context(context.network, Builder(), ranges, form=form, **grids))


def emitted(
    network: Network, ranges: Mapping[str, Range], output_ranges: Mapping[str, Range]
) -> tuple[Context, Program]:
    """The unrolled program of a folded network, and all that was decided for it.

    ranges: by node name of the Input. output_ranges: as `quantize` takes them.
    """
    known = linear_ranges(network, output_ranges)
    network = prepared(network)
    context = Context(network, Builder(), ranges, plan_currents(network), output_ranges=known)
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
    program = context.builder.program(context.network.name, inputs, outputs, facts(context).to_json())
    return with_small_peak(with_names(program, context.network))


EMITTERS: dict[type[Node], Callable[..., Signal]] = {
    nodes.Input: emit_input,
    nodes.Affine: emit_affine,
    nodes.TimestepAffine: emit_timestep_kernels,
    nodes.LIF: emit_lif,
    nodes.Integrator: emit_integrator,
    nodes.FinalState: emit_final_state,
    nodes.MaxPool: emit_max_pool,
    nodes.SumPool: emit_sum_pool,
    nodes.Reshape: emit_reshape_node,
    nodes.Repeat: emit_repeat,
    nodes.TimeSum: emit_time_sum,
    nodes.TimeMax: emit_time_max,
    nodes.LastTimestep: emit_last_timestep,
    nodes.RecentTimesteps: emit_recent,
    nodes.Add: emit_add,
    nodes.Concatenate: emit_concatenate,
    nodes.Upsample: emit_upsample,
    nodes.ZeroPad: emit_zero_pad,
    nodes.Crop: emit_crop,
    nodes.Conv: emit_weighted,
    nodes.ConvTranspose: emit_weighted,
    nodes.DepthwiseConv: emit_weighted,
    nodes.Dense: emit_weighted,
}
