"""First amplitudes from data: what the spikes should weigh to stand for the currents that cause them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..layers.lif import LIF
from .health import descendants


def adapt_amplitudes(model: keras.Model, samples: Any, *, training: bool = False) -> dict[str, np.ndarray]:
    """Set the amplitudes of all layers of a model from one batch, each layer behind those that feed it.

    Every TernaryLIF, BinaryLIF and MultiLevelLIF, in nested models and wrappers too, adapts to the first currents that
    reach it (`LIF.adapt`), so that later layers see the new amplitudes of earlier ones.

    Args:
        model: built, with one input.
        samples: array, `(samples, *input shape)`, one batch.
        training: whether the model runs as in training. Batch normalization then uses, and remembers, the statistics
            of the batch: right before the first epoch, when its own still say nothing. Default: False.

    Returns:
        The new amplitudes by layer name.

    Raises:
        ValueError: if the model holds no such layer, or a current is not finite.
    """
    layers = [layer for layer in descendants(model, set()) if isinstance(layer, LIF)]
    if not layers:
        raise ValueError(
            f"A model must have spiking layers. Received: {model.name!r}. Supported: TernaryLIF, BinaryLIF and "
            "MultiLevelLIF."
        )
    try:
        for layer in layers:
            vars(layer)["call"] = _adapting(layer)
        model(samples, training=training)
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
    return {layer.name: ops.convert_to_numpy(layer.amplitude) for layer in layers}


def _adapting(layer: LIF) -> Callable:
    """`layer.call`, which adapts the layer first, once: a graph of the model would not reach into nested ones."""
    call = layer.call
    pending = [layer]

    @functools.wraps(call)
    def adapting(sequences: Any, *arguments: Any, **options: Any) -> Any:
        if pending:
            pending.pop().adapt(sequences)
        return call(sequences, *arguments, **options)

    return adapting
