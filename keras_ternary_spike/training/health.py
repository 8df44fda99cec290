"""Neurons that tell nothing: which of a model's never fire, and which always do."""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from ..layers.lif_cell import LIFCell
from ..samples import Kept
from .batches import batches
from .firing_rate import fired

TOLERANCE = 0.1
BATCH_SIZE = 32
OUT_OF_REACH = 100.0  # of normalized currents
SUPPORTED = "Supported: TernaryLIF, BinaryLIF, and keras.layers.RNN of one of their cells."


@dataclass(frozen=True)
class Health:
    """What the neurons of one layer did on given samples.

    firing_rate: mean |spike| over samples, timesteps and neurons, in [0, 1].
    neurons: their number, the product of the features.
    dead: how many never fired, at no timestep of no sample.
    saturated: how many fired at every timestep of every sample, with either sign.
    """

    firing_rate: float
    neurons: int
    dead: int
    saturated: int


def measure_health(model: keras.Model, samples: Any, *, batch_size: int = BATCH_SIZE) -> dict[str, Health]:
    """The `Health` of every TernaryLIF, BinaryLIF or RNN of one of their cells in a model, by layer name.

    Layers are found in nested models and wrappers too. Runs the model in inference, without compiling it; of a layer
    with return_sequences=False only the last timestep is seen. A neuron of amplitude 0 counts as dead.

    Args:
        model: built.
        samples: array, `(samples, *input shape)`, at least one; of a model with several inputs a dict or list of
            arrays; or batches, with or without targets, as `fit` takes them: a tf.data.Dataset, a PyDataset, a loader.
        batch_size: Integer >= 1, of arrays. Default: 32.

    Raises:
        ValueError: if there are no samples or endlessly many, no such layers, two of one name, or one with
            stateful=True.
    """
    layers = _neurons(model)
    if not layers:
        raise ValueError(f"A model must have spiking layers. Received: [] in {model.name!r}. {SUPPORTED}")
    with _recorded(layers) as tallies:
        for inputs in batches(model, samples, batch_size):
            model(inputs, training=False)
    return {name: tally.health() for name, tally in tallies.items() if tally.count}


class NeuronHealth(keras.callbacks.Callback):
    """Warns, after an epoch, of layers with dead neurons (always 0) or saturated ones (always firing).

    Adds `<layer>_firing_rate`, `<layer>_dead` and `<layer>_saturated`, shares in [0, 1], to the logs of the epoch: they
    stand in the history, and the other callbacks of `fit`, TensorBoard for one, see them in whatever order they are
    given. `report` holds the last `Health` by layer. In a model without spiking layers it warns once, and does nothing.

    Args:
        samples: a few dozen that stand for the data, in any form that `measure_health` takes, read after each epoch.
            A generator is read once, at once and to its end, and its batches are kept.
        tolerance: Float in [0, 1]. Share of a layer's neurons that may be dead, or saturated, without a warning. Some
            always are where an image is always empty. Default: 0.1.
        every: Integer >= 1. Epochs from one look to the next. Default: 1.
        batch_size: Integer >= 1. Default: 32.

    Raises:
        ValueError: tolerance, every or batch_size out of range, or a generator of more than 2 GiB; in training, what
            `measure_health` refuses.

    Example:

    >>> history = model.fit(x, y, callbacks=[NeuronHealth(x[:64])])  # doctest: +SKIP
    """

    def __init__(
        self, samples: Any, *, tolerance: float = TOLERANCE, every: int = 1, batch_size: int = BATCH_SIZE
    ) -> None:
        super().__init__()
        if not 0 <= tolerance <= 1:
            raise ValueError(f"`tolerance` must lie in [0, 1]. Received: tolerance={tolerance}")
        for name, value in {"every": every, "batch_size": batch_size}.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
        self.samples = Kept(samples) if isinstance(samples, Iterator) else samples
        self.tolerance, self.every, self.batch_size = tolerance, every, batch_size
        self.report: dict[str, Health] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        _put_first(self)
        if not _neurons(self.model):
            warnings.warn(f"NeuronHealth has nothing to see: {self.model.name!r} has no spiking layers.", stacklevel=2)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if (epoch + 1) % self.every or not _neurons(self.model):
            return
        self.report = measure_health(self.model, self.samples, batch_size=self.batch_size)
        layers = {layer.name: layer for layer in _neurons(self.model)}
        for name, health in self.report.items():
            if logs is not None:
                logs.update(_shares(name, health))
            for message in _complaints(layers[name], health, self.tolerance):
                warnings.warn(message, stacklevel=2)


