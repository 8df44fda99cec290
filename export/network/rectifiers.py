"""ReLUs as neurons of many levels: what a file rounds a rectified value to are whole steps, fired as graded spikes are.

    min(max(x, 0), M) in L steps of M / L = M / L * spike,  spike = round(x / (M / L)) within [0, L]

so a LIF of L levels, decay 0, threshold M / (2 L) and amplitude M / L computes it, at any number of timesteps. All that
is behind (folding, grids, proofs, C) knows graded spikes already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from . import nodes
from .linear_algebra import diagonal, ones, then_affine
from .node import like
from .nodes import Network, Node
from .queries import nodes_of
from .surgery import fresh_name, place_before, reading, substitute

MOST_LEVELS = 127  # what int8 holds
OF_UNKNOWN_SUMS = MOST_LEVELS // 2  # where addends may be twice as large as what is left of their sum
HANDING_ON = (nodes.MaxPool, nodes.Reshape, nodes.Crop, nodes.ZeroPad, nodes.Upsample, nodes.Concatenate, nodes.Repeat)
ONE, ZERO = np.ones(()), np.zeros(())


def has_rectifiers(network: Network) -> bool:
    return any(isinstance(node, nodes.Relu) for node in network.nodes)


def with_own_steps(network: Network) -> Network:
    """The network with a Relu wherever rectified values are averaged, and a kernel where they meet other currents.

    A mean of many levels does not fit into int8 as a sum: it is rounded to steps of its own. A shortcut of many levels
    cannot be a whole number of steps for each: a kernel of weight 1 brings it onto the grid of the sum.
    """
    for pool in nodes_of(network, nodes.AveragePool):
        if is_rectified(network, network[pool.inputs[0]]):
            network = _rounded(network, pool)
    for add in nodes_of(network, nodes.Add):
        rectified = [name for name in add.inputs if is_rectified(network, network[name])]
        for name in rectified if len(rectified) < len(add.inputs) or _read_by_relu(network, add) else ():
            network = _with_kernel(network, name, add.name)
    return network


def is_rectified(network: Network, node: Node) -> bool:
    """Whether a Relu's steps reach the value of `node` as they are, on one way at least."""
    if isinstance(node, HANDING_ON):
        return any(is_rectified(network, network[name]) for name in node.inputs)
    return isinstance(node, nodes.Relu)


def _read_by_relu(network: Network, node: Node) -> bool:
    readers = network.consumers(node.name)
    handed = (reader for reader in readers if isinstance(reader, (nodes.Affine, *HANDING_ON)))
    return any(isinstance(reader, nodes.Relu) for reader in readers) or any(_read_by_relu(network, r) for r in handed)


def _rounded(network: Network, pool: nodes.AveragePool) -> Network:
    near = replace(pool, strides=(1, 1)) if pool.shape[:2] == (1, 1) else pool  # Ethos-U55 takes no far strides
    mean = then_affine(ones(near), (np.asarray(1 / (pool.size[0] * pool.size[1])), ZERO))
    name = fresh_name(network, f"{pool.name}_rounded")
    steps = nodes.Relu(highest=_bound(network, network[pool.inputs[0]]), **like(name, mean))
    return substitute(network, pool.name, mean, steps)


def _bound(network: Network, node: Node) -> float | None:
    """What a rectified value cannot exceed, if that is known."""
    if isinstance(node, nodes.Relu):
        return node.highest
    if not isinstance(node, HANDING_ON):
        return None
    bounds = [_bound(network, network[name]) for name in node.inputs]
    return None if None in bounds else max(bounds)


def _with_kernel(network: Network, name: str, reader: str) -> Network:
    kernel = diagonal(fresh_name(network, f"{reader}_{name}_current"), network[name], (ONE, ZERO))
    network = place_before(network, reader, kernel)
    rewired = (reading(node, name, kernel.name) if node.name == reader else node for node in network.nodes)
    return network.with_nodes(tuple(rewired))


def watched(network: Network) -> tuple[str, ...]:
    """The nodes of whose values `with_levels` wants to know how far they reach."""
    found: dict[str, None] = {}
    for relu in nodes_of(network, nodes.Relu):
        found[relu.name] = None
        found |= {name: None for add, _ in _sums_above(network, relu) for name in add.inputs}
    return tuple(found)


