"""Which operations an Affine passes, and what becomes of its scale and offset on the way.

In real arithmetic, with s = scale and o = offset per channel and n = number of values added up:

    s * sum(x) + o = sum(s * x + o / n)                        SumPool, TimeSum
    s * max(x) + o = max(s * x + o)                            MaxPool, where s >= 0
    the same numbers in another order                          Reshape
    the same numbers at every timestep                         Repeat
"""

from __future__ import annotations

import numpy as np

from .network import MaxPool, Network, Node, Repeat, Reshape, SumPool, TimeSum

Line = tuple[np.ndarray, np.ndarray]  # scale and offset, each of shape () or (channels,)


def above(network: Network, node: Node, line: Line) -> Line | None:
    """The line that, applied before `node`, equals `line` applied after it. None where there is none."""
    scale, offset = line
    if isinstance(node, Reshape):
        return _regrouped(line, node.shape, network[node.inputs[0]].shape)
    return (scale, offset / _addends(network, node)) if _passes(node, scale) else None


def below(network: Network, node: Node, line: Line) -> Line | None:
    """The line that, applied after `node`, equals `line` applied before it. None where there is none."""
    scale, offset = line
    if isinstance(node, Reshape):
        return _regrouped(line, network[node.inputs[0]].shape, node.shape)
    return (scale, offset * _addends(network, node)) if _passes(node, scale) else None


def compose(first: Line, second: Line) -> Line:
    """second(first(x)) as one line."""
    return second[0] * first[0], second[0] * first[1] + second[1]


def _passes(node: Node, scale: np.ndarray) -> bool:
    return isinstance(node, SumPool | TimeSum | Repeat) or (isinstance(node, MaxPool) and bool((scale >= 0).all()))


def _addends(network: Network, node: Node) -> int:
    if isinstance(node, TimeSum):
        return network.timesteps
    return node.size[0] * node.size[1] if isinstance(node, SumPool) else 1


def _regrouped(line: Line, before: tuple[int, ...], after: tuple[int, ...]) -> Line | None:
    scale, offset = (_per_channel(value, before, after) for value in line)
    return None if scale is None or offset is None else (scale, offset)


def _per_channel(value: np.ndarray, before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray | None:
    if value.ndim == 0:
        return value
    rows = np.broadcast_to(value, before).reshape(-1, after[-1])
    return rows[0].copy() if (rows == rows[0]).all() else None
