"""Trains one point: on cross-entropy with Adam, pruned and ternarised by callbacks."""

from __future__ import annotations

import keras
import numpy as np

from .config import Config
from .data import Data
from .points import TERNARY, Point, Pruning, pruning_of

PRUNED_PART = 0.5  # of the training, in which the share of zeros grows; then the mask stays
PRUNING_STEPS = 20  # at most, in which it grows
LEAST_STEPS = 2

Stages = list[tuple[int, list[keras.callbacks.Callback]]]  # (epochs, callbacks)


def train(model: keras.Model, point: Point, config: Config, data: Data) -> None:
    """Trains in place for `training.epochs`, whatever is pruned: points differ in the networks, not in the effort.

    Raises: ValueError if the training is too short to prune in, or the loss is no number.
    """
    settings = config.settings["training"]
    steps = -(-len(data.train_images) // settings["batch_size"])
    schedule = keras.optimizers.schedules.CosineDecay(settings["learning_rate"], settings["epochs"] * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On CPU cores a step of these networks takes longer when jit-compiled.
    model.compile(keras.optimizers.Adam(schedule), loss, jit_compile=False)
    for epochs, callbacks in stages(model, point, settings["epochs"], steps):
        history = model.fit(
            data.train_images,
            data.train_labels,
            batch_size=settings["batch_size"],
            epochs=epochs,
            callbacks=callbacks,
            verbose=0,
        )
        if not np.all(np.isfinite(history.history["loss"])):
            raise ValueError(
                "The loss must stay a number. Received: NaN or infinity in training. Lower `training.learning_rate`."
            )


def stages(model: keras.Model, point: Point, epochs: int, steps: int) -> Stages:
    """The fits of one training. steps: batches an epoch.

    Pruned ternary kernels are pruned in the first half and made ternary in the second: a ternary kernel does not tell
    large weights from small ones.
    """
    pruning = pruning_of(point.pruning)
    if point.kernel_bits != TERNARY:
        return [(epochs, [] if pruning is None else [pruned_gradually(pruning, epochs * steps)])]
    if pruning is None:
        return [(epochs, [ternary(model)])]
    from keras_ternary_spike.compression import Prune

    first = -(-epochs // 2)
    # Prune before ternary: it sets the masked weights back before their steps reach the latent ones.
    return [(first, [pruned_gradually(pruning, first * steps)]), (epochs - first, [Prune(), ternary(model)])]


def pruned_gradually(pruning: Pruning, steps: int) -> keras.callbacks.Callback:
    """A callback whose share of zeros grows over the first half of `steps` batches."""
    from keras_ternary_spike.compression import PolynomialDecay, Prune

    if steps < LEAST_STEPS:
        raise ValueError(
            f"Pruning takes at least {LEAST_STEPS} batches. Received: {steps}. Raise `training.epochs`, or lower "
            "`training.batch_size`."
        )
    growing = max(1, int(PRUNED_PART * steps))
    frequency = -(-growing // PRUNING_STEPS)
    schedule = PolynomialDecay(0.0, pruning.share, 0, growing - growing % frequency, frequency=frequency)
    return Prune(schedule, pruning.pattern)


def ternary(model: keras.Model) -> keras.callbacks.Callback:
    """For all kernels but the first, which reads the image, not spikes, and multiplies in any case."""
    from keras_ternary_spike.compression import TernaryKernels
    from keras_ternary_spike.compression.kernels import find_kernels

    return TernaryKernels([kernel.name for kernel in find_kernels(model)[1:]] or None)