def without_range(network: Network) -> list[str]:
    """The ReLUs that nothing clips."""
    return [relu.name for relu in nodes_of(network, nodes.Relu) if relu.highest is None]


def with_levels(network: Network, reached: Mapping[str, float]) -> Network:
    """The network with a LIF of many levels for every Relu.

    reached: the largest size of a value on samples, by the names of `watched`; those of ReLUs that something clips may
        be left out, and all of sums.
    """
    relus = nodes_of(network, nodes.Relu)
    ranges = {relu.name: _range(relu, reached) for relu in relus}
    levels = {relu.name: _levels(network, relu, ranges[relu.name], reached) for relu in relus}
    for name, count in _alike(network, levels).items():
        step = ranges[name] / count
        numbers = {"decay": 0.0, "threshold": step / 2, "amplitude": step, "signed": False, "levels": count}
        network = substitute(network, name, nodes.LIF(**_fields(network[name]), **numbers))
    return network


def _range(relu: nodes.Relu, reached: Mapping[str, float]) -> float:
    highest = min(value for value in (relu.highest, reached.get(relu.name)) if value is not None)
    return highest if highest > 0 else relu.highest or 1.0  # silent on all samples


def _alike(network: Network, levels: Mapping[str, int]) -> dict[str, int]:
    """The same with as many levels for ReLUs that are joined or added up: the scale of graded spikes is a label."""
    levels, before = dict(levels), None
    while levels != before:
        before = dict(levels)
        for node in network.nodes:
            if isinstance(node, nodes.Concatenate | nodes.Add):
                together = _relus_above(network, node)
                levels |= dict.fromkeys(together, min((levels[name] for name in together), default=MOST_LEVELS))
    return levels


def _relus_above(network: Network, node: Node) -> set[str]:
    """The ReLUs whose steps reach `node`, as they are or added up."""
    if isinstance(node, nodes.Relu):
        return {node.name}
    if not isinstance(node, (nodes.Add, *HANDING_ON)):
        return set()
    return set().union(*(_relus_above(network, network[name]) for name in node.inputs))


def with_any_levels(network: Network) -> Network:
    """As `with_levels`, for somebody who only looks at shapes."""
    network = with_own_steps(network)
    return with_levels(network, dict.fromkeys(watched(network), 1.0))


def _fields(node: Node) -> dict[str, object]:
    return {"name": node.name, "inputs": node.inputs, "shape": node.shape, "temporal": node.temporal}


def _levels(network: Network, relu: nodes.Relu, highest: float, reached: Mapping[str, float]) -> int:
    """As many as int8 holds, beside addends that are larger than their sum, and in a sum over timesteps."""
    levels = MOST_LEVELS
    for add, factor in _sums_above(network, relu):
        sizes = [reached.get(name) for name in add.inputs]
        known = None not in sizes
        room = max(highest, factor * max(sizes)) if known else highest * MOST_LEVELS / OF_UNKNOWN_SUMS
        levels = min(levels, int(MOST_LEVELS * highest / room))
    return max(1, min(levels, MOST_LEVELS // network.timesteps) if _is_averaged(network, relu) else levels)


def _sums_above(network: Network, node: Node) -> Iterator[tuple[nodes.Add, float]]:
    """The Adds whose value `node` reads through factors alone, and the largest of these."""
    source, factor = network[node.inputs[0]], 1.0
    while isinstance(source, nodes.Affine | nodes.Reshape | nodes.Repeat | nodes.MaxPool):
        factor *= float(np.abs(source.scale).max()) if isinstance(source, nodes.Affine) else 1.0
        source = network[source.inputs[0]]
    if isinstance(source, nodes.Add):
        yield source, factor


def _is_averaged(network: Network, node: Node) -> bool:
    """Whether the values of `node` are added up over timesteps; a mean passes whatever is linear."""
    for reader in network.consumers(node.name):
        if isinstance(reader, nodes.TimeAverage | nodes.TimeSum):
            return True
        if not isinstance(reader, nodes.LIF | nodes.Relu) and _is_averaged(network, reader):
            return True
    return False
