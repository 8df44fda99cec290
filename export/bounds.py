"""How large spikes and sums of spikes can be."""

from __future__ import annotations

from .network import (
    LIF,
    Add,
    Concatenate,
    Crop,
    MaxPool,
    Network,
    Node,
    Repeat,
    Reshape,
    SumPool,
    TimeSum,
    Upsample,
    ZeroPad,
)

SAME_VALUES = MaxPool | Reshape | Repeat | Concatenate | Upsample | ZeroPad | Crop


def count_bound(network: Network, node: Node) -> int | None:
    """Largest |value| of a node that holds spikes or sums of spikes; None for any other node."""
    if isinstance(node, LIF):
        return 1
    if not isinstance(node, SAME_VALUES | TimeSum | SumPool | Add):
        return None
    below = [count_bound(network, network[name]) for name in node.inputs]
    if None in below:
        return None
    if isinstance(node, Add):
        return sum(below)
    if isinstance(node, TimeSum):
        return max(below) * network.timesteps
    return max(below) * node.size[0] * node.size[1] if isinstance(node, SumPool) else max(below)
