"""An Affine absorbed by what lies below it: every reader takes it, each in its own way."""

from __future__ import annotations

from dataclasses import replace

from .commute import Line, below, compose, from_input
from .graph import substitute
from .linearity import after_affine
from .network import LIF, Add, Affine, Concatenate, Linear, Network, Node


def absorbed_below(network: Network, name: str, line: Line) -> Network | None:
    """The network in which all readers of node `name` apply scale * x + offset first; None if one of them cannot."""
    if name in network.outputs:
        return None
    for reader in network.consumers(name):
        network = _into_reader(network, network[reader.name], name, line)
        if network is None:
            return None
    return network


def _into_reader(network: Network, node: Node, name: str, line: Line) -> Network | None:
    if isinstance(node, Linear):
        linear = after_affine(node, line)
        return linear and substitute(network, node.name, linear)
    if isinstance(node, Affine):
        scale, offset = compose(line, (node.scale, node.offset))
        return substitute(network, node.name, replace(node, scale=scale, offset=offset))
    if isinstance(node, Add | LIF):
        return None
    after = from_input(network, node, name, line) if isinstance(node, Concatenate) else below(network, node, line)
    return None if after is None else absorbed_below(network, node.name, after)
