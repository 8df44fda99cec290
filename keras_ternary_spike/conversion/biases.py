"""Biases that make every channel of spikes as large, on average, as the activation it stands for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..layers.trace import Trace
from .activations import MAXIMA, OWN_LAYERS
from .graph import Rebuilt
from .scales import Observed

ROUNDS = 3
LEAST_ACTIVE = 0.1  # of the values of a channel: a bias moves the others alone
PASSING = (*OWN_LAYERS, *MAXIMA, keras.layers.Dropout, keras.layers.Identity)  # a bias passes them


def move_bias(spiking: Rebuilt, calls: Trace, index: int, wanted: Observed, parts: list[Any]) -> None:
    """Moves the bias in front of the neurons behind call `index`; those in front of them are as they are to be.

    Rounding and clipping move the mean of a channel, which all layers behind add up: most of what conversion loses.
    A place without a bias of its own in front stays as it is.

    Reference: [Li et al., 2021](https://arxiv.org/abs/2106.06984).
    """
    bias = _bias_above(spiking, calls, index)
    for _ in range(ROUNDS if bias is not None else 0):
        missing = wanted.mean - _mean(spiking, index, parts)
        bias.assign_add(missing / np.maximum(wanted.active, LEAST_ACTIVE))


def _mean(spiking: Rebuilt, index: int, parts: list[Any]) -> np.ndarray:
    """Of every channel: `(channels,)`."""
    values = [np.asarray(array, np.float64) for array in spiking.run(index, parts)]
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
    copy = spiking.copies.get(id(call.layer))
    return None if copy is None or calls.shared(index) else _bias_of(copy)


def _bias_of(layer: Any) -> keras.Variable | None:
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer.beta if layer.center else None
    return layer.bias if getattr(layer, "use_bias", False) else None
