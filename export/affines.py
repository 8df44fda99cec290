"""Where an Affine goes: into the kernel above it, else into the kernel below it, else down to the next neuron."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .commute import Line, above, below, compose
from .graph import fresh_name, insert_after, nodes_of, only_reader, reading, settle, substitute
from .linearity import after_affine, then_affine
from .network import Affine, Input, Linear, Network, Node


def split_affines(network: Network) -> Network:
    """One Affine per reader, so that each can go its own way."""
    for affine in nodes_of(network, Affine):
        if len(network.consumers(affine.name)) + network.outputs.count(affine.name) > 1:
            network = _split(network, affine)
    return network


def absorb_affines(network: Network) -> Network:
    """Every Affine into the Linear or Affine above it, else into the Linear below it, if it reaches one."""
    return settle(network, Affine, _absorbed)


def sink_affines(network: Network) -> Network:
    """What is left as far down as it goes: to the next neuron, or to the output."""
    return settle(network, Affine, _one_step_down)


def relabel_inputs(network: Network) -> Network:
    """scale * x + offset before a zero-padded kernel: scale in the kernel, x + offset / scale at the Input."""
    for affine in nodes_of(network, Affine):
        if np.all(affine.scale != 0) and np.any(affine.scale != 1):
            network = _relabelled(network, affine) or network
    return network


def drop_identities(network: Network) -> Network:
    """No Affine that changes nothing."""
    for affine in nodes_of(network, Affine):
        if np.all(affine.scale == 1) and not np.any(affine.offset):
            network = substitute(network, affine.name)
    return network


def line_of(affine: Affine) -> Line:
    return affine.scale, affine.offset


def _split(network: Network, affine: Affine) -> Network:
    nodes: list[Node] = []
    for node in network.nodes:
        if affine.name in node.inputs:
            copy = replace(affine, name=fresh_name(network, f"{affine.name}_{node.name}"))
            nodes.append(copy)
            node = reading(node, affine.name, copy.name)
        if node.name != affine.name or node.name in network.outputs:
            nodes.append(node)
    return network.with_nodes(tuple(nodes))


def _absorbed(network: Network, affine: Affine) -> Network | None:
    return _absorbed_above(network, affine) or _absorbed_below(network, affine)


def _absorbed_above(network: Network, affine: Affine) -> Network | None:
    line, node = line_of(affine), network[affine.inputs[0]]
    while line is not None and only_reader(network, node.name) is not None:
        if isinstance(node, Linear):
            return substitute(substitute(network, affine.name), node.name, then_affine(node, line))
        if isinstance(node, Affine):
            return _merged(network, affine, node, compose(line_of(node), line))
        if not node.inputs:
            return None
        line, node = above(network, node, line), network[node.inputs[0]]
    return None


def _merged(network: Network, affine: Affine, into: Affine, line: Line) -> Network:
    """Two Affines as one, named after the one with an offset: that is the user's layer."""
    name = affine.name if np.any(affine.offset) else into.name
    merged = replace(into, name=name, scale=line[0], offset=line[1])
    return substitute(substitute(network, affine.name), into.name, merged)


def _absorbed_below(network: Network, affine: Affine) -> Network | None:
    line, node = line_of(affine), only_reader(network, affine.name)
    while line is not None and node is not None:
        if isinstance(node, Linear):
            shorter = substitute(network, affine.name)
            linear = after_affine(shorter[node.name], line)
            return linear and substitute(shorter, node.name, linear)
        line, node = below(network, node, line), only_reader(network, node.name)
    return None


def _one_step_down(network: Network, affine: Affine) -> Network | None:
    node = only_reader(network, affine.name)
    line = below(network, node, line_of(affine)) if node is not None else None
    if line is None:
        return None
    network = substitute(network, affine.name)
    return insert_after(network, node.name, _placed(affine, node, line))


def _relabelled(network: Network, affine: Affine) -> Network | None:
    """Affine (scale, 0) absorbed below and Affine (1, offset / scale) behind the Input; None if one cannot be."""
    line, source = (np.ones(()), affine.offset / affine.scale), network[affine.inputs[0]]
    while line is not None and not isinstance(source, Input):
        if not source.inputs or only_reader(network, source.name) is None:
            return None
        line, source = above(network, source, line), network[source.inputs[0]]
    if line is None or only_reader(network, source.name) is None:
        return None
    factor = replace(affine, name=fresh_name(network, f"{affine.name}_scale"), offset=np.zeros(()))
    network = _absorbed_below(substitute(network, affine.name, factor), factor)
    shift = _placed(affine, source, line)
    return network and insert_after(network, source.name, shift)


def _placed(affine: Affine, source: Node, line: Line) -> Affine:
    """`affine` with another line, behind `source`."""
    scale, offset = line
    placed = replace(affine, inputs=(source.name,), shape=source.shape, temporal=source.temporal)
    return replace(placed, scale=scale, offset=offset)
