"""One function with a hand-written gradient, in the way of each backend."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
from keras import ops


class Differentiable(Protocol):
    """A function of tensors with a gradient. `fused` says whether forward and backward may each be compiled."""

    fused: Any

    def forward(self, *tensors: Any) -> tuple[tuple[Any, ...], Any]:
        """The outputs, and what to save."""

    def backward(self, tensors: Sequence[Any], saved: Any, upstream: Sequence[Any]) -> tuple[Any, ...]:
        """The gradients of the tensors, and maybe more."""


def can_fuse() -> bool:
    """Whether the backend compiles functions, or is likely to compile the whole training step (JAX)."""
    backend = keras.backend.backend()
    return backend == "jax" or (backend == "tensorflow" and _tensorflow().can_compile())


def compiles_functions() -> bool:
    """Whether each function is compiled on its own, not the training step as a whole."""
    return keras.backend.backend() == "tensorflow"


def call(differentiable: Differentiable, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs of a function; differentiating them runs its backward function."""
    if keras.backend.backend() == "torch":
        return importlib.import_module(".torch", __package__).call(differentiable, tensors)
    forward, backward = _functions(differentiable)

    @ops.custom_gradient
    def function(*tensors):
        outputs, saved = forward(*tensors)

        def gradient(*upstream):
            # TensorFlow passes one argument per output, JAX one tuple.
            return backward(tensors, saved, keras.tree.flatten(upstream))[: len(tensors)]

        return outputs, gradient

    return function(*tensors)


def _functions(differentiable: Differentiable) -> tuple[Callable, Callable]:
    if differentiable.fused and compiles_functions():
        return compiled(differentiable)
    return differentiable.forward, differentiable.backward


@functools.lru_cache(maxsize=256)
def compiled(differentiable: Differentiable) -> tuple[Callable, Callable]:
    compile_function = _tensorflow().compile_function
    return compile_function(differentiable.forward), compile_function(differentiable.backward)


@functools.lru_cache(maxsize=256)
def traced(differentiable: Differentiable) -> tuple[Callable, Callable]:
    """Forward and backward as functions of a graph, which holds each once however often it calls them."""
    trace_function = _tensorflow().trace_function
    return trace_function(differentiable.forward), trace_function(differentiable.backward)


def _tensorflow() -> Any:
    return importlib.import_module(".tensorflow", __package__)
