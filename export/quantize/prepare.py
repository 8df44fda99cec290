"""Before integers: sums that int8 does not hold are cut into runs, and every shortcut gets a node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.linear_algebra import affine_of
from ..network.nodes import Network
from ..network.queries import count_bound, never_negative, only_reader
from ..program.grid import INT8_MAX, INT8_MIN
from .emit.strides import ONE_PASS


def name_shortcuts(network: Network) -> Network:
    """Puts an Affine of scale 1 where a sum of currents reads bare spikes: there a spike becomes a current."""
    placed = []
    for node in network.nodes:
        if isinstance(node, nodes.Add) and count_bound(network, node) is None:
            spikes = [name for name in dict.fromkeys(node.inputs) if count_bound(network, network[name]) is not None]
            shortcuts = {name: affine_of(f"{node.name}/{name}", network[name], 1.0) for name in spikes}
            placed.extend(shortcuts.values())
            names = {name: shortcut.name for name, shortcut in shortcuts.items()}
            node = replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
        placed.append(node)
    return network.with_nodes(tuple(placed))


LARGEST_WINDOW = 64  # pixels: what Ethos-U's depthwise convolution takes along one axis


def split_sums(network: Network) -> Network:
    """Rewrites SumPool over a whole image -> [Reshape ->] Dense where the sum may exceed 127.

    Sums of 0 to 255 get another zero point. Of others runs of equally many pixels stay below, and the Dense repeats its
    kernel for each of them: the same real numbers.
    """
    for node in network.nodes:
        bound = count_bound(network, node)
        if isinstance(node, nodes.SumPool) and node.shape[:2] == (1, 1) and bound is not None and bound > INT8_MAX:
            fits = bound <= INT8_MAX - INT8_MIN and max(node.size) <= ONE_PASS and never_negative(network, node)
            rewrite = _widen if fits else _split
            network = rewrite(network, node, count_bound(network, network[node.inputs[0]]))
    return network


def longest_run(pixels: int, bound: int) -> int:
    """The largest divisor of `pixels` for which a sum of so many values up to `bound` fits into int8.

    One of at most ONE_PASS where it needs no more than twice as many runs.
    """
    limit = min(INT8_MAX // bound, LARGEST_WINDOW)
    runs = [run for run in range(1, limit + 1) if pixels % run == 0]
    short = max(run for run in runs if run <= ONE_PASS)
    return short if 2 * short >= runs[-1] else runs[-1]


def _readers(network: Network, node: nodes.SumPool) -> tuple[nodes.Reshape | None, nodes.Dense | None]:
    """The Dense that alone reads the sums, and the Reshape between, if there is one."""
    reader = only_reader(network, node.name)
    flat = reader if isinstance(reader, nodes.Reshape) else None
    dense = only_reader(network, flat.name) if flat else reader
    return flat, dense if isinstance(dense, nodes.Dense) and len(dense.shape) == 1 else None


def _widen(network: Network, node: nodes.SumPool, bound: int) -> Network:
    _, dense = _readers(network, node)
    return (
        network
        if dense is None
        else network.with_nodes(tuple(replace(old, wide=True) if old is node else old for old in network.nodes))
    )


def _split(network: Network, node: nodes.SumPool, bound: int) -> Network:
    flat, dense = _readers(network, node)
    if dense is None:
        return network  # the emitter refuses it by name
    height, width, channels = network[node.inputs[0]].shape
    run = longest_run(height * width, bound)
    runs = height * width // run
    # Pixels in a row are summed with stride 1: Ethos-U55 and U65 take no stride above 3.
    rows = nodes.Reshape(
        name=f"{node.name}/runs", inputs=node.inputs, shape=(runs, run, channels), temporal=node.temporal
    )
    pooled = replace(node, inputs=(rows.name,), size=(1, run), strides=(1, 1), shape=(runs, 1, channels))
    name = flat.name if flat else f"{node.name}/flat"
    joined = nodes.Reshape(name=name, inputs=(node.name,), shape=(runs * channels,), temporal=node.temporal)
    tiled = replace(dense, inputs=(joined.name,), kernel=np.tile(dense.kernel, (runs, 1)))
    changed = {node.name: (rows, pooled, joined), dense.name: (tiled,)}
    if flat:
        changed[flat.name] = ()
    return network.with_nodes(tuple(new for old in network.nodes for new in changed.get(old.name, (old,))))
