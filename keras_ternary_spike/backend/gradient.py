"""One function with a hand-written gradient, in the way of each backend.

A `recurrence` has `forward(*tensors)`, which returns the outputs, a tuple, and what to save, and
`backward(tensors, saved, upstream)`, which returns the gradients of the tensors and maybe more; `fused` says whether
each may be compiled.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops


def can_fuse() -> bool:
    """Whether the backend compiles functions, or is likely to compile the whole training step (JAX)."""
    backend = keras.backend.backend()
    return backend == "jax" or (backend == "tensorflow" and _tensorflow().can_compile())


def compiles_functions() -> bool:
    """Whether each function is compiled on its own, not the training step as a whole."""
    return keras.backend.backend() == "tensorflow"


def call(recurrence: Any, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs of `recurrence`; differentiating them runs its backward function."""
    if keras.backend.backend() == "torch":
        return importlib.import_module(".torch", __package__).call(recurrence, tensors)
    forward, backward = _functions(recurrence)

    @ops.custom_gradient
    def differentiable(*tensors):
        outputs, saved = forward(*tensors)

        def gradient(*upstream):
            # TensorFlow passes one argument per output, JAX one tuple.
            return backward(tensors, saved, keras.tree.flatten(upstream))[: len(tensors)]

        return outputs, gradient

    return differentiable(*tensors)


def _functions(recurrence: Any) -> tuple[Callable, Callable]:
    if recurrence.fused and compiles_functions():
        return _compiled(recurrence)
    return recurrence.forward, recurrence.backward


@functools.lru_cache(maxsize=256)
def _compiled(recurrence: Any) -> tuple[Callable, Callable]:
    compile_function = _tensorflow().compile_function
    return compile_function(recurrence.forward), compile_function(recurrence.backward)


@functools.lru_cache(maxsize=256)
def traced(recurrence: Any) -> tuple[Callable, Callable]:
    """Forward and backward as functions of a graph, which holds each once however often it calls them."""
    trace_function = _tensorflow().trace_function
    return trace_function(recurrence.forward), trace_function(recurrence.backward)


def _tensorflow() -> Any:
    return importlib.import_module(".tensorflow", __package__)
