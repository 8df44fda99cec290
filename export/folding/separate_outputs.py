"""Outputs that the network reads too: what leaves the network and what stays inside go separate ways.

The value that a spiking layer reads saturates where it is sure to fire; the value that leaves must not.
"""

from __future__ import annotations

from dataclasses import replace

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.surgery import fresh_name


def separate_outputs(network: Network) -> Network:
    """The network in which no output is read, unless it is a spiking layer or an Input.

    Such an output is computed a second time, from the nearest kernel, spiking layer or Input above it. What turns out
    to be the same operator on the same integers is emitted once.
    """
    for name in dict.fromkeys(network.outputs):
        if network.consumers(name) and not isinstance(network[name], nodes.LIF | nodes.Input):
            network, own = _copied(network, network[name])
            outputs = tuple(own if output == name else output for output in network.outputs)
            network = replace(network, outputs=outputs)
    return network


def _copied(network: Network, node: Node) -> tuple[Network, str]:
    """The network with a copy of `node` and of what it reads, down to kernels and spikes. Returns the copy's name."""
    inputs = []
    for name in node.inputs:
        if not isinstance(node, nodes.Linear) and not isinstance(network[name], nodes.LIF | nodes.Input):
            network, name = _copied(network, network[name])
        inputs.append(name)
    copy = replace(node, name=fresh_name(network, f"{node.name}_output"), inputs=tuple(inputs))
    return network.with_nodes((*network.nodes, copy)), copy.name
