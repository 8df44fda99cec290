"""Which values are whole numbers, and how large: spikes, and sums and rearrangements of spikes."""

from __future__ import annotations

import numpy as np

from .network import (
    LIF,
    Add,
    Affine,
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

KEEPS_COUNTS = (MaxPool, SumPool, Reshape, Repeat, TimeSum, Upsample, ZeroPad, Crop, Add, Concatenate)


def are_counts(network: Network, node: Node, *, factors: bool = True) -> bool:
    """Whether the value of `node` is made of spikes alone, without a kernel between.

    factors: whether Affines without offset may lie between, so that the numbers are whole only up to factors.
    """
    if isinstance(node, LIF):
        return True
    factor = factors and isinstance(node, Affine) and not np.any(node.offset)
    if not (factor or isinstance(node, KEEPS_COUNTS)):
        return False
    return all(are_counts(network, network[name], factors=factors) for name in node.inputs)


def count_bound(network: Network, node: Node) -> int | None:
    """Largest |value| of a node that holds spikes or sums of spikes; None for any other node."""
    if isinstance(node, LIF):
        return 1
    if not isinstance(node, KEEPS_COUNTS):
        return None
    below = [count_bound(network, network[name]) for name in node.inputs]
    if None in below:
        return None
    if isinstance(node, Add):
        return sum(below)
    if isinstance(node, TimeSum):
        return max(below) * network.timesteps
    return max(below) * node.size[0] * node.size[1] if isinstance(node, SumPool) else max(below)
