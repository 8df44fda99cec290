"""Outputs that the network reads too, and what is integrated: they go separate ways from what stays inside.

The value that a spiking layer reads saturates where it is sure to fire; the value that leaves must not, nor one that is
added up to a membrane that nothing clears.
"""

from __future__ import annotations

from dataclasses import replace

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.queries import nodes_of, only_reader
from ..network.surgery import fresh_name


def separate_outputs(network: Network) -> Network:
    """The network in which no output is read, unless it is a spiking layer or an Input, and integrators read alone.

    Such a value is computed a second time, from the nearest kernel, spiking layer or Input above it. What turns out
    to be the same operator on the same integers is emitted once.
    """
    for name in dict.fromkeys(network.outputs):
        if network.consumers(name) and not isinstance(network[name], nodes.LIF | nodes.FinalState | nodes.Input):
            network, own = _copied(network, network[name])
            outputs = tuple(own if output == name else output for output in network.outputs)
            network = replace(network, outputs=outputs)
    for node in nodes_of(network, nodes.Integrator):
        if not _reads_alone(network, node):
            network, own = _copied(network, network[node.inputs[0]])
            changed = (replace(other, inputs=(own,)) if other.name == node.name else other for other in network.nodes)
            network = _in_order(network.with_nodes(tuple(changed)))
    return network


def _reads_alone(network: Network, node: Node) -> bool:
    """Whether nobody else reads what a node reads, down to the nearest kernel, spiking layer or Input."""
    for name in node.inputs:
        source = network[name]
        if isinstance(source, nodes.LIF | nodes.Input):
            continue
        if only_reader(network, name) is None:
            return False
        if not (isinstance(source, nodes.Linear) or _reads_alone(network, source)):
            return False
    return True


def _in_order(network: Network) -> Network:
    """Every node behind those that it reads, otherwise as they are."""
    placed: dict[str, Node] = {}
    while len(placed) < len(network.nodes):
        for node in network.nodes:
            if node.name not in placed and all(name in placed for name in node.inputs):
                placed[node.name] = node
    return network.with_nodes(tuple(placed.values()))


def _copied(network: Network, node: Node) -> tuple[Network, str]:
    """The network with a copy of `node` and of what it reads, down to kernels and spikes. Returns the copy's name."""
    inputs = []
    for name in node.inputs:
        if not isinstance(node, nodes.Linear) and not isinstance(network[name], nodes.LIF | nodes.Input):
            network, name = _copied(network, network[name])
        inputs.append(name)
    copy = replace(node, name=fresh_name(network, f"{node.name}_output"), inputs=tuple(inputs))
    return network.with_nodes((*network.nodes, copy)), copy.name
