"""Where an Affine goes: into the kernels above it, else into those below it, else down to the next neuron."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.linear_algebra import ScaleOffset, then_affine
from ..network.node import like
from ..network.nodes import Network, Node
from ..network.queries import has_linear_above, holds_counts, nodes_of, only_reader, values_above
from ..network.surgery import affine_after, fresh_name, insert_after, reading, substitute, until_stable
from .absorb import absorbed_above, absorbed_below
from .commute import above, below, compose

ROUNDING = 1e-12  # a factor this close to 1 is 1, divided and multiplied in another order


def split_affines(network: Network) -> Network:
    """One Affine per reader, so that each can go its own way. An offset at the Input stays one."""
    for affine in nodes_of(network, nodes.Affine):
        readers = len(network.consumers(affine.name)) + network.outputs.count(affine.name)
        if readers > 1 and not is_input_offset(network, affine):
            network = _split(network, affine)
    return network


def relabel_inputs(network: Network) -> Network:
    """scale * x + offset before a zero-padded kernel: scale in the kernel, x + offset / scale at the Input."""
    for affine in nodes_of(network, nodes.Affine):
        if np.all(affine.scale != 0) and np.any(affine.scale != 1):
            network = _relabelled(network, affine) or network
    return network


def drop_identities(network: Network) -> Network:
    """No Affine that changes nothing."""
    for affine in nodes_of(network, nodes.Affine):
        if np.all(np.abs(affine.scale - 1) < ROUNDING) and not np.any(affine.offset):
            network = substitute(network, affine.name)
    return network


def is_input_offset(network: Network, affine: nodes.Affine) -> bool:
    """Whether `affine` only shifts the Input: an offset that zero padding forbids to fold."""
    return isinstance(network[affine.inputs[0]], nodes.Input) and bool(np.all(affine.scale == 1))


def _split(network: Network, affine: nodes.Affine) -> Network:
    placed: list[Node] = []
    for node in network.nodes:
        if affine.name in node.inputs:
            copy = replace(affine, name=fresh_name(network, f"{affine.name}_{node.name}"))
            placed.append(copy)
            node = reading(node, affine.name, copy.name)
        if node.name != affine.name or node.name in network.outputs:
            placed.append(node)
    return network.with_nodes(tuple(placed))


@until_stable(nodes.Affine)
def absorb_affines(network: Network, affine: nodes.Affine) -> Network | None:
    """Every Affine into the Linears or the Affine above it, else into all Linears below it, if it reaches them."""
    source, changed = network[affine.inputs[0]], None
    if only_reader(network, source.name) is not None:
        if isinstance(source, nodes.Affine):
            return _merged(network, affine, source)
        changed = absorbed_above(network, source.name, affine.scale_offset)
    if changed is None:
        changed = absorbed_below(network, affine.name, affine.scale_offset)
    return None if changed is None else substitute(changed, affine.name)


@until_stable(nodes.Affine)
def copy_producers(network: Network, affine: nodes.Affine) -> Network | None:
    """A Linear with several readers is copied for the one that reads it through an Affine, and absorbs that."""
    linear = network[affine.inputs[0]]
    if not isinstance(linear, nodes.Linear) or affine.name in network.outputs:
        return None
    own = replace(then_affine(linear, affine.scale_offset), name=fresh_name(network, f"{linear.name}_{affine.name}"))
    return substitute(network, affine.name, own)


@until_stable(nodes.Affine)
def gather_offsets(network: Network, affine: nodes.Affine) -> Network | None:
    """(s * spikes + o) + x = (s * spikes + x) + o: no offset on the spikes that an Add reads."""
    add = only_reader(network, affine.name)
    if not isinstance(add, nodes.Add) or not np.any(affine.offset) or len(set(add.inputs)) < len(add.inputs):
        return None
    if not holds_counts(network, network[affine.inputs[0]]):
        return None
    network = substitute(network, affine.name, replace(affine, offset=np.zeros(())))
    return affine_after(network, add, "offset", 1.0, affine.offset)


def _merged(network: Network, affine: nodes.Affine, into: nodes.Affine) -> Network:
    """Two Affines as one, named after the one with an offset: that is the user's layer."""
    scale, offset = compose(into.scale_offset, affine.scale_offset)
    name = affine.name if np.any(affine.offset) else into.name
    return substitute(substitute(network, affine.name), into.name, replace(into, name=name, scale=scale, offset=offset))


@until_stable(nodes.Affine)
def sink_affines(network: Network, affine: nodes.Affine) -> Network | None:
    """What is left as far down as it goes: to the next neuron, or to the output."""
    node = only_reader(network, affine.name)
    if node is None or len(node.inputs) != 1 or is_input_offset(network, affine):
        return None
    scale_offset = below(network, node, affine.scale_offset)
    if scale_offset is None:
        return None
    network = substitute(network, affine.name)
    return insert_after(network, node.name, _placed(affine, node, scale_offset))


def _relabelled(network: Network, affine: nodes.Affine) -> Network | None:
    """Affine (scale, 0) absorbed below and Affine (1, offset / scale) behind the Input; None if one cannot be."""
    shift = affine.offset / affine.scale
    if np.ptp(shift) <= ROUNDING * np.abs(shift).max():  # one zero point for all channels
        shift = np.asarray(shift.flat[0])
    scale_offset, source = (np.ones(()), shift), network[affine.inputs[0]]
    while scale_offset is not None and not isinstance(source, nodes.Input):
        if len(source.inputs) != 1 or only_reader(network, source.name) is None:
            return None
        scale_offset, source = above(network, source, scale_offset), network[source.inputs[0]]
    if scale_offset is None or only_reader(network, source.name) is None:
        return None
    changed = absorbed_below(network, affine.name, (affine.scale, np.zeros(())))
    if changed is None:
        return None
    return insert_after(substitute(changed, affine.name), source.name, _placed(affine, source, scale_offset))


def _placed(affine: nodes.Affine, source: Node, scale_offset: ScaleOffset) -> nodes.Affine:
    """`affine` with another scale and offset, behind `source`."""
    scale, offset = scale_offset
    return replace(affine, scale=scale, offset=offset, **like(affine.name, source))


def carry_signs(network: Network) -> Network:
    """Negative factors between a MaxPool and a signed neuron go through the neuron: spike(-x) = -spike(x)."""
    for affine in nodes_of(network, nodes.Affine):
        lif = only_reader(network, affine.name)
        if (
            isinstance(lif, nodes.LIF)
            and lif.signed
            and np.any(affine.scale < 0)
            and _is_behind_max_pool(network, affine)
        ):
            network = _sign_behind(network, affine, lif)
    return network


def _sign_behind(network: Network, affine: nodes.Affine, lif: nodes.LIF) -> Network:
    sign = np.where(affine.scale < 0, -1.0, 1.0)
    positive = replace(affine, scale=np.abs(affine.scale), offset=sign * affine.offset)
    flipped = replace(lif, flipped=np.not_equal(lif.flipped, sign < 0))
    network = substitute(substitute(network, affine.name, positive), lif.name, flipped)
    network = affine_after(network, flipped, "sign", sign, 0.0)
    note = f"Some channels of {lif.name!r} spike with the opposite sign: their factor behind MaxPooling2D is negative."
    return replace(network, notes=(*network.notes, note))


def _is_behind_max_pool(network: Network, node: Node) -> bool:
    return has_linear_above(network, node) and any(source.monotone for source in values_above(network, node))
