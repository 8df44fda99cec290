"""A Network and what was decided for it, as Keras layers that compute its integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import exact

from . import network as nodes
from .assemble import SEQUENCE, SINGLE
from .counts import count_bound
from .currents import effective_decay
from .decisions import DTYPE, Decisions, Layers
from .exact_weights import LINEARS
from .firing import SPIKE
from .graph import repeated
from .grid import step
from .network import Node


def exact_layers(decisions: Decisions, node: Node) -> Layers:
    """Layers for a node that reads one value, in order; those of `SEQUENCES` see all timesteps, the others one.

    Raises:
        ValueError: for what has no exact layer, or sums that float32 cannot count.
    """
    if type(node) in EXACT:
        return EXACT[type(node)](decisions, node)
    if type(node) in SEQUENCE:
        return SEQUENCE[type(node)](decisions.folded, node, DTYPE)
    return SINGLE[type(node)](node, decisions.folded[node.inputs[0]], DTYPE)


def exact_add(decisions: Decisions, node: nodes.Add) -> exact.ExactAdd:
    """A spike beside a current is worth a unit of 2 * threshold."""
    half = decisions.half(node.name)
    unit = 1 if half is None else round(1 / step(half))
    spikes = (count_bound(decisions.folded, decisions.folded[name]) is not None for name in node.inputs)
    return exact.ExactAdd([unit if bare else 1 for bare in spikes], name=node.name, dtype=DTYPE)


def exact_input(decisions: Decisions, node: nodes.Input) -> exact.ExactInput:
    grid, input_range = decisions.grid(node.name), decisions.context.input_ranges[node.name]
    name = f"{node.name}_integers"
    return exact.ExactInput(input_range, grid.scale, grid.zero_point, name=name, dtype=DTYPE)


def _lif(decisions: Decisions, node: nodes.LIF) -> Layers:
    half = decisions.half(node.inputs[0])
    source = repeated(decisions.folded, node.inputs[0])
    fires_only = decisions.grid(node.inputs[0]) == SPIKE and not isinstance(source, nodes.Add)
    options = {"signed": node.signed, "fires_only": fires_only, "name": node.name, "dtype": DTYPE}
    return [(exact.ExactLIF(str(effective_decay(decisions.folded, node)), half, **options), [])]


def _sum_pool(decisions: Decisions, node: nodes.SumPool) -> Layers:
    return [(exact.ExactSumPooling2D(node.size, node.strides, name=node.name, dtype=DTYPE), [])]


def _time_sum(decisions: Decisions, node: nodes.TimeSum) -> Layers:
    return [(exact.ExactTimeSum(name=node.name, dtype=DTYPE), [])]


def _affine(decisions: Decisions, node: nodes.Affine) -> Layers:
    """A shortcut's factor, an offset behind the input, or the output's scale."""
    half = decisions.half(node.name)
    if half is not None:
        steps = np.floor(np.atleast_1d(node.scale) / step(half) + 0.5).astype(int).tolist()
        return [(exact.ExactShortcut(steps, step(half), name=node.name, dtype=DTYPE), [])]
    source = decisions.folded[node.inputs[0]]
    if isinstance(source, nodes.Input) and np.all(node.scale == 1):
        return [(_shift(decisions, node, float(node.offset.flat[0])), [])]
    sign = float(np.sign(node.scale.flat[0]))
    return [(keras.layers.Rescaling(sign * decisions.grid(node.name).scale, name=node.name, dtype=DTYPE), [])]


def _shift(decisions: Decisions, node: nodes.Affine, offset: float) -> exact.ExactShift:
    before, after = decisions.grid(node.inputs[0]), decisions.grid(node.name)
    if before.scale != after.scale:
        raise ValueError(
            f"An offset behind an input must be the only reader of that input. Received: layer {node.name!r} with "
            f"offset={offset:g}, beside others. Use the same Rescaling for all of them."
        )
    return exact.ExactShift(before.zero_point - after.zero_point, offset, name=node.name, dtype=DTYPE)


EXACT: Mapping[type[Node], Callable[[Decisions, Any], Layers]] = {
    **LINEARS,
    nodes.LIF: _lif,
    nodes.SumPool: _sum_pool,
    nodes.TimeSum: _time_sum,
    nodes.Affine: _affine,
}
SEQUENCES = (*SEQUENCE, nodes.Affine)
