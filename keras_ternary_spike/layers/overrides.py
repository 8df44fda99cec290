"""Code of users' own: methods written anew, and layers and models whose `call` is made of other layers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

PACKAGES = ("keras", "keras_ternary_spike")
UNKNOWN = 3  # stands for a size that is not known, where numbers are computed
TOLERANCE = 1e-4
WAY_OUT = (
    "Write it as a function that calls layers on a tensor, def block(x): return TernaryLIF()(Dense(8)(x)), build "
    "keras.Model(inputs, outputs) with it, and copy the weights."
)


def overridden(layer: Any, *methods: str) -> str | None:
    """The first of `methods` that is not Keras's or this package's, of the object or of its class; None if all are."""
    for method in methods:
        owner = next(kind for kind in type(layer).__mro__ if method in vars(kind))
        if method in vars(layer) or not _is_known(owner):
            return method
    return None


def check_call(layer: Any) -> None:
    """Raises ValueError where a class of the user's computes something else than the one that it is derived from."""
    if method := overridden(layer, "call", "__call__"):
        raise ValueError(
            f"`{method}` must be that of Keras or of this package: what another one computes cannot be told. "
            f"Received: layer {layer.name!r} ({type(layer).__name__}), which overrides it. Write it with layers: "
            "keras.Model(inputs, outputs). Methods of training, such as `train_step`, may be overridden."
        )


def is_own(layer: Any) -> bool:
    """Whether it is a user's own Layer or Model with a `call` of its own, not a Keras layer that was changed."""
    base = next(kind for kind in type(layer).__mro__ if _is_known(kind))
    return base in (keras.layers.Layer, keras.Model) and overridden(layer, "call") is not None


def as_functional(model: keras.Model) -> keras.Model:
    """A model as Sequential and functional ones are; a subclass whose `call` is made of layers as those layers."""
    if not isinstance(model, keras.Model) or getattr(model, "inputs", None) or not is_own(model):
        return model
    found = unpacked(model)
    if getattr(model, "loss", None) is not None:
        found.compile(loss=model.loss)
    return found


def unpacked(layer: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> keras.Model:
    """The layers of which the `call` of a user's own Layer or Model is made, in inference, as a functional model.

    Its weights are those of `layer`, and it computes the same numbers, which is tried.

    Args:
        args, kwargs: of the call, symbolic tensors among them, in whose order the inputs are. Default: what it was
            built for.

    Raises:
        ValueError: naming the layer, what of its call is not a layer, and the way out.
    """
    if not layer.built:
        raise ValueError(
            f"A layer or model of your own must be built. Received: {layer.name!r} ({type(layer).__name__}), which has "
            "no weights yet. Call it on some samples first."
        )
    if overridden(layer, "__call__"):
        raise _refused(layer, "its `__call__` is not Keras's")
    args, kwargs = (args, kwargs or {}) if args or kwargs else ((_input_of(layer),), {})
    if "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": False}
    inputs: list[keras.KerasTensor] = []

    def fresh(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        inputs.append(keras.Input(batch_shape=value.shape, dtype=value.dtype))
        return inputs[-1]

    args, kwargs = keras.tree.map_structure(fresh, (tuple(args), dict(kwargs)))
    try:
        model = keras.Model(inputs, layer.call(*args, **kwargs), name=layer.name)
    except Exception as error:  # it is the user's code, which may do anything with a tensor that has no numbers
        raise _refused(layer, " ".join(str(error).split("\n")[0].split()) or type(error).__name__) from error
    _check_weights(layer, model)
    _check_numbers(layer, model, args, kwargs, inputs)
    return model


def _is_known(kind: type) -> bool:
    return kind.__module__.split(".")[0] in (*PACKAGES, "builtins")


def _input_of(layer: Any) -> Any:
    """Symbolic tensors of the shapes that a layer was built for, of any batch size."""
    shapes = (layer.get_build_config() or {}).get("input_shape")
    if shapes is None:
        raise _refused(layer, "the shapes that it takes are not known")
    return _inputs(shapes)


def _inputs(shapes: Any) -> Any:
    if isinstance(shapes, Mapping):
        return {name: _named_input(shape, name) for name, shape in shapes.items()}
    if any(isinstance(size, tuple | list) for size in shapes):
        return [_inputs(shape) for shape in shapes]
    return keras.Input(batch_shape=(None, *shapes[1:]))


def _named_input(shape: Any, name: str) -> Any:
    return keras.Input(batch_shape=(None, *shape[1:]), name=name)


def _check_weights(layer: Any, model: keras.Model) -> None:
    """Raises ValueError if a weight plays no part in the layers, so that it may play another."""
    found = {id(weight) for weight in model.weights}
    if left := [weight.path for weight in layer.weights if id(weight) not in found]:
        raise _refused(layer, f"its weight {left[0]!r} belongs to none of the layers that it calls")


def _check_numbers(layer: Any, model: keras.Model, args: Any, kwargs: Any, inputs: list[Any]) -> None:
    """Raises ValueError if the layers compute other numbers than the call."""
    rng = np.random.default_rng(0)
    shapes = [[UNKNOWN if size is None else size for size in tensor.shape] for tensor in inputs]
    values = [rng.uniform(-1, 1, shape).astype(x.dtype) for x, shape in zip(inputs, shapes, strict=True)]
    given = {id(tensor): value for tensor, value in zip(inputs, values, strict=True)}
    args, kwargs = keras.tree.map_structure(lambda value: given.get(id(value), value), (args, kwargs))
    expected, found = layer(*args, **kwargs), model(values, training=False)
    for one, other in zip(keras.tree.flatten(expected), keras.tree.flatten(found), strict=True):
        one, other = keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
        if not np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE):
            raise _refused(layer, "with the same numbers it gives others than the layers that it calls")


def _refused(layer: Any, reason: str) -> ValueError:
    return ValueError(
        f"The `call` of a layer or model of your own must be made of layers and arithmetic. Received: {layer.name!r} "
        f"({type(layer).__name__}): {reason}. {WAY_OUT}"
    )
