"""Which layer of a Keras model reads which: the model as a list of calls, wrappers and nested models unpacked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras

from .overrides import check_call
from .time_axis import PerTimestep


@dataclass(frozen=True, eq=False)
class Call:
    """One use of one layer.

    layer: the Keras layer; an InputLayer for each input of the model.
    sources: indices of the calls whose values it reads.
    per_timestep: whether PerTimestep (or TimeDistributed) applies it to every timestep on its own.
    ranks: number of axes of each source, with the batch axis, as the layer itself sees it; () for all the same.
    shape: of the value, with the batch axis, where no layer but an operation such as `x[:, 0]` computes it; else None.
    values: how many it gives: of a neuron with `return_state=True` its states, too.
    """

    layer: Any
    sources: tuple[int, ...] = ()
    per_timestep: bool = False
    ranks: tuple[int, ...] = ()
    shape: tuple[int | None, ...] | None = None
    values: int = 1

    @property
    def widest(self) -> tuple[int, ...]:
        """The sources with the most axes: where one of them has a time axis, all of them have."""
        ranks = self.ranks or (0,) * len(self.sources)
        return tuple(source for source, rank in zip(self.sources, ranks, strict=True) if rank == max(ranks))


@dataclass(frozen=True, eq=False)
class Trace:
    """All calls of a model, every source before its reader, and the indices of those that give its outputs."""

    calls: tuple[Call, ...]
    outputs: tuple[int, ...]

    def readers(self, index: int) -> tuple[int, ...]:
        return tuple(reader for reader, call in enumerate(self.calls) if index in call.sources)


def trace(model: keras.Model) -> Trace:
    """The calls of a Sequential or functional model. The model and its layers stay as they are.

    Raises:
        ValueError: if `model` is not a Keras model, is a subclassed one, or was never built.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {model!r} (of type {type(model).__name__})")
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            f"`model` must be a built Sequential or functional model. Received: {model.name!r} "
            f"({type(model).__name__}). Give it an input: keras.Input(shape) first, or keras.Model(inputs, outputs)."
        )
    calls = [Call(keras.layers.InputLayer(batch_shape=x.shape, name=x.name)) for x in model.inputs]
    outputs = _enter(model, tuple(range(len(calls))), False, calls)
    return Trace(tuple(calls), outputs)


def _enter(
    layer: Any, sources: tuple[int, ...], per_timestep: bool, calls: list[Call], ranks: tuple[int, ...] = ()
) -> tuple[int, ...]:
    """Append the calls of `layer` on `sources`; returns the indices of its outputs."""
    if isinstance(layer, PerTimestep | keras.layers.TimeDistributed | keras.Model):
        check_call(layer)
    if isinstance(layer, PerTimestep | keras.layers.TimeDistributed):
        return _enter(layer.layer, sources, True, calls)
    if isinstance(layer, keras.Sequential):
        for inner in layer.layers:
            sources = _enter(inner, sources, per_timestep, calls)
        return sources
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        return _enter_functional(layer, sources, per_timestep, calls)
    calls.append(Call(layer, sources, per_timestep, ranks))
    return (len(calls) - 1,)


def _enter_functional(
    model: keras.Model, sources: tuple[int, ...], per_timestep: bool, calls: list[Call]
) -> tuple[int, ...]:
    """Walk the graph with stand-ins for its layers, so that no layer of the user's learns of another call."""
    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in model.inputs]
    values = {id(tensor): index for tensor, index in zip(inputs, sources, strict=True)}

    def record(layer: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
        sources = tuple(values[id(x)] for x in tensors)
        ranks = tuple(len(x.shape) for x in tensors)
        indices = _enter(_as_layer(layer, tensors), sources, per_timestep, calls, ranks)
        spec = layer.compute_output_spec(*args, **kwargs)
        given = keras.tree.flatten(spec)
        if not isinstance(calls[-1].layer, keras.layers.Layer):
            calls[-1] = replace(calls[-1], shape=given[0].shape)
        if len(given) > len(indices):  # of a layer: all of them are its value
            calls[-1], indices = replace(calls[-1], values=len(given)), indices * len(given)
        results = _StandIn(spec)(*tensors)
        values.update(zip(map(id, keras.tree.flatten(results)), indices, strict=True))
        return results

    # A fresh Model of the same graph: cloning a compiled one would compile the clone.
    bare = keras.Model(model.inputs, model.outputs)
    clone = keras.models.clone_model(
        bare, input_tensors=inputs, clone_function=lambda layer: layer, call_function=record
    )
    return tuple(values[id(x)] for x in clone.outputs)


def _as_layer(operation: Any, tensors: list[Any]) -> Any:
    """The Add layer for `x + y`, which Keras records as an operation; anything else as it is."""
    if isinstance(operation, keras.layers.Layer) or type(operation).__name__ != "Add" or len(tensors) != 2:
        return operation
    layer = keras.layers.Add(name=operation.name)
    layer.build([x.shape for x in tensors])
    return layer


class _StandIn(keras.layers.Layer):
    """Values of the shapes given, whatever it reads."""

    def __init__(self, spec: Any) -> None:
        super().__init__()
        self.spec = spec

    def call(self, *tensors: Any) -> Any:
        return self.spec

    def compute_output_spec(self, *tensors: Any) -> Any:
        return keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape, dtype=x.dtype), self.spec)
