"""The grids of currents: every value that adds up to one neuron's current lies on one grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from .counts import KEEPS_COUNTS, count_bound
from .grid import INT8_MAX, largest_half, snap_decay
from .network import LIF, Add, Affine, Linear, Network, Node, TimestepAffine

HEADROOM = 3.0  # units of 2 * threshold that a sum of several unbounded currents may reach before it saturates


@dataclass(frozen=True)
class CurrentGrid:
    """half: the threshold lies at half + 1/2 steps. proven: whether saturation is known to change no spike."""

    half: int
    proven: bool


def name_shortcuts(network: Network) -> Network:
    """Puts an Affine of scale 1 where a sum of currents reads bare spikes: there a spike becomes a current."""
    nodes = []
    for node in network.nodes:
        if isinstance(node, Add) and count_bound(network, node) is None:
            spikes = [name for name in dict.fromkeys(node.inputs) if count_bound(network, network[name]) is not None]
            shortcuts = {name: _shortcut(network[name], node) for name in spikes}
            nodes.extend(shortcuts.values())
            names = {name: shortcut.name for name, shortcut in shortcuts.items()}
            node = replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
        nodes.append(node)
    return network.with_nodes(tuple(nodes))


def _shortcut(source: Node, add: Add) -> Affine:
    return Affine(
        name=f"{add.name}/{source.name}",
        inputs=(source.name,),
        shape=source.shape,
        temporal=source.temporal,
        scale=np.ones(()),
        offset=np.zeros(()),
    )


def plan_currents(network: Network) -> dict[str, CurrentGrid]:
    """The grid of every value that reaches a neuron as a current, by node name."""
    plan = {}
    for group in current_groups(network):
        readers = [node for node in network.nodes if isinstance(node, LIF) and node.inputs[0] in group]
        if readers:
            grid = group_grid(network, [network[name] for name in group], readers)
            plan.update(dict.fromkeys(group, grid))
    return plan


def current_groups(network: Network) -> list[tuple[str, ...]]:
    """Nodes that are not counts, grouped so that whatever is added, pooled or concatenated is in one group."""
    group = {node.name: (node.name,) for node in network.nodes if count_bound(network, node) is None}
    for node in network.nodes:
        if node.name in group and isinstance(node, KEEPS_COUNTS):
            joined = tuple(dict.fromkeys(name for part in (*node.inputs, node.name) for name in group.get(part, ())))
            group.update(dict.fromkeys(joined, joined))
    return list(dict.fromkeys(group.values()))


def group_grid(network: Network, nodes: list[Node], readers: list[LIF]) -> CurrentGrid:
    """The finest grid on which saturation changes no spike of the readers; a stated range where none is proven.

    Proven: one unbounded current, with or without shortcuts of spikes beside it. Not proven: sums of several.
    """
    decay = max(effective_decay(network, reader) for reader in readers)
    adds = [node for node in nodes if isinstance(node, Add)]
    unbounded = [node for node in nodes if isinstance(node, Linear | TimestepAffine)]
    signed = all(reader.signed for reader in readers)
    if len(adds) > 1 or (adds and len(unbounded) > 1):
        return CurrentGrid(int((INT8_MAX / HEADROOM - 1) / 2), proven=False)
    shortcuts = [shortcut_reach(network, node) for node in nodes if isinstance(node, Affine)]
    half = largest_half(decay, lambda half: reserve(half, shortcuts))
    if half is None:
        raise ValueError(
            f"Cannot export layer '{adds[0].name}': its shortcuts bring {sum(a * n for a, n in shortcuts):.3g} times "
            "twice the threshold, too much for int8. Use smaller amplitudes or a larger threshold."
        )
    return CurrentGrid(half, proven=signed)


def effective_decay(network: Network, node: LIF) -> Fraction:
    """The decay in integers; 0 where a single timestep carries no state."""
    return snap_decay(node.decay) if network.timesteps > 1 else Fraction(0)


def shortcut_reach(network: Network, node: Affine) -> tuple[float, int]:
    """The current of one spike, in units of 2 * threshold, and the largest sum of spikes."""
    bound = count_bound(network, network[node.inputs[0]])
    if bound is None:
        raise ValueError(
            f"Cannot export layer '{node.name}': a factor between currents must lie behind spikes or beside a layer "
            "with weights. Add a Conv2D or Dense layer before it."
        )
    return float(np.abs(node.scale).max()), bound


def reserve(half: int, shortcuts: list[tuple[float, int]]) -> int:
    """Steps that the shortcuts may bring, each rounded to a whole number of steps a spike."""
    return sum(round_half_up(scale * (2 * half + 1)) * bound for scale, bound in shortcuts)


def round_half_up(value: float) -> int:
    return math.floor(value + 0.5)
