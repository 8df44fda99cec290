"""The kernels that folding adds: a factor of its own in front of a neuron, a sum or a concatenation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .affines import line_of
from .counts import are_counts
from .graph import fresh_name, only_reader, place_before, reading, substitute
from .linearity import diagonal, factors
from .network import LIF, Add, Affine, Concatenate, Input, Linear, Network, Node, Repeat


def add_diagonals(network: Network) -> Network:
    """A factor that no kernel takes becomes one of its own; so does the way from an Input to a neuron or a sum.

    These are: an Affine in front of a neuron or a Concatenate, one in front of an Add unless it is on spikes, and
    the identity in front of a neuron that no Linear feeds.
    """
    for node in network.nodes:
        for name in dict.fromkeys(node.inputs):
            if _needs_diagonal(network, network[name], node):
                network = _with_diagonal(network, name, node.name)
    return network


def values_above(network: Network, node: Node) -> Iterator[Node]:
    """What lies above `node`, up to and with the next Linear, neuron or Input on each way."""
    for name in node.inputs:
        yield (source := network[name])
        if not isinstance(source, Linear | LIF):
            yield from values_above(network, source)


def has_linear_above(network: Network, node: Node) -> bool:
    return any(isinstance(source, Linear) for source in values_above(network, node))


def fires(network: Network, node: Node) -> bool:
    """Whether `node` is a neuron, or a factor for each channel in front of one."""
    if isinstance(node, LIF):
        return True
    readers = network.consumers(node.name) if isinstance(node, Repeat) or factors(node) is not None else ()
    return any(fires(network, reader) for reader in readers)


def _needs_diagonal(network: Network, source: Node, reader: Node) -> bool:
    if isinstance(reader, LIF) and not has_linear_above(network, reader):
        return True
    if isinstance(reader, Add) and isinstance(source, Input):
        return True
    if not isinstance(source, Affine) or _is_stuck(network, source):
        return False
    on_spikes = are_counts(network, source)
    return isinstance(reader, LIF | Concatenate) or (isinstance(reader, Add) and not on_spikes)


def _is_stuck(network: Network, affine: Affine) -> bool:
    """Whether the only way up from `affine` leads to a Linear that cannot take it, past a MaxPool."""
    node = network[affine.inputs[0]]
    while not isinstance(node, Linear | LIF) and len(node.inputs) == 1 and only_reader(network, node.name):
        node = network[node.inputs[0]]
    return isinstance(node, Linear) and only_reader(network, node.name) is not None


def _with_diagonal(network: Network, name: str, reader: str) -> Network:
    source, line = network[name], (np.ones(()), np.zeros(()))
    if isinstance(source, Affine) and only_reader(network, name) is not None:
        network, line, source = substitute(network, name), line_of(source), network[source.inputs[0]]
    linear = diagonal(fresh_name(network, f"{reader}_current"), source, line)
    network = place_before(network, reader, linear)
    rewired = (reading(node, source.name, linear.name) if node.name == reader else node for node in network.nodes)
    return network.with_nodes(tuple(rewired))
