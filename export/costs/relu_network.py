"""The network next to which a spiking one has to stand: its layers once, with ReLU, as an ordinary int8 CNN.

For comparing costs. The weights are those of the spiking network, so the values mean nothing: a ReLU network has to be
trained as one. A dense int8 operator costs the same whatever it multiplies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.node import like
from ..network.nodes import Network, Node
from ..program.builder import Builder
from ..program.grid import Grid, input_grid
from ..program.names import ZERO, Name
from ..program.program import Program
from ..program.schedule import with_small_peak
from ..quantize.emit.context import Context, Signal
from ..quantize.emit.linear import Emission, emit_linear
from ..quantize.emit.pooling import emit_max_pool
from ..quantize.emit.reshaping import emit_concatenate, emit_crop, emit_reshape_node, emit_upsample, emit_zero_pad
from ..quantize.emit.strides import Pair, needed_strides, sum_stages, window_counts

GRID = Grid(1 / 16)  # of every value but the input: calibration chooses better ones, for the same time and size


def relu_network(network: Network) -> Program:
    """The folded network with ReLU for every neuron, one timestep, average pooling for sums of spikes.

    No factor is left on a shortcut, a ReLU that follows a layer with weights or a sum is fused into it: what an int8
    CNN of these layers needs, and no more. Of a sequence, one frame goes in.
    """
    still = tuple(replace(node, temporal=False) for node in network.nodes)
    network = replace(network, nodes=still, timesteps=1)
    context = Context(network, Builder(), {}, {})
    for node in network.nodes:
        sources = [context.signals[name] for name in node.inputs]
        context.signals[node.name] = EMITTERS[type(node)](context, node, *sources)
    images = (node.name for node in network.nodes if isinstance(node, nodes.Input))
    inputs, outputs = (
        tuple(dict.fromkeys(context.signals[name].tensors[0] for name in names)) for names in (images, network.outputs)
    )
    return with_small_peak(context.builder.program(f"{network.name}_relu", inputs, outputs))


def emit_image(context: Context, node: nodes.Input) -> Signal:
    grid = input_grid(0.0, 1.0)
    return Signal((context.builder.activation(Name(node.name), node.shape, grid),), grid)


def emit_weighted(context: Context, node: nodes.Linear, source: Signal) -> Signal:
    emission = Emission(GRID, activation(context.network, node))
    return _signal(
        emit_linear(context.builder, node, source.tensors[0], Name(node.name), source=source.grid, emission=emission)
    )


def emit_sum(context: Context, node: nodes.Add, *sources: Signal) -> Signal:
    total, *others = (source.tensors[0] for source in sources)
    for position, other in enumerate(others, start=1):
        fused = activation(context.network, node) if position == len(others) else "NONE"
        name = Name(node.name, "sum", position)
        total = context.builder.emit("ADD", (total, other), name, node.shape, GRID, activation=fused)
    return _signal(total)


def emit_relu(context: Context, node: nodes.LIF, source: Signal) -> Signal:
    """Nothing where the operator in front fuses it; else the ADD of 0 that carries one."""
    if activation(context.network, producer(context.network, node)) == "RELU":
        return source
    builder, zero = context.builder, context.builder.scalar(ZERO, 0, 1.0, len(node.shape))
    operands = (source.tensors[0], zero)
    return _signal(builder.emit("ADD", operands, Name(node.name, "relu"), node.shape, GRID, activation="RELU"))


def emit_mean(context: Context, node: nodes.SumPool, source: Signal) -> Signal:
    """Depthwise convolutions with ones, as the spiking file has them; the mean is rounded behind each."""
    builder, channels, tensor = context.builder, node.shape[-1], source.tensors[0]
    strides = needed_strides(builder.shape(tensor)[:2], node.size, node.strides)
    stages = sum_stages(node.size, strides)
    for index, (size, strides) in enumerate(stages, start=1):
        name = Name(node.name) if index == len(stages) else Name(node.name, parts=(f"stage{index}",))
        tensor = _emit_mean(builder, tensor, name, size, strides, channels)
    return _signal(tensor)


def _emit_mean(builder: Builder, tensor: int, name: Name, size: Pair, strides: Pair, channels: int) -> int:
    shape, area = (*window_counts(builder.shape(tensor)[:2], size, strides), channels), math.prod(size)
    mean = nodes.DepthwiseConv(
        name=str(name),
        inputs=("",),
        shape=shape,
        temporal=False,
        kernel=np.full((*size, channels, 1), 1 / area),
        bias=np.zeros(channels),
        strides=strides,
    )
    return emit_linear(builder, mean, tensor, name, source=GRID, emission=Emission(GRID))


def same(context: Context, node: Node, source: Signal) -> Signal:
    """Repeating one timestep, and making one of all, and factors: nothing to do."""
    return source


def emit_recent(context: Context, node: nodes.RecentTimesteps, source: Signal) -> Signal:
    """One timestep is there: the rows of those before are zeros."""
    rows = node.shape[0] - node.shape[0] // node.timesteps
    return emit_zero_pad(context, nodes.ZeroPad(**like(node.name, node), padding=((rows, 0), (0, 0))), source)


def activation(network: Network, node: Node) -> str:
    """RELU where neurons alone read a node whose operator can fuse it."""
    readers = list(network.consumers(node.name))
    while any(isinstance(reader, nodes.Repeat) for reader in readers):
        repeat = next(reader for reader in readers if isinstance(reader, nodes.Repeat))
        readers = [reader for reader in readers if reader is not repeat] + list(network.consumers(repeat.name))
    fuses = node.takes_activation and node.name not in network.outputs
    return "RELU" if fuses and readers and all(isinstance(reader, nodes.LIF) for reader in readers) else "NONE"


def producer(network: Network, node: Node) -> Node:
    """What a neuron reads, seen through the encoding."""
    source = network[node.inputs[0]]
    return producer(network, source) if isinstance(source, nodes.Repeat) else source


def _signal(tensor: int) -> Signal:
    return Signal((tensor,), GRID)


EMITTERS: dict[type[Node], Callable[..., Signal]] = {
    nodes.Input: emit_image,
    nodes.Affine: same,
    nodes.Repeat: same,
    nodes.Integrator: same,
    nodes.FinalState: same,
    nodes.TimeSum: same,
    nodes.TimeMax: same,
    nodes.LastTimestep: same,
    nodes.RecentTimesteps: emit_recent,
    nodes.LIF: emit_relu,
    nodes.SumPool: emit_mean,
    nodes.MaxPool: emit_max_pool,
    nodes.Reshape: emit_reshape_node,
    nodes.Concatenate: emit_concatenate,
    nodes.Upsample: emit_upsample,
    nodes.ZeroPad: emit_zero_pad,
    nodes.Crop: emit_crop,
    nodes.Add: emit_sum,
    nodes.Conv: emit_weighted,
    nodes.ConvTranspose: emit_weighted,
    nodes.DepthwiseConv: emit_weighted,
    nodes.Dense: emit_weighted,
}
