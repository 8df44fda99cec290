"""Batch normalization for spiking layers: over `(batch, timesteps, *features)`, statistics over batch and time."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..neuron.sequence import THRESHOLD
from ..registration import PACKAGE
from .batch_normalization import MOMENTUM, BatchNormalization

EPSILON = 1e-3


class SequenceNormalization(keras.layers.Layer):
    """What both normalizations share: (x - mean) / sqrt(variance + epsilon) per channel, the last axis."""

    def __init__(self, momentum: float = MOMENTUM, epsilon: float = EPSILON, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.supports_masking = True
        self.normalization = BatchNormalization(
            momentum=self.momentum,
            epsilon=self.epsilon,
            center=False,
            scale=False,
            dtype=self.dtype_policy,
            name="normalization",
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) < 3:
            raise ValueError(
                f"{type(self).__name__} takes sequences of shape (batch, timesteps, *features) with at least one "
                f"feature axis. Received: shape {tuple(input_shape)}. Do not wrap it in PerTimestep."
            )
        self.normalization.build(input_shape)
        channels = input_shape[-1:]
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros")

    def normalize(self, inputs: Any, training: bool | None, mask: Any) -> Any:
        """The inputs with mean 0 and variance 1 per channel, masked timesteps left out of the statistics."""
        if mask is not None:
            shape = ops.shape(inputs)[:-1]
            mask = ops.broadcast_to(ops.reshape(mask, (*shape[:2], *[1] * (len(shape) - 2))), shape)
        return self.normalization(inputs, training=training, mask=mask)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ThresholdDependentBatchNormalization(SequenceNormalization):
    """tdBN: batch normalization to the scale of the threshold, so that currents start where neurons fire.

        normal = alpha * threshold * (x - mean) / sqrt(variance + epsilon)
        output = gamma * normal + beta

    Mean and variance per channel (last axis) over batch, timesteps and pixels; moving averages in inference. The
    exporter folds it into the kernel in front, as any batch normalization. Reference:
    [Zheng et al., 2021](https://arxiv.org/abs/2011.05280)

    Args:
        threshold: Float > 0, that of the neurons behind, in units of the membrane. Default: 0.5.
        alpha: Float > 0. 1 in a chain; 1 / sqrt(n) where n branches are added. Default: 1.0.
        momentum: Float in [0, 1], of the moving averages. Default: 0.9; Keras's 0.99 lags in short training.
        epsilon: Float > 0, added to the variance. Default: 0.001.

    Call arguments:
        inputs: `(batch, timesteps, *features)`; so is the output.
        training: whether statistics are the batch's. mask: Boolean, `(batch, timesteps)`.

    Raises:
        ValueError: threshold or alpha not positive, inputs without a feature axis.
    """

    def __init__(self, threshold: float = THRESHOLD, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in {"threshold": threshold, "alpha": alpha}.items():
            if not 0 < value < float("inf"):
                raise ValueError(f"`{name}` must be positive and finite. Received: {name}={value}")
        self.threshold = float(threshold)
        self.alpha = float(alpha)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return self.alpha * self.threshold * self.gamma * self.normalize(inputs, training, mask) + self.beta

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold, "alpha": self.alpha}


@keras.saving.register_keras_serializable(package=PACKAGE)
class TemporalEffectiveBatchNormalization(SequenceNormalization):
    """TEBN: batch normalization with a learned factor for every timestep.

        output[t] = factors[t] * (gamma * (x[t] - mean) / sqrt(variance + epsilon) + beta)

    Mean and variance per channel (last axis) over batch, timesteps and pixels; moving averages in inference. The
    exporter gives the kernel in front one version per timestep: exact, at `timesteps` times its size. Reference:
    [Duan et al., 2022](https://openreview.net/forum?id=fLIgyyQiJqz)

    Args:
        momentum: Float in [0, 1], of the moving averages. Default: 0.9; Keras's 0.99 lags in short training.
        epsilon: Float > 0, added to the variance. Default: 0.001.

    Call arguments:
        inputs: `(batch, timesteps, *features)` with a known number of timesteps; so is the output.
        training: whether statistics are the batch's. mask: Boolean, `(batch, timesteps)`.

    Raises:
        ValueError: unknown number of timesteps, inputs without a feature axis.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.factors = self.add_weight(name="factors", shape=(known_timesteps(self, input_shape),), initializer="ones")

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        normal = self.gamma * self.normalize(inputs, training, mask) + self.beta
        return along_time(self.factors, normal) * normal


@keras.saving.register_keras_serializable(package=PACKAGE)
class TimestepAffine(keras.layers.Layer):
    """A factor for every timestep and an offset for every timestep and channel: what folding leaves of TEBN.

        output[t] = factors[t] * x[t] + offsets[t]

    Weights: `factors`, `(timesteps,)`, initially 1; `offsets`, `(timesteps, channels)`, initially 0.

    Call arguments:
        inputs: `(batch, timesteps, *features)` with a known number of timesteps; so is the output.

    Raises:
        ValueError: unknown number of timesteps, inputs without a feature axis.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        timesteps = known_timesteps(self, input_shape)
        self.factors = self.add_weight(name="factors", shape=(timesteps,), initializer="ones")
        self.offsets = self.add_weight(name="offsets", shape=(timesteps, input_shape[-1]), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        return along_time(self.factors, inputs) * inputs + along_time(self.offsets, inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)


def known_timesteps(layer: keras.layers.Layer, shape: tuple[int | None, ...]) -> int:
    """The length of the time axis.

    Raises:
        ValueError: if it is not known, or there is no feature axis.
    """
    if len(shape) < 3 or shape[1] is None:
        raise ValueError(
            f"{type(layer).__name__} has a weight per timestep: it takes (batch, timesteps, *features) with a known "
            f"number of timesteps. Received: shape {tuple(shape)}. Build the model on keras.Input((timesteps, ...))."
        )
    return shape[1]


def along_time(values: Any, sequences: Any) -> Any:
    """`(timesteps,)` or `(timesteps, channels)`, shaped to broadcast against `(batch, timesteps, *features)`."""
    channels = tuple(values.shape[1:]) or (1,)
    between = [1] * (len(sequences.shape) - 3)
    return ops.reshape(values, (1, values.shape[0], *between, *channels))
