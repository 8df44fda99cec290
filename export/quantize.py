"""From a folded network to an exact integer program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import logits
from .boundary import emit_affine, emit_input, emit_output
from .builder import Builder
from .grid import Grid
from .linear import emit_linear
from .network import (
    LIF,
    Affine,
    Conv,
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
    TimeSum,
)
from .neuron import BINARY_SPIKE, SPIKE, emit_neuron
from .program import Program
from .signal import Context, Signal, neuron_grid, per_timestep
from .structure import emit_max_pool, emit_repeat, emit_reshape_node, emit_sum_pool, emit_time_sum
from .sums import tile_sums


def quantize(network: Network, *, input_range: tuple[float, float] = (0.0, 1.0)) -> Program:
    """Turns a folded network into integers.

    Args:
        network: As `fold_network` returns it: thresholds 1/2, amplitudes 1, sums instead of averages.
        input_range: (low, high) of the samples, in the units of the network's input.

    Raises:
        ValueError: if `input_range` is not finite and ascending, or a layer does not fit into integers.
    """
    check_range(input_range)
    context = Context(tile_sums(network), Builder(), input_range)
    for node in context.network.nodes:
        sources = [context.signals[name] for name in node.inputs]
        context.signals[node.name] = EMITTERS[type(node)](context, node, *sources)
    outputs = tuple(emit_output(context, name) for name in network.outputs)
    return context.builder.program(network.name, tuple(context.inputs), outputs, metadata(context))


def check_range(input_range: tuple[float, float]) -> None:
    low, high = input_range
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"`input_range` must be (low, high) with low < high, both finite. Received: {input_range}")


def emit_weighted(context: Context, node: Linear, source: Signal) -> Signal:
    target = target_grid(context, node)
    if target is None and reaches_output(context, node):
        samples = logits.probe(context.builder, context.inputs[0], source.tensors)
        target = logits.logit_grid(node, samples, source.grid)
    elif target is None:
        target = logits.worst_case_grid(node, source.grid)

    def emit(tensor: int, name: str) -> int:
        return emit_linear(context.builder, node, tensor, name, source=source.grid, target=target)

    return Signal(per_timestep(source, f"{node.name}/current", emit), target)


def emit_lif(context: Context, node: LIF, source: Signal) -> Signal:
    grid = neuron_grid(context, node)
    spikes = emit_neuron(context.builder, node.name, source.tensors, grid, signed=node.signed)
    return Signal(spikes, SPIKE if node.signed else BINARY_SPIKE)


def target_grid(context: Context, node: Node) -> Grid | None:
    """The grid that the readers of `node` ask for; None where the value leaves the network or is read by sums."""
    for reader in context.network.consumers(node.name):
        if isinstance(reader, LIF):
            return Grid(neuron_grid(context, reader).step)
        if isinstance(reader, MaxPool | Reshape | Repeat):
            return target_grid(context, reader)
    return None


def reaches_output(context: Context, node: Node) -> bool:
    """Whether the value of `node` leaves the network as it is."""
    readers = context.network.consumers(node.name)
    return not readers or all(isinstance(r, Reshape) and reaches_output(context, r) for r in readers)


def metadata(context: Context) -> dict[str, object]:
    """Facts for the reader of the file."""
    network = context.network
    neurons = [
        {
            "name": node.name,
            "levels": [-1, 0, 1] if node.signed else [0, 1],
            "decay": str(grid.decay),
            "trained_decay": node.decay,
            "steps_per_unit": 2 * grid.half + 1,
        }
        for node in network.nodes
        if isinstance(node, LIF)
        for grid in [neuron_grid(context, node)]
    ]
    return {
        "network": network.name,
        "timesteps": network.timesteps,
        "input_range": [float(end) for end in context.input_range],
        "neurons": neurons,
        "notes": list(network.notes),
    }


EMITTERS: dict[type[Node], Callable[..., Signal]] = {
    Input: emit_input,
    Affine: emit_affine,
    LIF: emit_lif,
    MaxPool: emit_max_pool,
    SumPool: emit_sum_pool,
    Reshape: emit_reshape_node,
    Repeat: emit_repeat,
    TimeSum: emit_time_sum,
    Conv: emit_weighted,
    DepthwiseConv: emit_weighted,
    Dense: emit_weighted,
}
