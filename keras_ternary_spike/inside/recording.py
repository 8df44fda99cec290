"""What the neurons of every layer did on samples: all spikes and all membranes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from ..layers.lif import LIF
from ..layers.spike_regularizers import Activity, SpikeRegularizer
from ..training.batches import batches
from ..training.health import descendants

BATCH_SIZE = 32


@dataclass(frozen=True)
class Recording:
    """What the neurons of one layer did.

    spikes: int8, levels, `(samples, timesteps, *features)`, in the neurons' own time.
    membranes: float32, before the reset, of the same shape.
    thresholds: float32, where a neuron fires its next level, from the lowest: `(1, *features)` of a ternary neuron's
        positive threshold and so on, broadcasting against the features.
    levels: integers that a spike can be, from the lowest.
    """

    spikes: np.ndarray
    membranes: np.ndarray
    thresholds: np.ndarray
    levels: range

    @property
    def shares(self) -> dict[int, float]:
        """How often a neuron's spike is each level, over samples, timesteps and neurons; they add up to 1."""
        return {level: float(np.mean(self.spikes == level)) for level in self.levels}

    @property
    def firing_rate(self) -> float:
        """The share of spikes other than 0."""
        return 1.0 - self.shares[0]

    @property
    def bits(self) -> float:
        """Entropy of a neuron's spike at one timestep, -sum of p log2 p over the levels; at most `most_bits`.

        Reference: eq. 6 of [Guo et al., 2024](https://arxiv.org/abs/2312.06372).
        """
        # 0.0 - sum: the entropy of one certain level is 0, not -0.
        return 0.0 - sum(share * float(np.log2(share)) for share in self.shares.values() if share)

    @property
    def most_bits(self) -> float:
        """Where all levels are as frequent: log2 of their number, 1.585 of three."""
        return float(np.log2(len(self.levels)))


def record(model: keras.Model, samples: Any, *, batch_size: int = BATCH_SIZE) -> dict[str, Recording]:
    """The `Recording` of every TernaryLIF, BinaryLIF and MultiLevelLIF in a model, by layer name.

    Layers are found in nested models and wrappers too; one that is called more than once has all calls, one behind the
    other. Runs the model in inference and changes nothing. Everything is kept: a few dozen samples tell enough.

    Args:
        model: built.
        samples: as `measure_health` takes them: arrays, or batches with or without targets.
        batch_size: Integer >= 1, of arrays. Default: 32.

    Raises:
        ValueError: if there are no samples or endlessly many, or no such layers.
    """
    layers = [layer for layer in descendants(model, set()) if isinstance(layer, LIF)]
    if not layers:
        raise ValueError(
            f"A model must have spiking layers. Received: [] in {model.name!r}. Supported: TernaryLIF, BinaryLIF and "
            "MultiLevelLIF."
        )
    with _observed(layers) as observers:
        for inputs in batches(model, samples, batch_size):
            model(inputs, training=False)
    return {layer.name: _recording(layer, observers[layer.name]) for layer in layers if observers[layer.name].spikes}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Observer(SpikeRegularizer):
    """No loss: keeps what it sees."""

    kept: ClassVar[bool] = False

    spikes: list[np.ndarray] = field(default_factory=list)
    membranes: list[np.ndarray] = field(default_factory=list)

    def __call__(self, activity: Activity) -> Any:
        self.spikes.append(ops.convert_to_numpy(ops.stop_gradient(activity.spikes)).astype(np.int8))
        self.membranes.append(ops.convert_to_numpy(ops.stop_gradient(activity.membranes)).astype(np.float32))
        return ops.zeros(())


@contextlib.contextmanager
def _observed(layers: list[LIF]) -> Iterator[dict[str, _Observer]]:
    """Within it, every layer has an observer. Afterwards they are as they were."""
    before = {layer: layer.spike_regularizers for layer in layers}
    observers = {layer.name: _Observer() for layer in layers}
    try:
        for layer, regularizers in before.items():
            layer.spike_regularizers = (*regularizers, observers[layer.name])
        yield observers
    finally:
        for layer, regularizers in before.items():
            layer.spike_regularizers = regularizers


def _recording(layer: LIF, observer: _Observer) -> Recording:
    dynamics, threshold = layer.cell.dynamics, ops.convert_to_numpy(layer.threshold).astype(np.float32)
    levels = range(-dynamics.highest if dynamics.signed else 0, dynamics.highest + 1)
    starts = [np.sign(level) * (2 * abs(level) - 2 + dynamics.dead_zone) for level in levels if level]
    thresholds = np.stack([start * threshold for start in starts]).astype(np.float32)
    return Recording(np.concatenate(observer.spikes), np.concatenate(observer.membranes), thresholds, levels)
