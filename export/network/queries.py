"""Which values are whole numbers, and how large: spikes, and sums and rearrangements of spikes; offsets of inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import nodes
from .linear_algebra import factors
from .nodes import Network, Node


def input_shift(network: Network, node: nodes.Input) -> float:
    """The offset that an Affine behind the input adds to all channels alike, or 0."""
    readers = network.consumers(node.name)
    if len(readers) == 1 and isinstance(readers[0], nodes.Affine):
        return float(readers[0].offset.flat[0] / readers[0].scale.flat[0])
    return 0.0


def holds_counts(network: Network, node: Node, *, factors: bool = True) -> bool:
    """Whether the value of `node` is made of spikes alone, without a kernel between.

    factors: whether Affines without offset may lie between, so that the numbers are whole only up to factors.
    """
    if isinstance(node, nodes.LIF):
        return True
    factor = factors and isinstance(node, nodes.Affine) and not np.any(node.offset)
    if not (factor or node.keeps_counts):
        return False
    return all(holds_counts(network, network[name], factors=factors) for name in node.inputs)


def count_bound(network: Network, node: Node) -> int | None:
    """Largest |value| of a node that holds spikes or sums of spikes; None for any other node."""
    if isinstance(node, nodes.LIF):
        return node.levels
    if not node.keeps_counts:
        return None
    below = [count_bound(network, network[name]) for name in node.inputs]
    if None in below:
        return None
    return sum(below) if isinstance(node, nodes.Add) else max(below) * node.addends(network.timesteps)


def never_negative(network: Network, node: Node) -> bool:
    """Whether a node holds spikes, or sums of spikes, of neurons that fire upwards only."""
    if isinstance(node, nodes.LIF):
        return not node.signed
    return node.keeps_counts and all(never_negative(network, network[name]) for name in node.inputs)


def values_above(network: Network, node: Node) -> Iterator[Node]:
    """What lies above `node`, up to and with the next Linear, neuron or Input on each way."""
    for name in node.inputs:
        yield (source := network[name])
        if not isinstance(source, nodes.Linear | nodes.LIF):
            yield from values_above(network, source)


def has_linear_above(network: Network, node: Node) -> bool:
    return any(isinstance(source, nodes.Linear) for source in values_above(network, node))


def fires(network: Network, node: Node) -> bool:
    """Whether `node` is a neuron, or a factor for each channel in front of one."""
    if isinstance(node, nodes.LIF | nodes.FinalState):
        return True
    readers = network.consumers(node.name) if isinstance(node, nodes.Repeat) or factors(node) is not None else ()
    return any(fires(network, reader) for reader in readers)


def nodes_of(network: Network, kind: type[Node]) -> tuple[Node, ...]:
    """The nodes of one type, in order."""
    return tuple(node for node in network.nodes if isinstance(node, kind))


def only_reader(network: Network, name: str) -> Node | None:
    """The one node that reads node `name`; None if several do, none does, or its value leaves the network."""
    readers = network.consumers(name)
    return readers[0] if len(readers) == 1 and name not in network.outputs else None


def integrated(network: Network, node: nodes.Integrator) -> nodes.Linear | None:
    """The linear node that an integrator alone reads, maybe repeated or in another shape; None if there is none."""
    reader, source = node, network[node.inputs[0]]
    while only_reader(network, source.name) is reader:
        if isinstance(source, nodes.Linear):
            return source
        if not isinstance(source, nodes.Reshape | nodes.Repeat):
            return None
        reader, source = source, network[source.inputs[0]]
    return None


def repeated(network: Network, name: str) -> Node:
    """Node `name`, or the one whose value it repeats over time."""
    node = network[name]
    while isinstance(node, nodes.Repeat):
        node = network[node.inputs[0]]
    return node
