"""Graded spikes of one timestep as ternary or binary spikes of several: for hardware whose spikes have one level."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..layers.lif import BinaryLIF, MultiLevelLIF, TernaryLIF
from ..layers.time_axis import DirectEncoding


def unfold(model: keras.Model) -> keras.Model:
    """A network of `MultiLevelLIF` at one timestep as one of `TernaryLIF`, or `BinaryLIF`, over as many as levels.

    A neuron of k levels becomes one that integrates without a leak and takes off what a spike stands for:

        decay=1, reset="subtract", reset_amount=2, threshold=k * threshold, amplitude=k * amplitude

    Of a current I that is the same at all k timesteps it fires clip(round(I / (2 * threshold)), -k, k) spikes in sum,
    the level itself: the first layer is exact. Deeper layers have the same currents on average over time, but see some
    spikes late, so that a few sums differ: measure the accuracy. The new model has weights of its own.

    Args:
        model: Sequential or functional, with `DirectEncoding(1)` in front of the first neurons, all of as many levels.

    Raises:
        ValueError: without graded spikes, with several numbers of levels, a dead zone or more than one timestep, or
            without a DirectEncoding.

    Reference: [Bu et al., 2023](https://arxiv.org/abs/2303.04347), whose membrane starts at half a threshold:
    reset_amount=2 is the same.
    """
    timesteps = _levels(model)

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, MultiLevelLIF):
            return _unfolded(layer, timesteps)
        if isinstance(layer, DirectEncoding):
            return DirectEncoding(timesteps, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    unfolded = keras.models.clone_model(model, clone_function=clone)
    for source, target in zip(model.layers, unfolded.layers, strict=True):
        if isinstance(source, MultiLevelLIF):
            target.amplitude.assign(timesteps * keras.ops.convert_to_numpy(source.amplitude))
        else:
            target.set_weights(source.get_weights())
    return unfolded


def _levels(model: keras.Model) -> int:
    """The levels of all graded neurons, which are to be the timesteps."""
    graded = [layer for layer in model.layers if isinstance(layer, MultiLevelLIF)]
    levels = sorted({layer.cell.levels for layer in graded})
    if len(levels) != 1:
        raise ValueError(
            "`unfold` takes a model with graded spikes, all of as many levels: they become its timesteps. Received: "
            f"{model.name!r} with levels {levels}. Use MultiLevelLIF(levels) with one number, on the model's top level."
        )
    zones = sorted({layer.cell.dead_zone for layer in graded})
    if zones != [1.0]:
        raise ValueError(
            "`unfold` takes levels that all start alike: over timesteps, a dead zone would be paid once a spike. "
            f"Received: {model.name!r} with dead_zone {zones}. Use dead_zone=1 behind a normalization with a bias."
        )
    timesteps = [layer.timesteps for layer in model.layers if isinstance(layer, DirectEncoding)]
    if timesteps != [1] * max(len(timesteps), 1):
        raise ValueError(
            "`unfold` takes a model of one timestep, made by DirectEncoding(1). Received: "
            f"{model.name!r} with timesteps {timesteps}."
        )
    return levels[0]


def _unfolded(layer: MultiLevelLIF, timesteps: int) -> TernaryLIF | BinaryLIF:
    kind = TernaryLIF if layer.cell.dynamics.signed else BinaryLIF
    threshold: Any = timesteps * np.asarray(keras.ops.convert_to_numpy(layer.threshold), np.float64)
    return kind(
        decay=1.0,
        threshold=threshold.tolist(),
        amplitude_per=layer.cell.amplitude_per,
        reset="subtract",
        reset_amount=2.0,
        surrogate=layer.cell.dynamics.surrogate,
        name=layer.name,
    )
