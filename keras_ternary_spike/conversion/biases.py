"""Biases that make every channel of spikes as large, on average, as the activation it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ..layers.trace import Trace
from .activations import MAXIMA, OWN_LAYERS, Place
from .graph import Rebuilt
from .scales import Observed

ROUNDS = 3
LEAST_ACTIVE = 0.1  # of the values of a channel: a bias moves the others alone
PASSING = (*OWN_LAYERS, *MAXIMA, keras.layers.Dropout, keras.layers.Identity)  # a bias passes them


def move_biases(
    spiking: Rebuilt, calls: Trace, places: Mapping[int, Place], wanted: Mapping[str, Observed], parts: list[Any]
) -> None:
    """Moves the bias in front of one place after the other, so that later ones see what earlier ones became.

    Rounding and clipping move the mean of a channel, which all layers behind add up: most of what conversion loses.
    A place without a bias of its own in front stays as it is.

    Reference: [Li et al., 2021](https://arxiv.org/abs/2106.06984).
    """
    for index, place in places.items():
        bias = _bias_above(spiking, calls, index)
        for _ in range(ROUNDS if bias is not None else 0):
            mean = _mean(spiking, place.name, parts)
            missing = wanted[place.name].mean - mean
            bias.assign_add(missing / np.maximum(wanted[place.name].active, LEAST_ACTIVE))


def _mean(spiking: Rebuilt, name: str, parts: list[Any]) -> np.ndarray:
    """Of every channel: `(channels,)`."""
    values = [np.asarray(array, np.float64) for array in spiking.run(name, parts)]
    means = [array.reshape(-1, array.shape[-1]).mean(0) for array in values]
    return np.average(means, 0, [len(array) for array in values])


def _bias_above(spiking: Rebuilt, calls: Trace, index: int) -> keras.Variable | None:
    """The bias that moves the currents of the neurons behind call `index`, and nothing else."""
    call = calls.calls[index]
    while isinstance(call.layer, PASSING):
        index = call.sources[0]
        if len(calls.readers(index)) != 1:
            return None
        call = calls.calls[index]
    shared = sum(other.layer is call.layer for other in calls.calls) > 1
    copy = spiking.copies.get(id(call.layer))
    return None if shared or copy is None else _bias_of(copy)


def _bias_of(layer: Any) -> keras.Variable | None:
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer.beta if layer.center else None
    return layer.bias if getattr(layer, "use_bias", False) else None
