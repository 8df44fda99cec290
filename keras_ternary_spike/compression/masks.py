"""Masks by tensorflow-model-optimization's pruning engine, for arrays.

The engine works on `tf.Variable`s; kernels of Keras 3 are passed to it as copies.
"""

from __future__ import annotations

import numpy as np

from .toolkit import load_tfmot

ENGINE = "python.core.sparsity.keras.pruning_impl"
SCHEDULES = "python.core.sparsity.keras.pruning_schedule"
FIRST_STEP = 1  # the only step at which the engine chooses structured masks


def magnitude_mask(weights: np.ndarray, sparsity: float) -> np.ndarray:
    """Booleans: all but the share `sparsity` of the smallest |weights|. At least one weight stays."""
    return _engine_mask(weights, sparsity, None)


def pattern_mask(weights: np.ndarray, pattern: tuple[int, int]) -> np.ndarray:
    """Booleans: of every `pattern[1]` weights in a row along axis -2 without the `pattern[0]` smallest.

    weights: `(..., inputs, outputs)`, inputs a multiple of pattern[1].
    """
    rows = weights.reshape(-1, 1, *weights.shape[-2:])
    return _engine_mask(rows, 0.0, pattern).reshape(weights.shape)


def channel_mask(weights: np.ndarray, sparsity: float, axes: tuple[int, ...]) -> np.ndarray:
    """Booleans: whole channels, all but the share `sparsity` of the smallest in root mean square.

    axes: those that lie within a channel.
    """
    norms = np.sqrt(np.mean(np.square(weights), axis=axes, keepdims=True))
    return np.broadcast_to(_engine_mask(norms, sparsity, None), weights.shape)


def _engine_mask(weights: np.ndarray, sparsity: float, pattern: tuple[int, int] | None) -> np.ndarray:
    import tensorflow as tf

    weight = tf.Variable(weights)
    mask, threshold = tf.Variable(tf.ones_like(weight)), tf.Variable(tf.zeros((), weight.dtype))
    schedule = load_tfmot(SCHEDULES).ConstantSparsity(sparsity, begin_step=0, frequency=1)
    engine = load_tfmot(ENGINE).Pruning(
        lambda: FIRST_STEP, [(weight, mask, threshold)], schedule, (1, 1), "AVG", sparsity_m_by_n=pattern
    )
    engine.conditional_mask_update()
    return mask.numpy() != 0
