"""What a layer costs in training: neurons beside a floor of memory traffic, batch normalization beside Keras's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from keras_ternary_spike import BatchNormalization, TernaryLIF

SHAPE = (64, 28, 28, 32)  # batch and features
PASSES = 5  # forward reads currents and writes spikes; backward reads gradients and membranes and writes gradients
MOMENTUM = 0.9


def neurons(timesteps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of forward and backward, alternating with the floor's, and their "ratio"."""
    batch, *features = SHAPE
    shape, layer = (batch, timesteps, *features), TernaryLIF()
    ours, least = alternating(step(layer, shape), floor(shape), rounds=rounds)
    return {"seconds": list(ours), "ratio": list(ours / least)}


def normalization(shape: Sequence[int], rounds: int) -> dict[str, list[float]]:
    """Seconds of Keras's layer, alternating with this package's, and their "ratio"."""
    layers = keras.layers.BatchNormalization(momentum=MOMENTUM), BatchNormalization(momentum=MOMENTUM)
    theirs, ours = alternating(*(step(layer, shape) for layer in layers), rounds=rounds)
    return {"seconds": list(theirs), "ratio": list(theirs / ours)}


def step(layer: keras.layers.Layer, shape: Sequence[int]) -> Callable[[], object]:
    """Forward and backward of a layer in training, with gradients of its input and its weights."""
    keras.utils.set_random_seed(0)
    inputs, upstream = tf.random.normal(shape), tf.random.normal(shape)
    layer.build(inputs.shape)
    weights = layer.trainable_weights

    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        # All of them are results, or nothing would compute them.
        return outputs, *tape.gradient(outputs, [inputs, *(weight.value for weight in weights)], upstream)

    return lambda: compute()[-1].numpy()


def floor(shape: Sequence[int]) -> Callable[[], object]:
    """A call that moves as many bytes as neurons must, with as many threads as there are cores."""
    threads = os.cpu_count()
    sources = [np.ones((threads, np.prod(shape) // threads), "float32") for _ in range(PASSES // 2 + 1)]
    targets = [np.zeros_like(sources[0]) for _ in range(PASSES // 2)]
    pool = ThreadPoolExecutor(threads)

    def move(part: int) -> None:
        np.copyto(targets[0][part], sources[0][part])  # forward: one read, one written
        np.add(sources[1][part], sources[2][part], out=targets[1][part])  # backward: two read, one written

    return lambda: list(pool.map(move, range(threads)))


def alternating(*calls: Callable[[], object], rounds: int) -> np.ndarray:
    """Seconds `(calls, rounds)`, after one round that does not count."""
    for call in calls:
        call()
    return np.array([[seconds_of(call) for call in calls] for _ in range(rounds)]).T


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
