"""First half of folding: every factor hidden in a node becomes an Affine next to it.

amplitude * spike                        LIF of amplitude 1, then Affine(amplitude)
spike of a neuron that fires at v        Affine(1 / (2 v)), then LIF of threshold 1/2
levels from d * v on, one timestep       Affine(1, -(d - 1) v), then LIF of dead zone 1
mean over n pixels or timesteps          sum, then Affine(1 / n)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.queries import nodes_of
from ..network.surgery import affine_after, affine_before, substitute

THRESHOLD = 0.5


def expose_dead_zones(network: Network) -> Network:
    """Every LIF fires at its threshold: a dead zone takes something off the current, or is the threshold itself.

    Raises:
        ValueError: of several levels, with a state, where a smaller current would leak, or signed.
    """
    for lif in nodes_of(network, nodes.LIF):
        if lif.dead_zone == 1:
            continue
        taken_off = (lif.dead_zone - 1) * np.asarray(lif.threshold, np.float64)
        if lif.levels == 1:
            numbers = {"threshold": lif.threshold + taken_off, "reset_amount": lif.reset_amount / lif.dead_zone}
            network = substitute(network, lif.name, replace(lif, dead_zone=1.0, **numbers))
        else:
            _check_dead_zone(network, lif)
            network = substitute(network, lif.name, replace(lif, dead_zone=1.0))
            network = affine_before(network, network[lif.name], "dead_zone", 1.0, -taken_off)
    return network


def _check_dead_zone(network: Network, lif: nodes.LIF) -> None:
    stateful = network.timesteps > 1 and np.any(lif.decay != 0)
    if lif.signed or stateful:
        raise ValueError(
            "A dead zone is exported as a smaller current: of unsigned levels, at one timestep. Received: layer "
            f"{lif.name!r} with dead_zone={lif.dead_zone:g}, signed={lif.signed}, timesteps={network.timesteps}. "
            "Use signed=False and timesteps=1, or levels=1, whose dead zone is the threshold."
        )


def expose_thresholds(network: Network) -> Network:
    """Every neuron fires at 1/2: its current is divided by 2 * threshold (state and reset are linear in it)."""
    for lif in (*nodes_of(network, nodes.LIF), *nodes_of(network, nodes.FinalState)):
        if np.any(lif.threshold != THRESHOLD):
            network = substitute(network, lif.name, replace(lif, threshold=THRESHOLD))
            network = affine_before(network, network[lif.name], "threshold", THRESHOLD / lif.threshold, 0.0)
            if isinstance(lif, nodes.FinalState):
                network = affine_after(network, network[lif.name], "scale", lif.threshold / THRESHOLD, 0.0)
    return network


def expose_amplitudes(network: Network) -> Network:
    """Every LIF emits bare spikes. Where a MaxPool needs it, the sign goes in front: -spike(x) = spike(-x)."""
    for name in [lif.name for lif in nodes_of(network, nodes.LIF)]:
        lif = network[name]  # as it is by now: a neuron in front of it may have put an Affine between
        amplitude = np.asarray(lif.amplitude, np.float64)
        network = substitute(network, lif.name, replace(lif, amplitude=1.0))
        if np.any(amplitude < 0) and _meets_max_pool(network, lif):
            network, amplitude = _sign_in_front(network, lif), np.abs(amplitude)
        if np.any(amplitude != 1):
            network = affine_after(network, network[lif.name], "amplitude", amplitude, 0.0)
    return network


def expose_averages(network: Network) -> Network:
    """Sums instead of means, over windows and over timesteps; the divisor becomes an Affine."""
    for name in [pool.name for pool in nodes_of(network, nodes.AveragePool)]:
        pool = network[name]  # behind another pool it reads that one's divisor by now
        network = _as_sum(network, pool, _retyped(pool, nodes.SumPool), pool.size[0] * pool.size[1])
    for mean in nodes_of(network, nodes.TimeAverage):
        network = _as_sum(network, mean, _retyped(mean, nodes.TimeSum), network.timesteps)
    return network


def _sign_in_front(network: Network, lif: nodes.LIF) -> Network:
    if not lif.signed:
        raise ValueError(
            f"A negative amplitude cannot pass a maximum behind a binary neuron. Received: layer {lif.name!r} "
            f"with amplitude={np.min(lif.amplitude):g}. Use TernaryLIF, or average pooling."
        )
    which = "Some" if np.any(lif.amplitude > 0) else "All"
    note = f"{which} channels of {lif.name!r} spike with the opposite sign: their amplitude is negative."
    flipped = replace(network[lif.name], flipped=np.not_equal(lif.flipped, lif.amplitude < 0))
    network = substitute(network, lif.name, flipped)
    network = affine_before(network, flipped, "sign", np.where(lif.amplitude < 0, -1.0, 1.0), 0.0)
    return replace(network, notes=(*network.notes, note))


def _as_sum(network: Network, mean: Node, total: Node, addends: int) -> Network:
    return affine_after(substitute(network, mean.name, total), total, "divisor", 1 / addends, 0.0)


def _retyped(node: Node, kind: type[Node]) -> Node:
    return kind(**vars(node))


def _meets_max_pool(network: Network, node: Node) -> bool:
    """Whether the spikes of `node` reach a MaxPool before a Linear or another neuron."""
    readers = (reader for reader in network.consumers(node.name) if not isinstance(reader, nodes.Linear | nodes.LIF))
    return any(reader.monotone or _meets_max_pool(network, reader) for reader in readers)