def _put_first(callback: keras.callbacks.Callback) -> None:
    """Put a callback in front of the others of a `fit`, who see in the logs of an epoch what it adds to them.

    Keras tells a callback nothing of the others. They stand in the `CallbackList` that is calling it.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList) and callback in caller.callbacks:
            # Its own loop over them goes on behind the place where the callback was: none is left out or comes twice.
            caller.callbacks.remove(callback)
            caller.callbacks.insert(0, callback)
            return
        frame = frame.f_back


class _Tally:
    """Sums over the outputs of one layer, per neuron. Not a number where an output is not."""

    def __init__(self) -> None:
        self.count, self.spikes = 0, 0.0  # outputs seen of each neuron; of these, spikes: `features`

    def add(self, spikes: np.ndarray, axes: tuple[int, ...]) -> None:
        self.spikes = self.spikes + spikes.sum(axis=axes, dtype=np.float64)
        self.count += int(np.prod([spikes.shape[axis] for axis in axes]))

    def health(self) -> Health:
        spikes, neurons = np.asarray(self.spikes), np.size(self.spikes)
        rate = float(spikes.sum() / (self.count * neurons))
        return Health(rate, neurons, int(np.sum(spikes == 0)), int(np.sum(spikes == self.count)))


@contextlib.contextmanager
def _recorded(layers: list[keras.layers.RNN]) -> Iterator[dict[str, _Tally]]:
    """Within it, every call of one of the layers counts in its tally. Afterwards they are as they were."""
    tallies = {layer.name: _Tally() for layer in layers}
    try:
        for layer in layers:
            vars(layer)["call"] = _listening(layer, tallies[layer.name])
        yield tallies
    finally:
        for layer in layers:
            vars(layer).pop("call", None)


def _listening(layer: keras.layers.RNN, tally: _Tally) -> Callable:
    """`layer.call`, whose outputs count in the tally: a graph of the model would not reach into nested ones."""
    call, axes = layer.call, (0, 1) if layer.return_sequences else (0,)

    @functools.wraps(call)
    def listening(*arguments: Any, **options: Any) -> Any:
        outputs = call(*arguments, **options)
        spikes = outputs[0] if layer.return_state else outputs
        tally.add(ops.convert_to_numpy(ops.stop_gradient(fired(spikes))), axes)
        return outputs

    return listening


def _neurons(model: keras.Model) -> list[keras.layers.RNN]:
    """The spiking layers of a model, at any depth."""
    layers = [layer for layer in descendants(model, set()) if isinstance(getattr(layer, "cell", None), LIFCell)]
    names = [layer.name for layer in layers]
    if len(set(names)) < len(names):
        raise ValueError(f"Spiking layers must have names of their own. Received: {names} in {model.name!r}")
    for layer in layers:
        if layer.stateful:
            raise ValueError(f"Samples would change the state. Received: layer {layer.name!r} with stateful=True.")
    return layers


def descendants(layer: keras.layers.Layer, seen: set[int]) -> Iterator[keras.layers.Layer]:
    """A layer and all layers that it holds, at any depth, once each."""
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield layer
    for value in list(vars(layer).values()):
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        for part in list(parts):
            if isinstance(part, keras.layers.Layer):
                yield from descendants(part, seen)


def _shares(name: str, health: Health) -> dict[str, float]:
    return {
        f"{name}_firing_rate": health.firing_rate,
        f"{name}_dead": health.dead / health.neurons,
        f"{name}_saturated": health.saturated / health.neurons,
    }


def _complaints(layer: keras.layers.RNN, health: Health, tolerance: float) -> Iterator[str]:
    threshold = ops.convert_to_numpy(layer.threshold)
    if health.dead > tolerance * health.neurons:
        yield (
            f"Layer {layer.name!r}: {health.dead} of {health.neurons} neurons are dead, they never fire on the "
            f"samples. {_advice('lower', threshold)}"
        )
    if health.saturated > tolerance * health.neurons:
        yield (
            f"Layer {layer.name!r}: {health.saturated} of {health.neurons} neurons are saturated, they fire at every "
            f"timestep of all samples. {_advice('raise', threshold)}"
        )


def _advice(change: str, threshold: np.ndarray) -> str:
    """Normalized currents are about 1: where they can tell nothing of a threshold, it is at fault alone."""
    lowest, highest = float(threshold.min()), float(threshold.max())
    received = f"{lowest:g}" if lowest == highest else f"{lowest:g} to {highest:g}"
    if lowest > OUT_OF_REACH or highest < 1 / OUT_OF_REACH:
        return f"{change.capitalize()} its threshold, {received}."
    return f"Put a BatchNormalization in front of the layer, or {change} its threshold, {received}."
