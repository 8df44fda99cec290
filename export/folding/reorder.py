"""Reordering without changing a value: what is linear happens where it is cheapest.

sum over t of linear(x[t])  = linear(sum over t of x[t])         the classifier runs once
linear(the same x at all t) = the same linear(x) at all t        a static image is convolved once
sum over a window of conv(x) = one convolution with a larger kernel and stride, and the other way round
sum of x + y                 = sum of x + sum of y
what does not look back at the last timestep = the same of what it reads there
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.linear_algebra import affine_of, of_sum, ones, then_sum_pool
from ..network.node import like
from ..network.nodes import Network, Node
from ..network.queries import holds_counts, nodes_of, only_reader
from ..network.surgery import exchange, fresh_name, insert_after, place_before, substitute, until_stable, without_unread
from .distribute import over_sum
from .timestep_kernels import leads_to_timestep_kernels


def pool_currents_by_kernels(network: Network) -> Network:
    """No SumPool on anything but spikes: what is left is a depthwise convolution with ones."""
    for pool in nodes_of(network, nodes.SumPool):
        if not holds_counts(network, network[pool.inputs[0]]):
            network = _by_kernel(network, pool)
    return network


@until_stable(nodes.TimeSum)
def sum_time_early(network: Network, total: nodes.TimeSum) -> Network | None:
    """Every TimeSum as far up as it goes; over a Repeat it is a factor."""
    source = network[total.inputs[0]]
    if only_reader(network, source.name) is not total:
        return None
    if isinstance(source, nodes.Repeat):
        factor = replace(affine_of(total.name, source, network.timesteps), temporal=False)
        return substitute(substitute(network, total.name, factor), source.name)
    summed = _of_time_sum(source, network.timesteps)
    if summed is None:
        return over_sum(network, total)
    total = replace(total, shape=network[source.inputs[0]].shape)
    return exchange(network, replace(summed, temporal=False), total)


@until_stable(nodes.LastTimestep)
def take_last_early(network: Network, last: nodes.LastTimestep) -> Network | None:
    """Every LastTimestep as far up as it goes: what nobody asks for at other timesteps is not computed there."""
    source = network[last.inputs[0]]
    if only_reader(network, source.name) is not last:
        return None
    if isinstance(source, nodes.Repeat):
        return substitute(substitute(network, last.name), source.name)
    if isinstance(source, nodes.TimestepAffine):
        scale, offset = source.factors[-1], source.offsets[-1]
        affine = nodes.Affine(scale=scale, offset=offset, **like(source.name, source, temporal=False))
        return exchange(network, affine, replace(last, shape=network[source.inputs[0]].shape))
    return _of_last_inputs(network, source, last) if source.stateless else None


def _of_last_inputs(network: Network, node: Node, last: nodes.LastTimestep) -> Network:
    """`node` on the last timestep of all that it reads, in the place of `last` behind it."""
    network, names = substitute(network, last.name), {}
    for source in (network[name] for name in dict.fromkeys(node.inputs)):
        first = fresh_name(network, last.name)
        network = place_before(network, node.name, nodes.LastTimestep(**like(first, source, temporal=False)))
        names[source.name] = first
    inputs = tuple(names[name] for name in node.inputs)
    return substitute(network, node.name, replace(node, inputs=inputs, temporal=False))


def _of_time_sum(node: Node, timesteps: int) -> Node | None:
    """The node that makes sum(node(x[t])) out of sum(x[t]); None if there is none."""
    if isinstance(node, nodes.Linear):
        return of_sum(node, timesteps)
    if isinstance(node, nodes.Affine):
        return replace(node, offset=node.offset * timesteps)
    return node if node.stateless and node.linear else None


@until_stable(nodes.Repeat)
def repeat_late(network: Network, repeat: nodes.Repeat) -> Network | None:
    """Every Repeat as far down as it goes, behind its readers: what does not depend on time is computed once."""
    for reader in network.consumers(repeat.name):
        sources = [network[name] for name in reader.inputs]
        if leads_to_timestep_kernels(network, reader):
            continue
        if reader.stateless and all(isinstance(source, nodes.Repeat) for source in sources):
            return _exchanged(network, repeat, reader)
    return None


def _exchanged(network: Network, repeat: nodes.Repeat, reader: Node) -> Network:
    static = replace(reader, inputs=tuple(network[name].inputs[0] for name in reader.inputs), temporal=False)
    network = without_unread(substitute(network, reader.name, static))
    later = replace(repeat, name=fresh_name(network, repeat.name), inputs=(static.name,), shape=static.shape)
    return insert_after(network, static.name, later)


@until_stable(nodes.SumPool)
def pool_currents_in_kernels(network: Network, pool: nodes.SumPool) -> Network | None:
    """No SumPool directly after a Linear: exchanged if the Linear is pointwise on spikes, else in its kernel."""
    linear = network[pool.inputs[0]]
    if isinstance(linear, nodes.Add):
        return over_sum(network, pool)
    if (
        not isinstance(linear, nodes.Conv | nodes.DepthwiseConv | nodes.Dense)
        or only_reader(network, linear.name) is not pool
    ):
        return None
    on_spikes = holds_counts(network, network[linear.inputs[0]], factors=False)
    if linear.pointwise and (on_spikes or isinstance(linear, nodes.Dense)):
        linear = replace(of_sum(linear, pool.size[0] * pool.size[1]), shape=pool.shape)
        return exchange(network, linear, replace(pool, shape=(*pool.shape[:2], linear.kernel.shape[-2])))
    return substitute(substitute(network, linear.name, then_sum_pool(linear, pool)), pool.name)


def _by_kernel(network: Network, pool: nodes.SumPool) -> Network:
    """`pool` as a depthwise convolution with ones, or in the kernel of a 1x1 convolution behind it."""
    conv = only_reader(network, pool.name)
    if isinstance(conv, nodes.Conv) and conv.pointwise:
        kernel = np.broadcast_to(conv.kernel, (*pool.size, *conv.kernel.shape[2:])).copy()
        wide = replace(conv, inputs=pool.inputs, kernel=kernel, strides=pool.strides)
        return substitute(substitute(network, conv.name, wide), pool.name)
    return substitute(network, pool.name, ones(pool))
