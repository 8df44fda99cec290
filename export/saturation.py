"""Where sums of currents may leave int8, in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .currents import keeps_rest
from .graph import repeated
from .grid import INT8_MAX, step
from .linearity import factors
from .network import LIF
from .signal import Context


def saturation_notes(context: Context) -> list[str]:
    """One sentence for every neuron whose saturating currents are not proven to change no spike."""
    neurons = (node for node in context.network.nodes if isinstance(node, LIF))
    return [note for node in neurons for note in _notes(context, node)]


def _notes(context: Context, node: LIF) -> Iterator[str]:
    network, name = context.network, node.inputs[0]
    if not context.currents[name].proven:
        subject = f"currents{' and states' * keeps_rest(network, node)} of {node.name!r}"
        yield f"{subject} saturate at {_limit(context, name, np.ones(1))} times twice the threshold"
    source = repeated(network, name)
    scale = factors(source)
    sums = None if scale is None else source.inputs[0]
    if sums in context.currents and not context.currents[sums].proven:
        yield f"sums that {node.name!r} reads saturate at {_limit(context, sums, scale)} times twice the threshold"


def _limit(context: Context, name: str, scale: np.ndarray) -> str:
    """The largest value of node `name`, times the factors of the channels."""
    values = INT8_MAX * step(context.currents[name].half) * np.abs(scale)
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"
