"""Linear operations over sums: f(x + y) = f(x) + f(y), and one kernel for spikes that are weighted unequally."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.linear_algebra import after_affine
from ..network.nodes import Network, Node
from ..network.queries import holds_counts, only_reader
from ..network.surgery import affine, fresh_name, place_before, substitute, until_stable, without_unread
from .commute import below

ONE, ZERO = np.ones(()), np.zeros(())
Part = tuple[str, np.ndarray]  # name of what is read, and the factor it is multiplied by


def distribute_factors(network: Network) -> Network:
    """K (a1 * s1 + a2 * s2) = [K a1, K a2] (s1, s2) for sums of spikes with unequal factors a.

    Spikes with the same factor are added; the sums lie behind one another along the channels, and the kernel has a
    factor for each. (A depthwise kernel cannot add channels: there it is an Add of two convolutions.)
    """
    return without_unread(_distributed(network))


def over_sum(network: Network, node: Node) -> Network | None:
    """node(x + y) as node(x) + node(y), where the sum has no other reader and a Linear among its addends."""
    add = network[node.inputs[0]]
    if not isinstance(add, nodes.Add) or only_reader(network, add.name) is not node:
        return None
    if not any(isinstance(network[name], nodes.Linear) for name in add.inputs):
        return None
    return without_unread(_spread(network, node, [(name, ONE) for name in add.inputs]))


@until_stable(nodes.Add)
def _distributed(network: Network, add: nodes.Add) -> Network | None:
    if not holds_counts(network, add) or holds_counts(network, add, factors=False):
        return None
    readers = (reader for reader in network.consumers(add.name) if reader.linear)
    candidates = (_per_factor(network, add, reader) for reader in readers)
    return next((candidate for candidate in candidates if candidate is not None), None)


def _per_factor(network: Network, add: nodes.Add, node: Node) -> Network | None:
    groups: list[tuple[list[str], np.ndarray]] = []
    for name, factor in _leaves(network, add, ONE).items():
        same = next((names for names, other in groups if np.array_equal(other, factor)), None)
        groups.append(([name], factor)) if same is None else same.append(name)
    parts: list[Part] = []
    for names, factor in groups:
        network, name = _total(network, node, names)
        parts.append((name, factor))
    widens = node.mixes_channels and len(parts) > 1
    return _widened(network, node, parts) if widens else _spread(network, node, parts)


def _leaves(network: Network, node: Node, factor: np.ndarray) -> dict[str, np.ndarray]:
    """The addends of a sum of sums by name, with the factor of each."""
    if isinstance(node, nodes.Affine):
        return _leaves(network, network[node.inputs[0]], factor * node.scale)
    if not isinstance(node, nodes.Add) or holds_counts(network, node, factors=False):
        return {node.name: factor}
    total: dict[str, np.ndarray] = {}
    for name in node.inputs:
        for leaf, share in _leaves(network, network[name], factor).items():
            total[leaf] = total.get(leaf, ZERO) + share
    return total


def _total(network: Network, node: Node, names: list[str]) -> tuple[Network, str]:
    """The name of a node that holds the sum of `names`, new in front of `node` if there are several."""
    if len(names) == 1:
        return network, names[0]
    like = network[names[0]]
    name = fresh_name(network, f"{node.name}_spikes")
    add = nodes.Add(name=name, inputs=tuple(names), shape=like.shape, temporal=like.temporal)
    return place_before(network, node.name, add), name


def _widened(network: Network, node: nodes.Linear, parts: list[Part]) -> Network:
    """`node` on all parts behind one another."""
    source = network[node.inputs[0]]
    sources = nodes.Concatenate(
        name=fresh_name(network, f"{node.name}_spikes"),
        inputs=tuple(name for name, _ in parts),
        shape=(*source.shape[:-1], source.shape[-1] * len(parts)),
        temporal=source.temporal,
    )
    kernels = [after_affine(node, (factor, ZERO)).kernel for _, factor in parts]
    wide = replace(node, inputs=(sources.name,), kernel=np.concatenate(kernels, axis=-2))
    return substitute(network, node.name, sources, wide)


def _spread(network: Network, node: Node, parts: list[Part]) -> Network | None:
    """An Add of copies of `node`, one per part, in the place of `node`. The first keeps its name, and its bias."""
    pieces: list[tuple[Node, ...]] = []
    for count, (name, factor) in enumerate(parts):
        copy = replace(node, inputs=(name,))
        if count:
            copy = replace(_unbiased(copy), name=fresh_name(network, f"{node.name}_{count}"))
        piece = _scaled(network, copy, node, factor)
        if piece is None:
            return None
        pieces.append(piece)
    if len(pieces) == 1:
        return substitute(network, node.name, *pieces[0])
    total = nodes.Add(
        name=fresh_name(network, f"{node.name}_sum"),
        inputs=tuple(piece[-1].name for piece in pieces),
        shape=node.shape,
        temporal=node.temporal,
    )
    return substitute(network, node.name, *(new for piece in pieces for new in piece), total)


def _unbiased(node: Node) -> Node:
    return replace(node, bias=np.zeros_like(node.bias)) if isinstance(node, nodes.Linear) else node


def _scaled(network: Network, copy: Node, node: Node, factor: np.ndarray) -> tuple[Node, ...] | None:
    """`copy` of `node` on factor * x: in its kernel, or in an Affine behind it. None if there is no such Affine."""
    if isinstance(copy, nodes.Linear):
        return (after_affine(copy, (factor, ZERO)),)
    scale_offset = below(network, node, (factor, ZERO))
    if scale_offset is None:
        return None
    return (copy,) if np.all(factor == 1) else (copy, affine(network, copy, copy, "factor", *scale_offset))
