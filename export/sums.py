"""Sums that fit into int8: a global sum that does not is cut into tiles, added up by the layer behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .arithmetic import same_padding
from .bounds import count_bound
from .grid import INT8_MAX
from .network import Dense, Network, Node, Reshape, SumPool


def tile_sums(network: Network) -> Network:
    """Rewrites SumPool over a whole image -> [Reshape ->] Dense where the sum may exceed 127.

    The tiles' sums stay below, and the Dense repeats its kernel for each of them: the same real numbers.
    """
    for node in network.nodes:
        bound = count_bound(network, node)
        if isinstance(node, SumPool) and node.shape[:2] == (1, 1) and bound is not None and bound > INT8_MAX:
            network = _tile(network, node, count_bound(network, network[node.inputs[0]]))
    return network


def best_tile(height: int, width: int, bound: int) -> tuple[int, int]:
    """The (height, width) of the fewest equal tiles whose sums of values up to `bound` fit into int8."""
    tiles = [(h, w) for h in range(1, height + 1) for w in range(1, width + 1) if h * w * bound <= INT8_MAX]
    return min(tiles, key=lambda tile: (-(-height // tile[0]) * -(-width // tile[1]), tile[0] * tile[1]))


def _tile(network: Network, node: SumPool, bound: int) -> Network:
    reader = _only_reader(network, node)
    flat = reader if isinstance(reader, Reshape) else None
    dense = _only_reader(network, flat) if flat else reader
    if not isinstance(dense, Dense) or len(dense.shape) != 1:
        return network  # the emitter refuses it by name
    height, width, channels = network[node.inputs[0]].shape
    tile = best_tile(height, width, bound)
    padding = tuple(same_padding(*axis) for axis in zip((height, width), tile, tile, strict=True))
    rows, columns = -(-height // tile[0]), -(-width // tile[1])
    pooled = replace(node, size=tile, strides=tile, padding=padding, shape=(rows, columns, channels))
    reshaped = Reshape(
        name=flat.name if flat else f"{node.name}/flat",
        inputs=(node.name,),
        shape=(rows * columns * channels,),
        temporal=node.temporal,
    )
    tiled = replace(dense, inputs=(reshaped.name,), kernel=np.tile(dense.kernel, (rows * columns, 1)))
    changed = {node.name: (pooled, *(() if flat else (reshaped,))), dense.name: (tiled,)}
    if flat:
        changed[flat.name] = (reshaped,)
    return network.with_nodes(tuple(new for old in network.nodes for new in changed.get(old.name, (old,))))


def _only_reader(network: Network, node: Node) -> Node | None:
    readers = network.consumers(node.name)
    return readers[0] if len(readers) == 1 else None
