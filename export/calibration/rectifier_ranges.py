"""How far ReLUs reach on samples: the ranges of their int8 steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..network.nodes import Network, Relu
from ..network.rectifiers import has_rectifiers, watched, with_levels, with_own_steps, without_range
from .output_extremes import extremes


def with_rectifiers(network: Network, samples: Mapping[str, np.ndarray] | None) -> Network:
    """`network` with neurons of many levels for its ReLUs; itself where it has none.

    Args:
        network: as `describe` returns it.
        samples: arrays by the names of its inputs, or None where something clips every ReLU.

    Raises:
        ValueError: naming the ReLUs whose range nobody tells.
    """
    if not has_rectifiers(network):
        return network
    open_ended = without_range(network)
    network = with_own_steps(network)
    if samples is None and open_ended:
        raise ValueError(
            "The range of a ReLU must be known to be exported. Received: no samples, and layers "
            f"{', '.join(map(repr, open_ended))}. Give samples=..., some hundred inputs, or build them as "
            "ReLU(max_value). To make spikes of all ReLUs first: keras_ternary_spike.convert(model, samples)."
        )
    names = tuple(node.name for node in network.nodes if isinstance(node, Relu))
    return _noted(with_levels(network, {} if samples is None else reached(network, samples)), names)


def reached(network: Network, samples: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The largest size of the watched values on all samples, by node name."""
    return {name: max(-low, high) for name, (low, high) in extremes(network, samples, watched(network)).items()}


def _noted(network: Network, rectifiers: tuple[str, ...]) -> Network:
    names = ", ".join(map(repr, rectifiers))
    note = f"ReLUs are rounded to whole steps, which the file calls levels of spikes: {names}."
    return replace(network, notes=(*network.notes, note))
