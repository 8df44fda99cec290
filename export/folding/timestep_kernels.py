"""Kernels that differ from timestep to timestep: a TimestepAffine and the Linear in front of it.

factors[t] * (K x[t] + b) + offsets[t] = (factors[t] K) x[t] + (factors[t] b + offsets[t])
"""

from __future__ import annotations

from dataclasses import replace

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.queries import nodes_of, only_reader
from ..network.surgery import exchange, fresh_name, substitute, until_stable


def kernels_in_front(network: Network) -> Network:
    """Every TimestepAffine directly behind a Linear of its own, with a note on what that costs."""
    for node in nodes_of(network, nodes.TimestepAffine):
        network = _kernel_in_front(network, network[node.name])
    return network


def check_timestep_kernels(network: Network) -> None:
    """Raises ValueError for a TimestepAffine that no kernel takes up, or that does not lead to neurons."""
    for node in nodes_of(network, nodes.TimestepAffine):
        source = network[node.inputs[0]]
        if not isinstance(source, nodes.Linear):
            raise ValueError(
                "Factors per timestep need a kernel in front to fold into. Received: layer "
                f"{node.name!r} behind {source.name!r}. Put TemporalEffectiveBatchNormalization directly behind a "
                "convolution or Dense layer."
            )
        if not _feeds_neurons(network, node):
            raise ValueError(
                f"Factors per timestep need a neuron behind them. Received: layer {node.name!r}, whose value reaches "
                "something else. Follow it with TernaryLIF or BinaryLIF."
            )


@until_stable(nodes.SumPool)
def pool_kernels_in_front(network: Network, pool: nodes.SumPool) -> Network | None:
    """The sum of a window first, then the factors of the timesteps: sum(f x + o) = f sum(x) + n o."""
    affine = network[pool.inputs[0]]
    if not isinstance(affine, nodes.TimestepAffine) or only_reader(network, affine.name) is not pool:
        return None
    affine = replace(affine, offsets=affine.offsets * (pool.size[0] * pool.size[1]), shape=pool.shape)
    return exchange(network, affine, pool)


def _kernel_in_front(network: Network, affine: nodes.TimestepAffine) -> Network:
    source = network[affine.inputs[0]]
    if isinstance(source, nodes.Repeat):
        network = _repeat_in_front(network, source, affine)
        source = network[network[affine.name].inputs[0]]
    if not isinstance(source, nodes.Linear):
        return network
    if only_reader(network, source.name) is None:
        source = replace(source, name=fresh_name(network, f"{source.name}_{affine.name}"))
        network = substitute(network, affine.name, source, replace(affine, inputs=(source.name,)))
    note = f"{source.name!r} has a kernel of {source.kernel.size:,} weights for each of {network.timesteps} timesteps."
    return replace(network, notes=(*network.notes, note))


def _repeat_in_front(network: Network, repeat: nodes.Repeat, affine: nodes.TimestepAffine) -> Network:
    """Linear -> Repeat -> affine as Repeat -> Linear -> affine, if nothing else reads the two."""
    static = network[repeat.inputs[0]]
    alone = only_reader(network, repeat.name) is affine and only_reader(network, static.name) is repeat
    if not isinstance(static, nodes.Linear) or not alone:
        return network
    shape = network[static.inputs[0]].shape
    return exchange(network, replace(static, temporal=True), replace(repeat, shape=shape))


def leads_to_timestep_kernels(network: Network, node: Node) -> bool:
    """Whether a TimestepAffine reads the value of `node`, perhaps through Affines."""
    readers = network.consumers(node.name)
    return any(
        isinstance(reader, nodes.TimestepAffine)
        or (isinstance(reader, nodes.Affine) and leads_to_timestep_kernels(network, reader))
        for reader in readers
    )


def _feeds_neurons(network: Network, node: Node) -> bool:
    """Whether currents are all that the value of `node` is, perhaps added, joined or moved."""
    readers = network.consumers(node.name)
    if not readers or node.name in network.outputs:
        return False
    return all(isinstance(reader, nodes.LIF) or _hands_on(network, reader) for reader in readers)


def _hands_on(network: Network, node: Node) -> bool:
    return node.stateless and node.keeps_counts and _feeds_neurons(network, node)
