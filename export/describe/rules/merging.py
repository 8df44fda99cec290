"""One rule per Keras layer that reads several values: the layer and the Nodes that it reads, to Nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_ternary_spike.exact import ExactAdd

from ...network import nodes
from ...network.linear_algebra import affine_of
from ...network.node import like
from ...network.nodes import Node
from .rule import Rule, rule

# What a Rule of these layers builds with: (layer, name, sources, whether they have a time axis in front of it).
MergeRule = Callable[[Any, str, Sequence[Node], bool], tuple[Node, ...]]


def merge(layer: Any, name: str, sources: Sequence[Node], *, per_timestep: bool) -> tuple[Node, ...]:
    """The nodes of a merging layer, with a Repeat on every value without time axis that meets one with it."""
    temporal = any(source.temporal for source in sources)
    repeats = tuple(_repeated(name, source) for source in dict.fromkeys(sources) if temporal and not source.temporal)
    replaced = {repeat.inputs[0]: repeat for repeat in repeats}
    aligned = [replaced.get(source.name, source) for source in sources]
    _check_ranks(layer, sources)
    made = MERGES[type(layer)].build(layer, name, aligned, temporal and not per_timestep)
    return (*repeats, *(made or (aligned[0],)))


def _repeated(name: str, source: Node) -> nodes.Repeat:
    return nodes.Repeat(**like(f"{name}_{source.name}", source, temporal=True))


def _check_ranks(layer: Any, sources: Sequence[Node]) -> None:
    if len({len(source.shape) for source in sources}) > 1:
        shapes = {source.name: source.shape for source in sources}
        raise ValueError(f"{type(layer).__name__} needs equal ranks. Received: {shapes} at layer {layer.name!r}.")


def _add(layer: Any, name: str, sources: Sequence[Node], time_axis: bool) -> tuple[Node, ...]:
    """The sum; a value that is added several times, times its number."""
    if len({source.shape for source in sources}) > 1:
        shapes = {source.name: source.shape for source in sources}
        raise ValueError(
            f"{type(layer).__name__} needs equal shapes. Received: {shapes} at layer {layer.name!r}. "
            "Broadcast before it."
        )
    counts = {source: list(sources).count(source) for source in sources}
    factors = {
        source: affine_of(f"{name}_{source.name}_times", source, count) for source, count in counts.items() if count > 1
    }
    addends = [factors.get(source, source) for source in counts]
    if len(addends) == 1:
        return tuple(replace(factor, name=name) for factor in factors.values())
    inputs = tuple(addend.name for addend in addends)
    total = nodes.Add(name=name, inputs=inputs, shape=sources[0].shape, temporal=sources[0].temporal)
    return (*factors.values(), total)


def _average(layer: Any, name: str, sources: Sequence[Node], time_axis: bool) -> tuple[Node, ...]:
    """The sum, divided by the number of values."""
    total = _add(layer, f"{name}_sum", sources, time_axis)
    return (*total, affine_of(name, total[-1], 1 / len(sources)))


def _subtract(layer: Any, name: str, sources: Sequence[Node], time_axis: bool) -> tuple[Node, ...]:
    """The first value plus -1 times the second."""
    first, second = sources
    if first == second:
        raise ValueError(
            f"Subtract needs two different values. Received: twice {first.name!r} at layer {layer.name!r}. It is 0 "
            "everywhere: leave it out."
        )
    negative = affine_of(f"{name}_{second.name}_negative", second, -1)
    return negative, *_add(layer, name, (first, negative), time_axis)


def _concatenate(layer: Any, name: str, sources: Sequence[Node], time_axis: bool) -> tuple[Node, ...]:
    rank = 1 + len(sources[0].shape) + time_axis
    if layer.axis % rank != rank - 1:
        raise ValueError(
            f"Concatenate works along the channels, the last axis. Received: axis={layer.axis} in layer "
            f"{layer.name!r}. Use axis=-1."
        )
    if len(sources) == 1:
        return ()
    channels = sum(source.shape[-1] for source in sources)
    inputs, shape = tuple(source.name for source in sources), (*sources[0].shape[:-1], channels)
    return (nodes.Concatenate(name=name, inputs=inputs, shape=shape, temporal=sources[0].temporal),)


MERGES: Mapping[type, Rule] = {
    keras.layers.Add: rule(_add),
    keras.layers.Average: rule(_average),
    keras.layers.Subtract: rule(_subtract),
    keras.layers.Concatenate: rule(_concatenate, "axis"),
    ExactAdd: rule(_add, "", "factors"),
}
