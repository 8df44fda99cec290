"""What a budget may be of: additions, spikes, or instructions of a core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import keras

from ..layers.lif import LIF
from .fan_out import dense_additions
from .health import descendants
from .instructions import instructions


@dataclass(frozen=True)
class Quantity:
    """silent + most * sum over spiking layers of cost * mean firing rate.

    silent: if nothing fires. costs: by layer name; they add up to 1.
    """

    silent: float
    most: float
    costs: Mapping[str, float]

    def of(self, share: float) -> float:
        """share: the sum."""
        return self.silent + self.most * share

    def share(self, value: float) -> float:
        return (value - self.silent) / self.most


def quantity(model: keras.Model, kind: str, core: str | None = None) -> Quantity:
    """kind: "instructions" of a core; "additions" or "spikes", as shares of what would be if every neuron fired."""
    if kind != "instructions":
        return Quantity(0.0, 1.0, layer_costs(model, kind))
    found = instructions(model, core)
    return Quantity(found.silent, sum(found.spikes.values()), _parts(model, found.spikes))


def spiking_layers(model: keras.Model) -> list[LIF]:
    """Raises ValueError where there are none."""
    layers = [layer for layer in descendants(model, set()) if isinstance(layer, LIF)]
    if not layers:
        raise ValueError(
            f"SpikeBudget needs a model with spiking layers. Received: {model.name!r}, which has none. Supported: "
            "TernaryLIF, BinaryLIF, MultiLevelLIF and their subclasses."
        )
    return layers


def layer_costs(model: keras.Model, kind: str) -> dict[str, float]:
    """Each spiking layer's part of what all of them cost, by name; the parts add up to 1.

    kind: "additions", or "spikes", of which a layer has as many as neurons.
    """
    layers = spiking_layers(model)
    if kind == "additions":
        costs = dense_additions(model)
    else:
        costs = {layer.name: math.prod(layer.output.shape[2:]) for layer in layers}
    return _parts(model, costs)


def _parts(model: keras.Model, costs: Mapping[str, float]) -> dict[str, float]:
    total = sum(costs.values())
    if not total:
        raise ValueError(
            f"No spike of {model.name!r} meets a kernel: there are no additions to save. "
            "Give the budget in spikes, SpikeBudget(spikes=0.1)."
        )
    return {name: cost / total for name, cost in costs.items()}
