"""Which operations an Affine passes, and what becomes of its scale and offset on the way.

In real arithmetic, with s = scale and o = offset per channel and n = number of values added up:

    s * sum(x) + o = sum(s * x + o / n)        linear kinds that keep constants: SumPool, TimeSum, Repeat, Crop
    s * pad(x) = pad(s * x)                    other linear kinds, where o = 0: ZeroPad
    s * max(x) + o = max(s * x + o)            monotone kinds, where s >= 0: MaxPool
    the same numbers in another order          Reshape
"""

from __future__ import annotations

import numpy as np

from ..network import nodes
from ..network.linear_algebra import ScaleOffset
from ..network.nodes import Network, Node


def above(network: Network, node: Node, scale_offset: ScaleOffset) -> ScaleOffset | None:
    """What, applied before `node`, equals `scale_offset` applied after it. None where there is nothing."""
    scale, offset = scale_offset
    if isinstance(node, nodes.Reshape):
        return _regrouped(scale_offset, node.shape, network[node.inputs[0]].shape)
    return (scale, offset / node.addends(network.timesteps)) if _passes(node, scale_offset) else None


def below(network: Network, node: Node, scale_offset: ScaleOffset) -> ScaleOffset | None:
    """What, applied after `node`, equals `scale_offset` applied before it. None where there is nothing."""
    scale, offset = scale_offset
    if isinstance(node, nodes.Reshape):
        return _regrouped(scale_offset, network[node.inputs[0]].shape, node.shape)
    return (scale, offset * node.addends(network.timesteps)) if _passes(node, scale_offset) else None


def compose(first: ScaleOffset, second: ScaleOffset) -> ScaleOffset:
    """second(first(x)) as one scale and offset."""
    return second[0] * first[0], second[0] * first[1] + second[1]


def per_input(network: Network, node: nodes.Concatenate, scale_offset: ScaleOffset) -> tuple[ScaleOffset, ...]:
    """What, applied before `node`, to each of its inputs its own, equals `scale_offset` applied after it."""
    ends = np.cumsum([network[name].shape[-1] for name in node.inputs])[:-1]
    parts = (np.split(np.broadcast_to(value, node.shape[-1:]), ends) for value in scale_offset)
    return tuple(zip(*parts, strict=True))


def from_input(network: Network, node: nodes.Concatenate, name: str, scale_offset: ScaleOffset) -> ScaleOffset:
    """What, applied after `node`, equals `scale_offset` applied to its input `name`: 1 and 0 for other channels."""
    widths = [(source, network[source].shape[-1]) for source in node.inputs]
    scale, offset = scale_offset
    scales = [np.broadcast_to(scale if source == name else 1.0, (width,)) for source, width in widths]
    offsets = [np.broadcast_to(offset if source == name else 0.0, (width,)) for source, width in widths]
    return np.concatenate(scales), np.concatenate(offsets)


def _passes(node: Node, scale_offset: ScaleOffset) -> bool:
    """Whether f(scale * x + offset) = scale * f(x) + addends * offset, channel by channel."""
    scale, offset = scale_offset
    takes_scale = node.linear or (node.monotone and bool(np.all(scale >= 0)))
    return node.keeps_channels and takes_scale and (node.keeps_constants or not np.any(offset))


def _regrouped(scale_offset: ScaleOffset, before: tuple[int, ...], after: tuple[int, ...]) -> ScaleOffset | None:
    scale, offset = (_per_channel(value, before, after) for value in scale_offset)
    return None if scale is None or offset is None else (scale, offset)


def _per_channel(value: np.ndarray, before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray | None:
    if value.ndim == 0:
        return value
    rows = np.broadcast_to(value, before).reshape(-1, after[-1])
    return rows[0].copy() if (rows == rows[0]).all() else None
