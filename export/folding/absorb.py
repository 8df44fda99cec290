"""An Affine absorbed by what lies above it: kernels, other Affines, and the branches of sums and concatenations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.linear_algebra import ScaleOffset, after_affine, then_affine
from ..network.nodes import Network, Node
from ..network.queries import holds_counts, only_reader
from ..network.surgery import factor_on_edge, substitute
from .commute import above, below, compose, from_input, per_input


def absorbed_below(network: Network, name: str, scale_offset: ScaleOffset) -> Network | None:
    """The network in which all readers of node `name` apply scale * x + offset first; None if one of them cannot."""
    if name in network.outputs:
        return None
    for reader in network.consumers(name):
        network = _into_reader(network, network[reader.name], name, scale_offset)
        if network is None:
            return None
    return network


def _into_reader(network: Network, node: Node, name: str, scale_offset: ScaleOffset) -> Network | None:
    if isinstance(node, nodes.Linear):
        linear = after_affine(node, scale_offset)
        return None if linear is None else substitute(network, node.name, linear)
    if isinstance(node, nodes.Affine):
        scale, offset = compose(scale_offset, node.scale_offset)
        return substitute(network, node.name, replace(node, scale=scale, offset=offset))
    if isinstance(node, nodes.Add | nodes.LIF):
        return None
    if isinstance(node, nodes.Concatenate):
        return absorbed_below(network, node.name, from_input(network, node, name, scale_offset))
    after = below(network, node, scale_offset)
    return None if after is None else absorbed_below(network, node.name, after)


ONE, ZERO = np.ones(()), np.zeros(())


def absorbed_above(network: Network, name: str, scale_offset: ScaleOffset) -> Network | None:
    """The network in which node `name` has the value scale * x + offset instead of x; None if it cannot absorb that.

    Every reader of the node gets the new value, so there should be only those that want it.
    """
    node = network[name]
    if isinstance(node, nodes.Linear):
        return substitute(network, name, then_affine(node, scale_offset))
    if isinstance(node, nodes.Affine):
        scale, offset = compose(node.scale_offset, scale_offset)
        return substitute(network, name, replace(node, scale=scale, offset=offset))
    if isinstance(node, nodes.TimestepAffine):
        node = replace(node, offsets=scale_offset[0] * node.offsets + scale_offset[1])
        return _if_only_read(substitute(network, name, node), node.inputs[0], (scale_offset[0], ZERO))
    if isinstance(node, nodes.Add | nodes.Concatenate):
        return _into_branches(network, node, scale_offset)
    if isinstance(node, nodes.LIF) or not node.inputs:
        return None
    before = above(network, node, scale_offset)
    return None if before is None else _if_only_read(network, node.inputs[0], before)


def _if_only_read(network: Network, name: str, scale_offset: ScaleOffset) -> Network | None:
    return None if only_reader(network, name) is None else absorbed_above(network, name, scale_offset)


def _into_branches(network: Network, join: nodes.Add | nodes.Concatenate, scale_offset: ScaleOffset) -> Network | None:
    """Currents absorb their share; spikes get an Affine of their own. Only spikes: nothing there to absorb it."""
    names = join.inputs
    plain = [name for name in names if not holds_counts(network, network[name])]
    if not plain or len(set(names)) < len(names):
        return None
    if isinstance(join, nodes.Add):
        return _into_addends(network, join, plain, scale_offset)
    for name, share in zip(names, per_input(network, join, scale_offset), strict=True):
        network = _into_branch(network, join, name, share)
        if network is None:
            return None
    return network


def _into_addends(network: Network, add: nodes.Add, plain: list[str], scale_offset: ScaleOffset) -> Network | None:
    """The scale into every addend, then the offset into the first one that takes it."""
    scale, offset = scale_offset
    for name in add.inputs if np.any(scale != 1) else ():
        network = _into_branch(network, add, name, (scale, ZERO))
        if network is None:
            return None
    if not np.any(offset):
        return network
    candidates = (_if_only_read(network, name, (ONE, offset)) for name in plain)
    return next((candidate for candidate in candidates if candidate is not None), None)


def _into_branch(network: Network, join: Node, name: str, scale_offset: ScaleOffset) -> Network | None:
    if not holds_counts(network, network[name]):
        return _if_only_read(network, name, scale_offset)
    return factor_on_edge(network, name, join.name, scale_offset)
