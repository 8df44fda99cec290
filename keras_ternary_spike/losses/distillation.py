"""A student learns from labels and from a teacher's logits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from ..registration import PACKAGE

LABEL, TEACHER = 0, 1  # places in the targets


def distillation_targets(labels: Any, teacher_logits: Any) -> np.ndarray:
    """What `DistillationLoss` takes as targets: labels and a teacher's logits side by side.

    Args:
        labels: Integers `(samples,)` or `(samples, 1)`, or shares of classes `(samples, classes)`.
        teacher_logits: `(samples, classes)`, `teacher.predict(inputs)`; logits, no probabilities.

    Returns:
        float32 `(samples, 2, classes)`: targets for `fit`, or of a dataset.

    Raises:
        ValueError: if shapes do not fit, a label is no class, or the logits are probabilities.
    """
    logits, labels = np.asarray(teacher_logits, np.float32), np.asarray(labels)
    if logits.ndim != 2:
        raise ValueError(f"`teacher_logits` must be of shape (samples, classes). Received: {logits.shape}")
    if np.all(logits >= 0) and np.allclose(logits.sum(axis=-1), 1, atol=1e-4):
        raise ValueError(
            "`teacher_logits` must be logits; the softmax of each row is taken. Received: rows that sum to 1. Leave "
            "the teacher's softmax out, or give np.log of its probabilities."
        )
    return np.stack([_shares(labels, logits.shape), logits], axis=1)


def _shares(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """float32 of `shape`, 1 at the class of each row."""
    if labels.shape == shape:
        return labels.astype(np.float32)
    if labels.shape not in ((shape[0],), (shape[0], 1)):
        raise ValueError(f"`labels` must be one for each of {shape[0]} rows of logits. Received: {labels.shape}")
    labels = labels.reshape(-1)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= shape[1]:
        raise ValueError(
            f"`labels` must be integers from 0 to {shape[1] - 1}. Received: {labels.dtype} from {labels.min()} to "
            f"{labels.max()}"
        )
    return np.eye(shape[1], dtype=np.float32)[labels]


@keras.saving.register_keras_serializable(package=PACKAGE)
class DistillationLoss(keras.losses.Loss):
    """Cross-entropy with the labels, and distance from a teacher's softened probabilities.

        loss = (1 - weight) * crossentropy(label, softmax(logits))
             + weight * temperature^2 * KL(softmax(teacher / temperature) || softmax(logits / temperature))

    Args:
        temperature: Float > 0. The higher, the more the teacher's small probabilities count. Default: 2.0.
        weight: Float in [0, 1], of the teacher. Default: 0.7.
        name, reduction, dtype: as for any Keras loss.

    Call arguments:
        y_true: `distillation_targets(labels, teacher_logits)`, `(batch, 2, classes)`.
        y_pred: logits `(batch, classes)`; with `PerTimestepLoss(DistillationLoss())` those of every timestep.

    Raises:
        ValueError: if an argument lies outside its range, or `y_true` has other shapes.

    Example:

    >>> targets = distillation_targets(labels, teacher.predict(images))
    >>> model.compile("adam", DistillationLoss())
    >>> model.fit(images, targets)

    Reference: [Hinton et al., 2015](https://arxiv.org/abs/1503.02531).
    """

    def __init__(self, temperature: float = 2.0, weight: float = 0.7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < temperature < float("inf"):
            raise ValueError(f"`temperature` must be positive and finite. Received: temperature={temperature}")
        if not 0 <= weight <= 1:
            raise ValueError(f"`weight` must be in [0, 1]. Received: weight={weight}")
        self.temperature, self.weight = temperature, weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        expected = (2, y_pred.shape[-1])
        if tuple(y_true.shape[-2:]) != expected:
            raise ValueError(
                f"Targets of DistillationLoss must end in {expected}: distillation_targets(labels, teacher_logits) "
                f"makes them. Received: {tuple(y_true.shape)}"
            )
        teacher, student = y_true[..., TEACHER, :] / self.temperature, y_pred / self.temperature
        apart = ops.log_softmax(teacher) - ops.log_softmax(student)
        distance = ops.sum(ops.softmax(teacher) * apart, axis=-1)
        label = -ops.sum(y_true[..., LABEL, :] * ops.log_softmax(y_pred), axis=-1)
        return (1 - self.weight) * label + self.weight * self.temperature**2 * distance

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature, "weight": self.weight}
