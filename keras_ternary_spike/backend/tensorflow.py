"""Compiled functions on TensorFlow. Imported with that backend only."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import tensorflow as tf

SMALLEST_EPSILON = 1.001e-5  # cuDNN's: TensorFlow raises what is smaller
RANK = 4  # (batch, height, width, channels), what the operator takes


def normalize(inputs: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """gamma * (inputs - mean) / sqrt(variance + epsilon) + beta, and mean and variance, `(channels,)` each.

    inputs: float32, `(..., channels)`; statistics are over all axes but the last.
    """
    shape, channels = tf.shape(inputs), inputs.shape[-1]
    images = inputs if len(inputs.shape) == RANK else tf.reshape(inputs, (1, -1, 1, channels))
    options = {"epsilon": epsilon, "is_training": True}
    outputs, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(images, gamma, beta, **options)
    count = tf.cast(tf.size(inputs) // channels, unbiased.dtype)
    outputs = tf.ensure_shape(tf.reshape(outputs, shape), inputs.shape)
    return outputs, mean, unbiased * (tf.maximum(count - 1, 1) / count)


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
