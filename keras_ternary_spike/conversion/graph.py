"""The same network with something else in the place of its activations: copies of layers, with their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..layers.time_axis import DirectEncoding, PerTimestep, TimeAverage
from ..layers.trace import Call, Trace
from .activations import AT_THE_END, OWN_LAYERS, Place, activation_of, free_name, function_of
from .checks import MERGES

Activate = Callable[[Place, Any], Any]  # (place, value with a time axis if there is one) -> value


@dataclass(frozen=True)
class Value:
    """A Keras tensor. timed: whether axis 1 is time."""

    tensor: Any
    timed: bool = False


@dataclass(frozen=True)
class Rebuilt:
    """A network that was built again.

    values: of every call, behind its activation if it has one.
    copies: layers by the id of the original.
    """

    model: keras.Model
    values: tuple[Value, ...]
    copies: Mapping[int, Any]

    def run(self, index: int, parts: list[Any]) -> Iterator[np.ndarray]:
        """The value of a call, batch by batch."""
        model = keras.Model(self.model.input, self.values[index].tensor)
        return (keras.ops.convert_to_numpy(model(part, training=False)) for part in parts)


class Rebuilding:
    """A network that is built again, call by call.

    timesteps: of the time axis that is made in front of the first activations; None for a network without.
    """

    def __init__(self, taken: set[str], activate: Activate, timesteps: int | None) -> None:
        self.taken, self.activate, self.timesteps = taken, activate, timesteps
        self.copies: dict[int, Any] = {}  # a layer that is called twice stays one
        self.originals: list[tuple[Any, Any]] = []

    def apply(self, call: Call, sources: list[Value]) -> Value:
        """The value of a call without its activation."""
        if activation_of(call.layer) is not None and isinstance(call.layer, OWN_LAYERS):
            return sources[0]
        function = function_of(call.layer)
        if function in AT_THE_END:
            return self._ended(call, function, sources[0])
        return self._applied(self._copy(call.layer), sources)

    def neurons(self, place: Place, value: Value) -> Value:
        """What takes the place of an activation, with a time axis where there is to be one."""
        value = value if self.timesteps is None else self.encoded(value)
        return Value(self.activate(place, value.tensor), value.timed)

    def encoded(self, value: Value) -> Value:
        if value.timed:
            return value
        return Value(DirectEncoding(self.timesteps, name=self._name("direct_encoding"))(value.tensor), True)

    def averaged(self, value: Value) -> Value:
        """The mean over time, if there is one."""
        return Value(TimeAverage(name=self._name("time_average"))(value.tensor)) if value.timed else value

    def copy_weights(self) -> None:
        for original, copy in self.originals:
            copy.set_weights(original.get_weights())
            if isinstance(copy, keras.layers.Normalization):
                copy.finalize_state()  # reads the statistics again

    def _ended(self, call: Call, function: Any, source: Value) -> Value:
        """Softmax or sigmoid, on the mean over time."""
        if isinstance(call.layer, keras.layers.Activation | keras.layers.Softmax):
            return self._applied(self._copy(call.layer), [self.averaged(source)])
        mean = self.averaged(self._applied(self._copy(call.layer), [source]))
        name = self._name(f"{call.layer.name}_{function.__name__}")
        return Value(keras.layers.Activation(function, name=name)(mean.tensor))

    def _applied(self, layer: Any, sources: list[Value]) -> Value:
        if isinstance(layer, MERGES):
            timed = any(source.timed for source in sources)
            sources = [self.encoded(source) if timed else source for source in sources]
            return Value(layer([source.tensor for source in sources]), timed)
        (source,) = sources
        if not source.timed:
            return Value(layer(source.tensor))
        return Value(PerTimestep(layer, name=self._wrapper_name(layer))(source.tensor), True)

    def _copy(self, layer: Any) -> Any:
        if id(layer) not in self.copies:
            config = layer.get_config() | {"name": self._name(layer.name)}
            if "activation" in config and not isinstance(layer, keras.layers.Activation):
                config["activation"] = "linear"
            if isinstance(layer, keras.layers.Concatenate):
                config["axis"] = -1
            self.copies[id(layer)] = type(layer).from_config(config)
            self.originals.append((layer, self.copies[id(layer)]))
        return self.copies[id(layer)]

    def _wrapper_name(self, layer: Any) -> str:
        """The layer's own at its first call."""
        first = f"per_timestep of {layer.name}" not in self.taken
        self.taken.add(f"per_timestep of {layer.name}")
        return layer.name if first else self._name(f"{layer.name}_again")

    def _name(self, name: str) -> str:
        return free_name(name, self.taken)


def rebuilt(
    model: keras.Model, calls: Trace, places: Mapping[int, Place], activate: Activate, *, timesteps: int | None
) -> Rebuilt:
    """`model` with `activate` in the place of its activations; nested models are unpacked, names survive.

    places: by the index of the call behind which they stand.
    timesteps: of the time axis, made in front of the first activations and averaged over at the end; None for none.
    """
    building = Rebuilding({place.name for place in places.values()}, activate, timesteps)
    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in model.inputs]
    values: list[Value] = []
    for index, call in enumerate(calls.calls):
        first = isinstance(call.layer, keras.layers.InputLayer)
        sources = [values[source] for source in call.sources]
        value = Value(inputs[index]) if first else building.apply(call, sources)
        values.append(building.neurons(places[index], value) if index in places else value)
    outputs = [building.averaged(values[index]).tensor for index in calls.outputs]
    result = keras.Model(*(_nested(model, end, tensors) for end, tensors in (("input", inputs), ("output", outputs))))
    building.copy_weights()
    return Rebuilt(result, tuple(values), building.copies)


def _nested(model: keras.Model, end: str, tensors: list[Any]) -> Any:
    """As the model takes its inputs and gives its outputs."""
    sequential = isinstance(model, keras.Sequential)
    structure = getattr(model, f"{end}s")[0] if sequential else getattr(model, end)
    return keras.tree.pack_sequence_as(structure, tensors)
