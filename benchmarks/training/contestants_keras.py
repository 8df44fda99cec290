"""The contestants of steps.py that are Keras models."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

from benchmarks.training.contestant_task import CLASSES, DECAY, FILTERS, SHAPES, STRIDES, THRESHOLD, Task
from keras_ternary_spike import BatchNormalization, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, models


class Rectifier(layers.Layer):
    def call(self, current):
        return ops.relu(current)


class PlainLoop(layers.Layer):
    """Every operation of every timestep differentiated on its own; the surrogate is straight-through."""

    def call(self, current):
        outputs, state = [], ops.zeros_like(current[:, 0])
        for t in range(current.shape[1]):
            membrane = DECAY * state + current[:, t]
            line = ops.clip(membrane / (2 * THRESHOLD), -1.0, 1.0)
            fired = ops.cast(membrane >= THRESHOLD, line.dtype) - ops.cast(membrane <= -THRESHOLD, line.dtype)
            spike = line + ops.stop_gradient(fired - line)
            state = membrane * (1.0 - ops.abs(spike))
            outputs.append(spike)
        return ops.stack(outputs, axis=1)


NEURONS = {"keras_ternary_spike": TernaryLIF, "keras_relu": Rectifier, "keras_plain": PlainLoop}


def training_step(task: Task) -> Callable[[], object]:
    """One training step; returns once it is done."""
    images, labels = task.data()
    model = network(task)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On CPUs TensorFlow's steps are faster without XLA around the convolutions; other backends choose themselves.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=jit)
    return lambda: model.train_on_batch(images, labels)


def network(task: Task) -> keras.Model:
    shape, neuron = SHAPES[task.network], NEURONS[task.name]
    if task.network == "resnet20":
        return models.resnet20(shape, CLASSES, timesteps=task.timesteps, neuron=neuron)
    model = keras.Sequential([keras.Input(shape)])
    for index, (filters, strides) in enumerate(zip(FILTERS, STRIDES, strict=True)):
        wrap = PerTimestep if index else lambda layer: layer
        model.add(wrap(layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)))
        model.add(wrap(BatchNormalization()))
        if not index:
            model.add(DirectEncoding(task.timesteps))
        model.add(neuron())
    for layer in (PerTimestep(layers.GlobalAveragePooling2D()), PerTimestep(layers.Dense(CLASSES)), TimeAverage()):
        model.add(layer)
    return model
