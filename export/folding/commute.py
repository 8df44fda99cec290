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
from ..network.linear_algebra import Line
from ..network.nodes import Network, Node


def above(network: Network, node: Node, line: Line) -> Line | None:
    """The line that, applied before `node`, equals `line` applied after it. None where there is none."""
    scale, offset = line
    if isinstance(node, nodes.Reshape):
        return _regrouped(line, node.shape, network[node.inputs[0]].shape)
    return (scale, offset / node.addends(network.timesteps)) if _passes(node, line) else None


def below(network: Network, node: Node, line: Line) -> Line | None:
    """The line that, applied after `node`, equals `line` applied before it. None where there is none."""
    scale, offset = line
    if isinstance(node, nodes.Reshape):
        return _regrouped(line, network[node.inputs[0]].shape, node.shape)
    return (scale, offset * node.addends(network.timesteps)) if _passes(node, line) else None


def compose(first: Line, second: Line) -> Line:
    """second(first(x)) as one line."""
    return second[0] * first[0], second[0] * first[1] + second[1]


def per_input(network: Network, node: nodes.Concatenate, line: Line) -> tuple[Line, ...]:
    """The lines that, applied before `node`, one to each of its inputs, equal `line` applied after it."""
    ends = np.cumsum([network[name].shape[-1] for name in node.inputs])[:-1]
    parts = (np.split(np.broadcast_to(value, node.shape[-1:]), ends) for value in line)
    return tuple(zip(*parts, strict=True))


def from_input(network: Network, node: nodes.Concatenate, name: str, line: Line) -> Line:
    """The line that, applied after `node`, equals `line` applied to its input `name`: 1 and 0 for other channels."""
    widths = [(source, network[source].shape[-1]) for source in node.inputs]
    scale, offset = line
    scales = [np.broadcast_to(scale if source == name else 1.0, (width,)) for source, width in widths]
    offsets = [np.broadcast_to(offset if source == name else 0.0, (width,)) for source, width in widths]
    return np.concatenate(scales), np.concatenate(offsets)


def _passes(node: Node, line: Line) -> bool:
    """Whether f(scale * x + offset) = scale * f(x) + addends * offset, channel by channel."""
    scale, offset = line
    takes_scale = node.linear or (node.monotone and bool(np.all(scale >= 0)))
    return node.keeps_channels and takes_scale and (node.keeps_constants or not np.any(offset))


def _regrouped(line: Line, before: tuple[int, ...], after: tuple[int, ...]) -> Line | None:
    scale, offset = (_per_channel(value, before, after) for value in line)
    return None if scale is None or offset is None else (scale, offset)


def _per_channel(value: np.ndarray, before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray | None:
    if value.ndim == 0:
        return value
    rows = np.broadcast_to(value, before).reshape(-1, after[-1])
    return rows[0].copy() if (rows == rows[0]).all() else None
