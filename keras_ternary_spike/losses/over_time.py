"""Losses on the logits of every timestep, and a metric of their mean."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..registration import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class PerTimestepLoss(keras.losses.Loss):
    """A loss on the logits of every timestep, averaged over time.

        loss = mean over t of loss(targets, logits[t])

    A network trained on the mean of its logits may be right at the last timestep and say nothing before. With a loss at
    each it is right early, which is what stops a `StepRunner` early. The targets are those of a sample, the same at
    every timestep; where each timestep has its own, Keras's losses do. The model ends without `TimeAverage`, whose
    place is in the model that is shipped: `keras.Sequential([*model.layers, TimeAverage()])`.

    Args:
        loss: a `keras.losses.Loss`. Default: `SparseCategoricalCrossentropy(from_logits=True)`.
        name, reduction, dtype: as for any Keras loss.

    Call arguments:
        y_true: `(batch, *target shape)`, without a time axis.
        y_pred: `(batch, timesteps, *features)`. Its mask, `(batch, timesteps)`, and weights of samples, `(batch,)`, or
            of timesteps, `(batch, timesteps)`, count as in Keras.

    With `reduction=None` it returns `(batch, timesteps)`.

    Raises:
        ValueError: if `loss` is no `Loss`, or `y_pred` has no time axis.

    Example:

    >>> model.compile("adam", PerTimestepLoss(), metrics=[MetricOfMean(keras.metrics.SparseCategoricalAccuracy())])
    """

    def __init__(self, loss: keras.losses.Loss | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if loss is None else loss
        if not isinstance(loss, keras.losses.Loss):
            raise ValueError(
                "`loss` must be an object of a keras.losses.Loss, such as "
                f"SparseCategoricalCrossentropy(from_logits=True). Received: loss={loss!r}"
            )
        self.loss = loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if sample_weight is not None and len(ops.shape(sample_weight)) == 1:
            sample_weight = ops.expand_dims(sample_weight, 1)  # of a sample: of each of its timesteps
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if len(y_pred.shape) < 3:
            raise ValueError(
                f"{type(self).__name__} takes logits of every timestep, (batch, timesteps, classes): let the model end "
                f"without TimeAverage. Received: y_pred of shape {tuple(y_pred.shape)}"
            )
        return self.per_timestep(y_true, y_pred)

    def per_timestep(self, y_true: Any, y_pred: Any) -> Any:
        """`(batch, timesteps)`."""
        values = self.loss.call(repeated(y_true, ops.shape(y_pred)[1]), y_pred)
        return ops.mean(ops.reshape(values, (*ops.shape(y_pred)[:2], -1)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PerTimestepLoss:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


@keras.saving.register_keras_serializable(package=PACKAGE)
class TemporalEfficientTraining(PerTimestepLoss):
    """TET: a loss on the logits of every timestep, and one that keeps them near a target.

        loss = mean over t of (1 - strength) * loss(targets, logits[t]) + strength * mean((logits[t] - target)^2)

    Args:
        loss: as in `PerTimestepLoss`.
        strength: Float in [0, 1], lambda in the paper. Default: 0.001.
        target: Float, what logits are pulled towards: the threshold in the paper, whose code takes 1. Default: 1.0.
        name, reduction, dtype: as for any Keras loss.

    Raises:
        ValueError: as `PerTimestepLoss`, or if `strength` lies outside its range.

    Reference: [Deng et al., 2022](https://openreview.net/forum?id=_XNtisL32jv).
    """

    def __init__(
        self, loss: keras.losses.Loss | None = None, strength: float = 1e-3, target: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(loss, **kwargs)
        if not 0 <= strength <= 1:
            raise ValueError(f"`strength` must be in [0, 1]. Received: strength={strength}")
        self.strength, self.target = strength, target

    def per_timestep(self, y_true: Any, y_pred: Any) -> Any:
        distance = ops.square(y_pred - self.target)
        distance = ops.mean(ops.reshape(distance, (*ops.shape(y_pred)[:2], -1)), axis=-1)
        return (1 - self.strength) * super().per_timestep(y_true, y_pred) + self.strength * distance

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "strength": self.strength, "target": self.target}


@keras.saving.register_keras_serializable(package=PACKAGE)
class EarlyExitLoss(PerTimestepLoss):
    """A loss on what a `StepRunner` reads after every timestep, so that its confidence means something.

        scores[t] = sum of logits[s], s <= t, / timesteps        loss = mean over t of loss(targets, scores[t])

    `StepRunner.run(frames, confidence=0.9)` stops at the softmax of these scores. They grow with t, so that certain
    logits are needed to stop early, and the last are the mean that is shipped.

    Args:
        loss, name, reduction, dtype: as in `PerTimestepLoss`.
    """

    def per_timestep(self, y_true: Any, y_pred: Any) -> Any:
        timesteps = ops.cast(ops.shape(y_pred)[1], y_pred.dtype)
        return super().per_timestep(y_true, ops.cumsum(y_pred, axis=1) / timesteps)


@keras.saving.register_keras_serializable(package=PACKAGE)
class MetricOfMean(keras.metrics.Metric):
    """A metric of the mean of logits over time, beside a loss on every timestep.

    Args:
        metric: a `keras.metrics.Metric`, such as `SparseCategoricalAccuracy()`.
        name, dtype: as for any Keras metric. Default: the metric's.

    Call arguments:
        y_true: as `metric` takes it.
        y_pred: `(batch, timesteps, *features)`.
        sample_weight: `(batch,)`, or None.

    Raises:
        ValueError: if `metric` is no `Metric`.
    """

    def __init__(self, metric: keras.metrics.Metric, name: str | None = None, dtype: Any = None) -> None:
        if not isinstance(metric, keras.metrics.Metric):
            raise ValueError(
                "`metric` must be an object of a keras.metrics.Metric, such as SparseCategoricalAccuracy(). "
                f"Received: metric={metric!r}"
            )
        super().__init__(name=name or metric.name, dtype=dtype or metric.dtype)
        self.metric = metric

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.metric.update_state(y_true, ops.mean(y_pred, axis=1), sample_weight=sample_weight)

    def result(self) -> Any:
        return self.metric.result()

    def reset_state(self) -> None:
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "metric": keras.saving.serialize_keras_object(self.metric)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricOfMean:
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})


def repeated(values: Any, timesteps: Any) -> Any:
    """`(batch, *shape)` as `(batch, timesteps, *shape)`."""
    return ops.repeat(ops.expand_dims(values, 1), timesteps, axis=1)
