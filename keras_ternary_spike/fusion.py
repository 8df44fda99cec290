"""Compiled functions on TensorFlow. Imported with that backend only."""

from __future__ import annotations

import platform
from collections.abc import Callable

import tensorflow as tf


def can_compile() -> bool:
    """Whether XLA is there: not in every build of TensorFlow, and not on Apple's GPUs."""
    on_apple = platform.system() == "Darwin" and "arm" in platform.processor().lower()
    return tf.test.is_built_with_xla() and not (on_apple and tf.config.list_physical_devices("GPU"))


def trace_function(function: Callable) -> Callable:
    """One function of a graph, a part of what is compiled around it."""
    return tf.function(function, autograph=False)


def compile_function(function: Callable) -> Callable:
    """One fused function; called within a graph that is compiled as a whole, it becomes a part of that."""
    return tf.function(function, jit_compile=True, autograph=False)
