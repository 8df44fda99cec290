"""Which layer of a Keras model reads which: the model as a list of calls, wrappers and nested models unpacked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from .overrides import as_functional, check_call, is_own, unpacked
from .time_axis import LastTimestep, PerTimestep, TimeAverage, TimeMax


@dataclass(frozen=True, eq=False)
class Call:
    """One use of one layer.

    layer: the Keras layer; an InputLayer for each input of the model.
    sources: indices of the calls whose values it reads.
    per_timestep: whether PerTimestep (or TimeDistributed) applies it to every timestep on its own.
    ranks: number of axes of each source, with the batch axis, as the layer itself sees it; () for all the same.
    shape: of the value, with the batch axis, where no layer but an operation such as `x[:, 0]` computes it; else None.
    values: how many it gives.
    state_of: where the value is the last state of a layer with `return_state=True`, the index of the call that gives
        its outputs; else None.
    """

    layer: Any
    sources: tuple[int, ...] = ()
    per_timestep: bool = False
    ranks: tuple[int, ...] = ()
    shape: tuple[int | None, ...] | None = None
    values: int = 1
    state_of: int | None = None

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

    def shared(self, index: int) -> bool:
        """Whether the layer of a call is called elsewhere, too."""
        return sum(call.layer is self.calls[index].layer for call in self.calls) > 1


def trace(model: keras.Model) -> Trace:
    """The calls of a Sequential or functional model, or of a subclass whose `call` is made of layers.

    The model and its layers stay as they are, but that layers inside a user's own `call` learn of another one.

    Raises:
        ValueError: if `model` is not a Keras model, was never built, or a `call` is not made of layers.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {model!r} (of type {type(model).__name__})")
    model = as_functional(model)
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            f"`model` must be a built Sequential or functional model. Received: {model.name!r} "
            f"({type(model).__name__}). Give it an input: keras.Input(shape) first, or keras.Model(inputs, outputs)."
        )
    calls = [Call(keras.layers.InputLayer(batch_shape=x.shape, dtype=x.dtype, name=x.name)) for x in model.inputs]
    outputs = _enter(model, tuple(range(len(calls))), False, calls)
    return Trace(tuple(calls), outputs)


def _enter(
    layer: Any,
    sources: tuple[int, ...],
    per_timestep: bool,
    calls: list[Call],
    ranks: tuple[int, ...] = (),
    arguments: tuple[tuple, dict] = ((), {}),
) -> tuple[int, ...]:
    """Append the calls of `layer` on `sources`; returns the indices of its outputs.

    arguments: of the call, where more is known of it than its sources.
    """
    if is_own(layer) and not getattr(layer, "inputs", None):
        return _enter_functional(unpacked(layer, *arguments), sources, per_timestep, calls)
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
        if isinstance(layer, keras.layers.Layer) and not is_own(layer):  # whose call is taken apart as it was made
            _check_arguments(layer, args, kwargs)
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
        sources = tuple(values[id(x)] for x in tensors)
        ranks = tuple(len(x.shape) for x in tensors)
        chain = () if isinstance(layer, keras.layers.Layer) else layers_for(layer, [*args, *kwargs.values()])
        first, *others = chain or (layer,)
        indices = _enter(first, sources, per_timestep, calls, ranks, (args, kwargs))
        for other in others:
            indices = _enter(other, indices, per_timestep, calls)
        spec = layer.compute_output_spec(*args, **kwargs)
        given = keras.tree.flatten(spec)
        if not isinstance(calls[-1].layer, keras.layers.Layer):
            calls[-1] = replace(calls[-1], shape=given[0].shape)
        if getattr(layer, "return_state", False) and len(given) == 2:
            calls.append(replace(calls[-1], state_of=indices[0]))
            indices = (indices[0], len(calls) - 1)
        elif len(given) > len(indices):  # of a layer: all of them are its value
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


