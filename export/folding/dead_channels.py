"""Channels that tell nothing are left out: those that never spike, and those whose spikes nobody reads.

A channel whose kernel is 0 has its bias for a current, always. Below, decay and reset play no part: without a spike

    |membrane| <= |bias| * (1 + decay + decay^2 + ...) = |bias| / (1 - decay)

at any number of timesteps, and where that is below the threshold there never is one. It may fall short of the
threshold by a tenth, so that rounding to integers does not lift it above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.queries import nodes_of, only_reader

MARGIN = 0.9

# By name, for the nodes from a kernel to the readers of its spikes: which of the kernel's output channels each position
# along the last axis belongs to. Of a reader: along the last axis of what it reads.
Positions = Mapping[str, np.ndarray]


def drop_dead_channels(network: Network) -> Network:
    """Without the channels of spikes that are always 0 or never read, as far as every way down ends at a kernel.

    Same outputs in real arithmetic. Of a layer that nothing reads one channel is kept. The notes say what was dropped.

    Raises:
        ValueError: naming a layer of which no neuron ever spikes.
    """
    before = {lif.name: lif.shape[-1] for lif in nodes_of(network, nodes.LIF)}
    while (smaller := _dropped_once(network)) is not None:
        network = smaller
    dropped = {name: count - network[name].shape[-1] for name, count in before.items()}
    notes = [_note(network[name], before[name], count) for name, count in dropped.items() if count]
    return replace(network, notes=(*network.notes, *notes))


def _note(lif: nodes.LIF, before: int, dropped: int) -> str:
    return f"{dropped} of {before} channels of {lif.name!r} are left out: they never spike, or nothing reads them."


def _dropped_once(network: Network) -> Network | None:
    for lif in nodes_of(network, nodes.LIF):
        linear = _kernel_above(network, lif)
        positions = None if linear is None else _positions(network, linear, lif)
        if positions is None:
            continue
        silent = _silent(linear, lif)
        if silent.all():
            raise ValueError(
                f"Cannot export layer {lif.name!r}: none of its neurons ever spikes, for all weights of "
                f"{linear.name!r} are 0. Prune less, or take both out of the model."
            )
        keep = ~(silent | _unread(network, positions, lif.shape[-1]))
        keep[0] |= not keep.any()
        if not keep.all():
            return _with_channels(network, linear, positions, keep)
    return None


def _kernel_above(network: Network, lif: nodes.LIF) -> nodes.Linear | None:
    """The kernel that alone drives the neurons and drives nothing else."""
    node: Node = lif
    while len(node.inputs) == 1 and only_reader(network, node.inputs[0]) is node:
        node = network[node.inputs[0]]
        if node.mixes_channels:
            return node
        if not (node.keeps_channels and node.keeps_constants and node.addends(network.timesteps) == 1):
            return None  # the bias of a silent channel would not arrive as it is
    return None


def _positions(network: Network, linear: nodes.Linear, lif: nodes.LIF) -> Positions | None:
    """None where something on the way needs all channels: an output, a sum, a concatenation, a depthwise kernel."""
    channels = np.arange(lif.shape[-1])
    found = {linear.name: channels, lif.name: channels}
    node: Node = lif
    while (node := network[node.inputs[0]]) is not linear:
        found[node.name] = channels
    return found if _follow(network, lif, channels, found) else None


def _follow(network: Network, node: Node, channels: np.ndarray, found: dict[str, np.ndarray]) -> bool:
    """Fills `found` below `node`. Returns: whether every way down ends at a kernel."""
    readers = network.consumers(node.name)
    if node.name in network.outputs or not readers:
        return False
    for reader in readers:
        if reader.mixes_channels:
            found[reader.name] = channels
            continue
        below = _behind(node, reader, channels) if reader.keeps_zeros else None
        if below is None:
            return False
        found[reader.name] = below
        if not _follow(network, reader, below, found):
            return False
    return True


def _behind(node: Node, reader: Node, channels: np.ndarray) -> np.ndarray | None:
    """The channels along the last axis behind `reader`; None where a Reshape puts several into one position."""
    if reader.keeps_channels:
        return channels
    if not isinstance(reader, nodes.Reshape):
        return None
    rows = np.broadcast_to(channels, node.shape).reshape(-1, reader.shape[-1])
    return rows[0] if (rows == rows[0]).all() else None


def _silent(linear: nodes.Linear, lif: nodes.LIF) -> np.ndarray:
    """Booleans, per channel: whether its spikes are provably 0 whatever the input."""
    without_kernel = ~linear.kernel.reshape(-1, linear.kernel.shape[-1]).any(axis=0)
    return without_kernel & (np.abs(linear.bias) <= MARGIN * lif.threshold * (1 - np.asarray(lif.decay)))


def _unread(network: Network, positions: Positions, channels: int) -> np.ndarray:
    """Booleans, per channel: whether all kernels that read it have only zeros for it."""
    read = np.zeros(channels, bool)
    first = next(iter(positions))
    for name, origin in positions.items():
        node = network[name]
        if node.mixes_channels and name != first:
            used = np.moveaxis(node.kernel, -2, 0).reshape(len(origin), -1).any(axis=1)
            read[origin[used]] = True
    return ~read


def _with_channels(network: Network, linear: nodes.Linear, positions: Positions, keep: np.ndarray) -> Network:
    return network.with_nodes(
        tuple(
            node if node.name not in positions else _narrowed(node, linear, keep[positions[node.name]])
            for node in network.nodes
        )
    )


def _narrowed(node: Node, linear: nodes.Linear, keep: np.ndarray) -> Node:
    """`node` with only the positions `keep` along its last axis; of a reader, along that of what it reads."""
    shape = (*node.shape[:-1], int(keep.sum()))
    if node is linear:
        return replace(linear, kernel=linear.kernel[..., keep], bias=linear.bias[keep], shape=shape)
    if node.mixes_channels:
        return replace(node, kernel=node.kernel[..., keep, :])
    if isinstance(node, nodes.LIF | nodes.Integrator):
        per_channel = [name for name in ("decay", "threshold", "amplitude", "flipped") if hasattr(node, name)]
        kept = {name: _kept(getattr(node, name), keep) for name in per_channel}
        return replace(node, shape=shape, **kept)
    return replace(node, shape=shape)


def _kept(value: float | np.ndarray, keep: np.ndarray) -> float | np.ndarray:
    return value[keep] if np.ndim(value) and np.size(value) == len(keep) else value
