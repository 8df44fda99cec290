"""Interval analysis: how far a membrane can get that a spike does not clear, from the kernels in front of it.

Currents of spikes are bounded by their kernels. From the largest current, in whole steps, follows the largest membrane:

    membrane[1] = current;   membrane[t+1] = round(decay * left(membrane[t])) + current
    left(m) = m                             reset="none", and below 0 of a binary neuron
    left(m) = |m - drop * level(m)|         reset="subtract", drop of at most twice the threshold
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.queries import count_bound
from ..program.grid import INT8_MAX, Grid
from .integer_neuron import Decay, distinct, drop_steps, step
from .weights import quantize_weights


def bounded_quiet_steps(
    network: Network, members: list[Node], reader: nodes.LIF, decay: Decay, reserve: Callable[[int], int], *, least: int
) -> int | None:
    """The finest grid, of `least` or more, on which the membrane of `reader` never saturates; None if there is none.

    Args:
        members: all whose values are on the grid of the current; they are added at most once.
        decay: of `reader`, in integers.
        reserve: quiet_steps -> steps that shortcuts may bring.
    """
    linears = [node for node in members if isinstance(node, nodes.Linear)]
    if any(isinstance(node, nodes.TimestepAffine) for node in members):
        return None
    if sum(isinstance(node, nodes.Add) for node in members) > 1 or not all(
        _reads_counts(network, node) for node in linears
    ):
        return None
    current = sum(_real_reach(network, node) for node in linears) * (2 * least + 1) + reserve(least)
    if current > INT8_MAX:  # the cheap test: kernels need not be rounded
        return None
    for quiet_steps in range(math.floor((INT8_MAX / max(current, 1) * (2 * least + 1) - 1) / 2) + 1, least - 1, -1):
        steps = sum(_integer_reach(network, node, quiet_steps) for node in linears) + reserve(quiet_steps)
        timesteps = None if network.endless else network.timesteps
        if largest_membrane(reader, decay, quiet_steps, steps, timesteps) <= INT8_MAX:
            return quiet_steps
    return None


def largest_membrane(reader: nodes.LIF, decay: Decay, quiet_steps: int, current: int, timesteps: int | None) -> int:
    """Steps that no |membrane| exceeds, if no |current| exceeds `current`. timesteps: None for any number of them."""
    clears = reader.reset == "subtract" and reader.signed
    strongest, drop, membrane = max(distinct(decay)), drop_steps(decay, quiet_steps, reader.reset_amount), current
    for _ in range(2 * INT8_MAX if timesteps is None else timesteps - 1):  # by then it has settled: it only grows
        left = _largest_left(membrane, quiet_steps, drop, reader.levels) if clears else membrane
        later = min(math.floor(strongest * left + Fraction(1, 2)) + current, 2 * INT8_MAX)
        if later == membrane:
            break
        membrane = later
    return membrane


def _largest_left(membrane: int, quiet_steps: int, drop: Fraction, levels: int) -> Fraction:
    """The largest |rest| of any membrane up to `membrane` steps."""
    rests = (
        steps - drop * min((steps + quiet_steps) // (2 * quiet_steps + 1), levels) for steps in range(membrane + 1)
    )
    return max(abs(rest) for rest in rests)


def _reads_counts(network: Network, node: nodes.Linear) -> bool:
    return count_bound(network, network[node.inputs[0]]) is not None


def _real_reach(network: Network, node: nodes.Linear) -> float:
    """Largest |value|, in units of 2 * threshold."""
    kernel = _by_channel(node)
    bound = count_bound(network, network[node.inputs[0]])
    return float((np.abs(kernel).sum(axis=0) * bound + np.abs(node.bias)).max())


def _integer_reach(network: Network, node: nodes.Linear, quiet_steps: int) -> int:
    """Largest |value| in steps, from the kernel as it is rounded."""
    bound = count_bound(network, network[node.inputs[0]])
    target, per_channel = Grid(step(quiet_steps)), not (isinstance(node, nodes.Dense) and len(node.shape) == 1)
    source = Grid(1.0, low=-bound, high=bound)
    kernel = _by_channel(node)
    rounded = quantize_weights(node.name, kernel, node.bias, source=source, target=target, per_channel=per_channel)
    accumulators = np.abs(rounded.kernel.astype(np.int64)).sum(axis=0) * bound + np.abs(rounded.bias.astype(np.int64))
    return math.ceil((accumulators * rounded.scale.astype(np.float64) / target.scale).max() + 0.5)


def _by_channel(node: nodes.Linear) -> np.ndarray:
    """The kernel as `(weights of an output, outputs)`."""
    if isinstance(node, nodes.DepthwiseConv):
        return node.kernel.reshape(node.kernel.shape[0] * node.kernel.shape[1], -1)
    return node.kernel.reshape(-1, node.kernel.shape[-1])