def _check_arguments(layer: keras.layers.Layer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raises ValueError where a layer was called with more than values of the model, as with a constant mask.

    `training` of a call plays no part: prediction says False.
    """
    named = {f"argument {place}": value for place, value in enumerate(args)} | dict(kwargs)
    for name, value in named.items():
        given = [part for part in keras.tree.flatten(value) if not isinstance(part, keras.KerasTensor | None)]
        if given and name != "training":
            raise ValueError(
                "Layers must be called with nothing but values of the model: what a layer makes of anything else is in "
                f"no option of it. Received: layer {layer.name!r} with {name} of type {type(given[0]).__name__}. Make "
                "it an input of the model, or leave it out."
            )


class _StandIn(keras.layers.Layer):
    """Values of the shapes given, whatever it reads."""

    def __init__(self, spec: Any) -> None:
        super().__init__()
        self.spec = spec

    def call(self, *tensors: Any) -> Any:
        return self.spec

    def compute_output_spec(self, *tensors: Any) -> Any:
        return keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape, dtype=x.dtype), self.spec)


ACTIVATIONS = {"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Softmax": "softmax", "Tanh": "tanh"}
MERGES = {"Add": keras.layers.Add, "Subtract": keras.layers.Subtract}


def layers_for(operation: Any, arguments: Sequence[Any]) -> tuple[keras.layers.Layer, ...]:
    """Layers that compute the same one behind the other; none where no layers are known to.

    arguments: of the call, tensors and numbers in order. The last layer has the operation's name.
    """
    found = _layers_for(operation, arguments)
    for layer in found:
        if not layer.built:
            layer.build(next(x.shape for x in arguments if isinstance(x, keras.KerasTensor)))
    return found


def _layers_for(operation: Any, arguments: Sequence[Any]) -> tuple[keras.layers.Layer, ...]:
    kind, tensors = type(operation).__name__, [x for x in arguments if isinstance(x, keras.KerasTensor)]
    if kind in MERGES and len(tensors) == len(arguments) == 2:
        layer = MERGES[kind](name=operation.name)
        layer.build([x.shape for x in tensors])
        return (layer,)
    if kind in REDUCTIONS and len(tensors) == 1:
        return REDUCTIONS[kind](operation, tensors[0])
    if kind == "GetItem" and len(arguments) == 2:
        return (LastTimestep(name=operation.name),) if _takes_last(arguments[1], tensors[0]) else ()
    if kind in ACTIVATIONS and len(tensors) == 1 and getattr(operation, "axis", -1) == -1:
        return (keras.layers.Activation(ACTIVATIONS[kind], name=operation.name),)
    numbers = scaled(kind, arguments)
    if numbers is None:
        return ()
    return (keras.layers.Rescaling(*(_plain(number) for number in numbers), name=operation.name),)


def scaled(kind: str, arguments: Sequence[Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """(scale, offset) of scale * x + offset for arithmetic of one value x and numbers; None for anything else."""
    if kind == "Negative" and len(arguments) == 1:
        return np.float64(-1), np.float64(0)
    if kind not in ARITHMETIC or len(arguments) != 2:
        return None
    x, number = arguments if isinstance(arguments[0], keras.KerasTensor) else arguments[::-1]
    divided = kind in ("TrueDivide", "Divide")
    # Integers of a tensor would wrap around, which a Rescaling, that computes in floats, does not.
    if not isinstance(x, keras.KerasTensor) or not (divided or keras.backend.is_float_dtype(x.dtype)):
        return None
    number = _number(number)
    if number is None or number.ndim > 1 or (divided and (x is not arguments[0] or not number.all())):
        return None
    return ARITHMETIC[kind](number, x is arguments[0])


def _number(value: Any) -> np.ndarray | None:
    """A constant of the user's in float64; None for anything that is not one."""
    if isinstance(value, bool | keras.KerasTensor | keras.Variable) or value is None:
        return None
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


def _plain(number: np.ndarray) -> float | list[float]:
    return number.tolist()


def _mean_over_time(operation: Any, tensor: keras.KerasTensor) -> tuple[keras.layers.Layer, ...]:
    return (TimeAverage(name=operation.name),) if _over_first(operation, tensor) else ()


def _sum_over_time(operation: Any, tensor: keras.KerasTensor) -> tuple[keras.layers.Layer, ...]:
    if not _over_first(operation, tensor) or tensor.shape[1] is None:
        return ()
    mean = TimeAverage(name=f"{operation.name}_mean")
    return mean, keras.layers.Rescaling(float(tensor.shape[1]), name=operation.name)


def _max_over_time(operation: Any, tensor: keras.KerasTensor) -> tuple[keras.layers.Layer, ...]:
    found = _over_first(operation, tensor) and operation.initial is None
    return (TimeMax(name=operation.name),) if found else ()


def _takes_last(key: Any, tensor: keras.KerasTensor) -> bool:
    """Whether x[key] is x[:, -1]: all of the batch, the last of the first axis behind it, and all of the others."""
    parts = list(key) if isinstance(key, list | tuple) else [key]
    while parts and _takes_all(parts[-1]):
        parts.pop()
    if len(parts) != 2 or not _takes_all(parts[0]) or len(tensor.shape) < 3:
        return False
    index = parts[1]
    whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
    return whole and (index == -1 or (tensor.shape[1] is not None and index == tensor.shape[1] - 1))


def _takes_all(part: Any) -> bool:
    return part is Ellipsis or (isinstance(part, slice) and part == slice(None))


def _over_first(operation: Any, tensor: keras.KerasTensor) -> bool:
    """Whether an operation reduces the first axis behind the batch, as TimeAverage does, and no other."""
    axes = np.atleast_1d(operation.axis if operation.axis is not None else [])
    return [axis % len(tensor.shape) for axis in axes] == [1] and len(tensor.shape) > 2 and not operation.keepdims


ARITHMETIC: dict[str, Callable[[np.ndarray, bool], tuple[np.ndarray, np.ndarray]]] = {
    "Add": lambda number, first: (np.float64(1), number),
    "Subtract": lambda number, first: (np.float64(1), -number) if first else (np.float64(-1), number),
    "Multiply": lambda number, first: (number, np.float64(0)),
    "TrueDivide": lambda number, first: (1 / number, np.float64(0)),
    "Divide": lambda number, first: (1 / number, np.float64(0)),
}
REDUCTIONS: dict[str, Callable[[Any, keras.KerasTensor], tuple[keras.layers.Layer, ...]]] = {
    "Max": _max_over_time,
    "Mean": _mean_over_time,
    "Sum": _sum_over_time,
}
