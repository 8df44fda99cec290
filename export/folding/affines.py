"""Where an Affine goes: into the kernels above it, else into those below it, else down to the next neuron."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.linear_algebra import Line, then_affine
from ..network.nodes import Network, Node
from ..network.queries import are_counts, has_linear_above, nodes_of, only_reader, values_above
from ..network.surgery import affine_after, fresh_name, insert_after, reading, settle, substitute
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


def absorb_affines(network: Network) -> Network:
    """Every Affine into the Linears or the Affine above it, else into all Linears below it, if it reaches them."""
    return settle(network, nodes.Affine, _absorbed)


def copy_producers(network: Network) -> Network:
    """A Linear with several readers is copied for the one that reads it through an Affine, and absorbs that."""
    return settle(network, nodes.Affine, _with_own_producer)


def gather_offsets(network: Network) -> Network:
    """(s * spikes + o) + x = (s * spikes + x) + o: no offset on the spikes that an Add reads."""
    return settle(network, nodes.Affine, _offset_below_add)


def sink_affines(network: Network) -> Network:
    """What is left as far down as it goes: to the next neuron, or to the output."""
    return settle(network, nodes.Affine, _one_step_down)


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


def line_of(affine: nodes.Affine) -> Line:
    return affine.scale, affine.offset


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


def _absorbed(network: Network, affine: nodes.Affine) -> Network | None:
    source, line = network[affine.inputs[0]], line_of(affine)
    changed = None
    if only_reader(network, source.name) is not None:
        if isinstance(source, nodes.Affine):
            return _merged(network, affine, source, compose(line_of(source), line))
        changed = absorbed_above(network, source.name, line)
    changed = changed or absorbed_below(network, affine.name, line)
    return changed and substitute(changed, affine.name)


def _with_own_producer(network: Network, affine: nodes.Affine) -> Network | None:
    linear = network[affine.inputs[0]]
    if not isinstance(linear, nodes.Linear) or affine.name in network.outputs:
        return None
    own = replace(then_affine(linear, line_of(affine)), name=fresh_name(network, f"{linear.name}_{affine.name}"))
    return substitute(network, affine.name, own)


def _offset_below_add(network: Network, affine: nodes.Affine) -> Network | None:
    add = only_reader(network, affine.name)
    if not isinstance(add, nodes.Add) or not np.any(affine.offset) or len(set(add.inputs)) < len(add.inputs):
        return None
    if not are_counts(network, network[affine.inputs[0]]):
        return None
    network = substitute(network, affine.name, replace(affine, offset=np.zeros(())))
    return affine_after(network, add, "offset", 1.0, affine.offset)


def _merged(network: Network, affine: nodes.Affine, into: nodes.Affine, line: Line) -> Network:
    """Two Affines as one, named after the one with an offset: that is the user's layer."""
    name = affine.name if np.any(affine.offset) else into.name
    merged = replace(into, name=name, scale=line[0], offset=line[1])
    return substitute(substitute(network, affine.name), into.name, merged)


def _one_step_down(network: Network, affine: nodes.Affine) -> Network | None:
    node = only_reader(network, affine.name)
    if node is None or len(node.inputs) != 1 or is_input_offset(network, affine):
        return None
    line = below(network, node, line_of(affine))
    if line is None:
        return None
    network = substitute(network, affine.name)
    return insert_after(network, node.name, _placed(affine, node, line))


def _relabelled(network: Network, affine: nodes.Affine) -> Network | None:
    """Affine (scale, 0) absorbed below and Affine (1, offset / scale) behind the Input; None if one cannot be."""
    line, source = (np.ones(()), affine.offset / affine.scale), network[affine.inputs[0]]
    while line is not None and not isinstance(source, nodes.Input):
        if len(source.inputs) != 1 or only_reader(network, source.name) is None:
            return None
        line, source = above(network, source, line), network[source.inputs[0]]
    if line is None or only_reader(network, source.name) is None:
        return None
    changed = absorbed_below(network, affine.name, (affine.scale, np.zeros(())))
    shift = _placed(affine, source, line)
    return changed and insert_after(substitute(changed, affine.name), source.name, shift)


def _placed(affine: nodes.Affine, source: Node, line: Line) -> nodes.Affine:
    """`affine` with another line, behind `source`."""
    scale, offset = line
    placed = replace(affine, inputs=(source.name,), shape=source.shape, temporal=source.temporal)
    return replace(placed, scale=scale, offset=offset)


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
    network = affine_after(substitute(network, affine.name, positive), lif, "sign", sign, 0.0)
    note = f"Some channels of {lif.name!r} spike with the opposite sign: their factor behind MaxPooling2D is negative."
    return replace(network, notes=(*network.notes, note))


def _is_behind_max_pool(network: Network, node: Node) -> bool:
    return has_linear_above(network, node) and any(source.monotone for source in values_above(network, node))
