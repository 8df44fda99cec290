"""Which values are whole numbers: spikes, and sums and rearrangements of spikes."""

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
