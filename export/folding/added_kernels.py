"""The kernels that folding adds: a factor of its own in front of a neuron, a sum or a concatenation."""

from __future__ import annotations

import numpy as np

from ..network import nodes
from ..network.linear_algebra import diagonal
from ..network.nodes import Network, Node
from ..network.queries import has_linear_above, holds_counts, nodes_of, only_reader
from ..network.surgery import fresh_name, place_before, reading, substitute


def add_input_kernels(network: Network) -> Network:
    """A factor or an offset per channel behind an Input that no kernel takes becomes a kernel: padding follows it."""
    for affine in nodes_of(network, nodes.Affine):
        source = network[affine.inputs[0]]
        if isinstance(source, nodes.Input) and any(np.ptp(value) for value in affine.scale_offset):
            network = substitute(network, affine.name, diagonal(affine.name, source, affine.scale_offset))
    return network


def add_kernels(network: Network) -> Network:
    """A factor that no kernel takes becomes one of its own; so does the way from an Input to a neuron or a sum.

    These are: an Affine in front of a neuron or a Concatenate, one in front of an Add unless it is on spikes, and
    the identity in front of a neuron that no Linear feeds.
    """
    for node in network.nodes:
        for name in dict.fromkeys(node.inputs):
            if _needs_kernel(network, network[name], node):
                network = _with_kernel(network, name, node.name)
    return network


def _needs_kernel(network: Network, source: Node, reader: Node) -> bool:
    if isinstance(reader, nodes.LIF) and not has_linear_above(network, reader):
        return True
    if isinstance(reader, nodes.Add) and isinstance(source, nodes.Input):
        return True
    if not isinstance(source, nodes.Affine) or _is_stuck(network, source):
        return False
    on_spikes = holds_counts(network, source)
    return isinstance(reader, nodes.LIF | nodes.Concatenate) or (isinstance(reader, nodes.Add) and not on_spikes)


def _is_stuck(network: Network, affine: nodes.Affine) -> bool:
    """Whether the only way up from `affine` leads to a Linear that cannot take it, past a MaxPool."""
    node = network[affine.inputs[0]]
    while not isinstance(node, nodes.Linear | nodes.LIF) and len(node.inputs) == 1 and only_reader(network, node.name):
        node = network[node.inputs[0]]
    return isinstance(node, nodes.Linear) and only_reader(network, node.name) is not None


def _with_kernel(network: Network, name: str, reader: str) -> Network:
    source, scale_offset = network[name], (np.ones(()), np.zeros(()))
    if isinstance(source, nodes.Affine) and only_reader(network, name) is not None:
        network, scale_offset, source = substitute(network, name), source.scale_offset, network[source.inputs[0]]
    linear = diagonal(fresh_name(network, f"{reader}_current"), source, scale_offset)
    network = place_before(network, reader, linear)
    rewired = (reading(node, source.name, linear.name) if node.name == reader else node for node in network.nodes)
    return network.with_nodes(tuple(rewired))
