"""The unit of a sum: what its neurons or its spikes ask for, so that one factor serves all who read it.

A stream is a set of values that can only change their unit together, because sums, concatenations, pools or several
readers tie them. Kernels at its edges absorb a unit; spikes that enter it and neurons that read it ask for one, for all
channels or, where thresholds or amplitudes differ from channel to channel, for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.linear_algebra import after_affine, factors, then_affine
from ..network.nodes import Network, Node
from ..network.queries import fires, repeated
from ..network.surgery import affine_after, factor_on_edge, substitute

Edge = tuple[str, str]  # names: read, reading
Unit = tuple[float, ...]  # of all channels, or of each
UNIT_ONE = (1.0,)


def set_units(network: Network) -> Network:
    """Every stream in the unit that most of its neurons ask for; made of spikes alone, that most spikes ask for."""
    done: set[str] = set()
    for node in network.nodes:
        tied = isinstance(node, nodes.Add | nodes.Concatenate) or (
            _is_inside(node) and len(network.consumers(node.name)) > 1
        )
        if tied and node.name not in done:
            stream = _stream(network, node.name)
            done |= stream
            network = _in_unit(network, stream, _wanted(network, stream))
    return network


def _is_inside(node: Node) -> bool:
    return isinstance(node, nodes.Linear | nodes.Affine) or node.keeps_counts


def _stream(network: Network, name: str) -> set[str]:
    """Names of all nodes whose values are tied to that of `name`."""
    found, waiting = set(), [name]
    while waiting:
        node = network[waiting.pop()]
        if node.name in found:
            continue
        found.add(node.name)
        above = () if isinstance(node, nodes.Linear) else (network[source] for source in node.inputs)
        below = (reader for reader in network.consumers(node.name) if not isinstance(reader, nodes.Linear))
        waiting.extend(other.name for other in (*above, *below) if _is_inside(other))
    return found


def _entries(network: Network, stream: set[str]) -> Iterator[Edge]:
    """Where spikes or an Input enter the stream."""
    for node in network.nodes:
        if node.name in stream and not isinstance(node, nodes.Linear):
            yield from ((source, node.name) for source in dict.fromkeys(node.inputs) if source not in stream)


def _exits(network: Network, stream: set[str]) -> Iterator[Edge]:
    """Where neurons and Linears read the stream."""
    for node in network.nodes:
        if isinstance(node, nodes.LIF | nodes.FinalState | nodes.Linear):
            yield from ((source, node.name) for source in node.inputs if source in stream)


def _wanted(network: Network, stream: set[str]) -> Unit:
    """The unit, as a multiple of the present one; of those asked for equally often, the first."""
    entries, exits = list(_entries(network, stream)), list(_exits(network, stream))
    spikes = [_factor(network[reader]) for source, reader in entries if isinstance(network[source], nodes.LIF)]
    neurons = [_factor_of_neuron(network, *edge) for edge in exits if fires(network, network[edge[1]])]
    only_spikes = len(spikes) == len(entries) and not any(isinstance(network[name], nodes.Linear) for name in stream)
    asked = [factor for factor in spikes if factor]
    if neurons and not only_spikes:
        asked = [tuple(1 / number for number in factor) for factor in neurons if factor] or asked
    if not _keeps_channels(network, stream):
        asked = [(max(unit),) for unit in asked]
    return Counter(asked).most_common(1)[0][0] if asked else UNIT_ONE


def _keeps_channels(network: Network, stream: set[str]) -> bool:
    """Whether the last axis means the same channels everywhere in the stream."""
    return all(network[name].keeps_channels or isinstance(network[name], nodes.Linear) for name in stream)


def _factor_of_neuron(network: Network, source: str, reader: str) -> Unit | None:
    """What neuron `reader`, or the diagonal kernel in front of it, multiplies the stream's value by."""
    if not isinstance(network[reader], nodes.LIF | nodes.FinalState):
        return _unit(factors(network[reader]))
    return _factor(repeated(network, source))


def _factor(node: Node) -> Unit | None:
    """What a value is multiplied by at the edge of the stream."""
    return _unit(node.scale) if isinstance(node, nodes.Affine) else UNIT_ONE


def _unit(factors: np.ndarray) -> Unit | None:
    """Without signs; None if there is a 0."""
    numbers = np.abs(factors).ravel().tolist()
    if 0 in numbers:
        return None
    return tuple(numbers[:1] if len(set(numbers)) == 1 else numbers)


def _in_unit(network: Network, stream: set[str], wanted: Unit) -> Network:
    """The stream's values divided by the unit, and nobody else's."""
    if wanted == UNIT_ONE:
        return network
    unit = np.array(wanted if len(wanted) > 1 else wanted[0])
    into, out_of = _line(1 / unit), _line(unit)
    entries, exits = list(_entries(network, stream)), list(_exits(network, stream))
    outputs = [name for name in network.outputs if name in stream]
    for name in stream:
        network = substitute(network, name, _divided(network[name], unit))
    for source, reader in entries:
        network = factor_on_edge(network, source, reader, into)
    for source, reader in exits:
        node = network[reader]
        if isinstance(node, nodes.Linear):
            network = substitute(network, reader, after_affine(node, out_of))
        else:
            network = factor_on_edge(network, source, reader, out_of)
    for name in outputs:
        network = _at_output(network, name, unit)
    return network


def _divided(node: Node, unit: np.ndarray) -> Node:
    if isinstance(node, nodes.Linear):
        return then_affine(node, _line(1 / unit))
    return replace(node, offset=node.offset / unit) if isinstance(node, nodes.Affine) else node


def _at_output(network: Network, name: str, unit: np.ndarray) -> Network:
    """An Affine between node `name` and the world; other readers read the node itself."""
    readers = {node.name: node for node in network.consumers(name)}
    network = affine_after(network, network[name], "unit", unit, 0.0)
    return network.with_nodes(tuple(readers.get(node.name, node) for node in network.nodes))


def _line(scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return scale, np.zeros(())
