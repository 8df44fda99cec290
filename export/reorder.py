"""Reordering without changing a value: what is linear happens where it is cheapest.

sum over t of linear(x[t])  = linear(sum over t of x[t])         the classifier runs once
linear(the same x at all t) = the same linear(x) at all t        a static image is convolved once
sum over a window of conv(x) = one convolution with a larger kernel and stride
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .graph import exchange, only_reader, settle, substitute
from .linearity import is_pointwise, of_sum, then_sum_pool
from .network import LIF, Affine, Conv, DepthwiseConv, Linear, Network, Node, Pool, Repeat, Reshape, SumPool, TimeSum


def sum_time_early(network: Network) -> Network:
    """Every TimeSum as far up as it goes; over a Repeat it is a factor."""
    return settle(network, TimeSum, _sum_time_earlier)


def repeat_late(network: Network) -> Network:
    """Every Repeat as far down as it goes: what does not depend on time is computed once."""
    return settle(network, Repeat, _repeat_later)


def pool_currents_in_kernels(network: Network) -> Network:
    """No SumPool directly after a Linear: exchanged if the Linear is pointwise on spikes, else in its kernel."""
    return settle(network, SumPool, _pool_in_kernel)


def _sum_time_earlier(network: Network, total: TimeSum) -> Network | None:
    source = network[total.inputs[0]]
    if only_reader(network, source.name) is not total:
        return None
    if isinstance(source, Repeat):
        factor = Affine(
            name=total.name,
            inputs=total.inputs,
            shape=total.shape,
            temporal=False,
            scale=np.asarray(float(network.timesteps)),
            offset=np.zeros(()),
        )
        return substitute(substitute(network, total.name, factor), source.name)
    summed = _of_time_sum(source, network.timesteps)
    if summed is None:
        return None
    total = replace(total, shape=network[source.inputs[0]].shape)
    return exchange(network, replace(summed, temporal=False), total)


def _of_time_sum(node: Node, timesteps: int) -> Node | None:
    """The node that makes sum(node(x[t])) out of sum(x[t]); None if there is none."""
    if isinstance(node, Linear):
        return of_sum(node, timesteps)
    if isinstance(node, Affine):
        return replace(node, offset=node.offset * timesteps)
    return node if isinstance(node, SumPool | Reshape) else None


def _repeat_later(network: Network, repeat: Repeat) -> Network | None:
    reader = only_reader(network, repeat.name)
    if not isinstance(reader, Linear | Affine | Pool | Reshape):
        return None
    return exchange(network, replace(repeat, shape=reader.shape), replace(reader, temporal=False))


def _pool_in_kernel(network: Network, pool: SumPool) -> Network | None:
    linear = network[pool.inputs[0]]
    if not isinstance(linear, Linear) or only_reader(network, linear.name) is not pool:
        return None
    if is_pointwise(linear) and (_reads_spikes(network, linear) or not isinstance(linear, Conv | DepthwiseConv)):
        linear = replace(of_sum(linear, pool.size[0] * pool.size[1]), shape=pool.shape)
        return exchange(network, linear, replace(pool, shape=(*pool.shape[:2], linear.kernel.shape[-2])))
    return substitute(substitute(network, linear.name, then_sum_pool(linear, pool)), pool.name)


def _reads_spikes(network: Network, node: Node) -> bool:
    """Whether what `node` reads are integers: spikes, possibly pooled, summed or reshaped."""
    source = network[node.inputs[0]]
    if isinstance(source, Pool | Reshape | TimeSum):
        return _reads_spikes(network, source)
    return isinstance(source, LIF)
