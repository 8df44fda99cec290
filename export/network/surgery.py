"""Surgery on a Network: put nodes in, take nodes out, exchange neighbours. Every function returns a new Network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import numpy as np

from . import nodes
from .linear_algebra import ScaleOffset, affine_of
from .nodes import Network, Node
from .queries import nodes_of, only_reader

Step = Callable[[Network, Node], Network | None]
Pass = Callable[[Network], Network]


def substitute(network: Network, name: str, *placed: Node) -> Network:
    """`placed` instead of node `name`; its readers read the last of them (none given: what it read itself)."""
    successor = placed[-1].name if placed else network[name].inputs[0]
    changed: list[Node] = []
    for node in network.nodes:
        changed.extend(placed if node.name == name else (reading(node, name, successor),))
    outputs = tuple(successor if output == name else output for output in network.outputs)
    return replace(network, nodes=tuple(changed), outputs=outputs)


def insert_before(network: Network, name: str, node: Node) -> Network:
    """`node` between node `name` and the node that it reads."""
    return substitute(network, name, node, replace(network[name], inputs=(node.name,)))


def insert_after(network: Network, name: str, node: Node) -> Network:
    """`node` between node `name` and all its readers."""
    return substitute(network, name, network[name], node)


def exchange(network: Network, first: Node, second: Node) -> Network:
    """Neighbours `second` -> `first` in the place of `first` -> `second`; both as they are after the exchange.

    The only reader of `first` in `network` must be `second`.
    """
    source = network[first.name].inputs
    network = substitute(network, first.name)
    second, first = replace(second, inputs=source), replace(first, inputs=(second.name,))
    return substitute(network, second.name, second, first)


def reading(node: Node, old: str, new: str) -> Node:
    """`node` reading node `new` wherever it read node `old`."""
    if old not in node.inputs:
        return node
    return replace(node, inputs=tuple(new if name == old else name for name in node.inputs))


def until_stable(kind: type[Node]) -> Callable[[Step], Pass]:
    """A decorator that makes a pass over networks of a step on one node of type `kind`.

    The step returns the changed network, or None where it has nothing to do. It is taken on one node after the other,
    until it returns None for every one of them.
    """

    def passing(step: Step) -> Pass:
        @wraps(step)
        def stable(network: Network) -> Network:
            while (changed := _first_change(network, kind, step)) is not None:
                network = changed
            return network

        return stable

    return passing


def _first_change(network: Network, kind: type[Node], step: Step) -> Network | None:
    candidates = (step(network, node) for node in nodes_of(network, kind))
    return next((candidate for candidate in candidates if candidate is not None), None)


def fresh_name(network: Network, name: str) -> str:
    """`name`, or `name_1`, `name_2`, ... where that is taken."""
    taken = {node.name for node in network.nodes}
    candidates = (name if count == 0 else f"{name}_{count}" for count in range(len(taken) + 1))
    return next(candidate for candidate in candidates if candidate not in taken)


def affine_before(network: Network, node: Node, role: str, scale, offset) -> Network:
    """An Affine named `<node>_<role>` in front of `node`."""
    return insert_before(network, node.name, affine(network, network[node.inputs[0]], node, role, scale, offset))


def affine_after(network: Network, node: Node, role: str, scale, offset) -> Network:
    """An Affine named `<node>_<role>` behind `node`."""
    return insert_after(network, node.name, affine(network, node, node, role, scale, offset))


def factor_on_edge(network: Network, source: str, reader: str, scale_offset: ScaleOffset) -> Network:
    """scale * x + offset where node `reader` reads node `source`: in the Affine there, or a new one."""
    node, (scale, offset) = network[source], (np.asarray(value, np.float64) for value in scale_offset)
    if isinstance(node, nodes.Affine) and only_reader(network, source) is not None:
        return substitute(network, source, replace(node, scale=scale * node.scale, offset=scale * node.offset + offset))
    factor = affine(network, node, network[reader], "factor", scale, offset)
    rewired = network.with_nodes(
        tuple(reading(n, source, factor.name) if n.name == reader else n for n in network.nodes)
    )
    return place_before(rewired, reader, factor)


def place_before(network: Network, name: str, *added: Node) -> Network:
    """`added` in front of node `name`, which reads what it read before."""
    placed = ((*added, node) if node.name == name else (node,) for node in network.nodes)
    return network.with_nodes(tuple(node for group in placed for node in group))


def without_unread(network: Network) -> Network:
    """Without the nodes that nothing reads; Inputs stay."""
    while True:
        kept = tuple(n for n in network.nodes if isinstance(n, nodes.Input) or _is_needed(network, n))
        if len(kept) == len(network.nodes):
            return network
        network = network.with_nodes(kept)


def _is_needed(network: Network, node: Node) -> bool:
    return node.name in network.outputs or bool(network.consumers(node.name))


def affine(network: Network, source: Node, owner: Node, role: str, scale, offset) -> nodes.Affine:
    """scale * x + offset of the value of `source`, named `<owner>_<role>`; not yet part of `network`."""
    return affine_of(fresh_name(network, f"{owner.name}_{role}"), source, scale, offset)
