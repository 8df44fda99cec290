"""Methods that users have written anew: what such a method computes no rule can tell."""

from __future__ import annotations

from typing import Any

PACKAGES = ("keras", "keras_ternary_spike")


def overridden(layer: Any, *methods: str) -> str | None:
    """The first of `methods` that is not Keras's or this package's, of the object or of its class; None if all are."""
    for method in methods:
        owner = next(kind for kind in type(layer).__mro__ if method in vars(kind))
        if method in vars(layer) or owner.__module__.split(".")[0] not in PACKAGES:
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
