"""Layers that make, use and remove the time axis."""

from __future__ import annotations

import operator
from typing import Any

import keras
from keras import ops

from ..registration import PACKAGE
from .misplaced import warn_of_image


@keras.saving.register_keras_serializable(package=PACKAGE)
class DirectEncoding(keras.layers.Layer):
    """Repeat a static input at every timestep: `(batch, *features)` to `(batch, timesteps, *features)`.

    Args:
        timesteps: Integer >= 1.

    Raises:
        ValueError: if timesteps is not an integer of at least 1.
    """

    def __init__(self, timesteps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.timesteps = checked_timesteps(timesteps)

    def call(self, inputs: Any) -> Any:
        return ops.tile(ops.expand_dims(inputs, 1), [1, self.timesteps] + [1] * (len(inputs.shape) - 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.timesteps, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "timesteps": self.timesteps}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, timesteps={self.timesteps}, built={self.built}>"


@keras.saving.register_keras_serializable(package=PACKAGE)
class PerTimestep(keras.layers.Wrapper):
    """Apply a layer or model to every timestep at once, by folding time into the batch.

    `(batch, timesteps, *features)` goes through the layer as `(batch * timesteps, *features)`, so that batch
    normalization sees batch and time together and a convolution runs once. Batch and timesteps may be unknown.
    A mask, `(batch, timesteps)`, is passed on; a BatchNormalization leaves masked timesteps out of its statistics.

    Args:
        layer: a Keras layer or model with one input and one output.

    Raises:
        ValueError: if the input has no feature axis, or too few axes for the layer.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) < 3:
            raise ValueError(
                f"PerTimestep takes inputs of shape (batch, timesteps, *features) with at least one feature axis. "
                f"Received: shape {tuple(input_shape)}"
            )
        self._check_rank(input_shape)
        super().build(_folded_shape(input_shape))

    def _check_rank(self, input_shape: tuple[int | None, ...]) -> None:
        """Raise a ValueError if what is left of the input without its time axis is too little for the layer."""
        needed = [spec.ndim or spec.min_ndim for spec in keras.tree.flatten(self.layer.input_spec) if spec is not None]
        if needed and needed[0] is not None and len(input_shape) == needed[0]:
            raise ValueError(
                f"PerTimestep takes inputs of shape (batch, timesteps, *features), and {type(self.layer).__name__} "
                f"{self.layer.name!r} needs {needed[0] - 1} axes of features. Received: shape {tuple(input_shape)}, "
                "without a time axis. Put DirectEncoding(timesteps) in front, or the layer alone, without PerTimestep."
            )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        batch, timesteps, *features = ops.shape(inputs)
        folded = ops.reshape(inputs, (-1, *features))
        arguments = {}
        if mask is not None and isinstance(self.layer, keras.layers.BatchNormalization):
            mask = ops.reshape(mask, (-1, *[1] * (len(features) - 1)))
            arguments["mask"] = ops.broadcast_to(mask, ops.shape(folded)[:-1])
        # Keras hands `training` on to layers called inside a layer.
        outputs = self.layer(folded, **arguments)
        leading = (batch, -1) if inputs.shape[1] is None else (-1, timesteps)
        return ops.reshape(outputs, (*leading, *ops.shape(outputs)[1:]))

    def compute_output_spec(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        folded = keras.KerasTensor(_folded_shape(inputs.shape), dtype=inputs.dtype)
        outputs = self.layer.compute_output_spec(folded)
        return keras.KerasTensor((*inputs.shape[:2], *outputs.shape[1:]), dtype=outputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self.compute_output_spec(keras.KerasTensor(input_shape, dtype=self.compute_dtype)).shape


def _folded_shape(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    batch, timesteps, *features = shape
    return (None if None in (batch, timesteps) else batch * timesteps, *features)


class OverTime(keras.layers.Layer):
    """What TimeAverage, TimeMax and LastTimestep share: `(batch, timesteps, *features)` to `(batch, *features)`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None

    def compute_output_spec(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        warn_of_image(self, inputs)
        return super().compute_output_spec(inputs, *args, **kwargs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], *input_shape[2:])


@keras.saving.register_keras_serializable(package=PACKAGE)
class TimeAverage(OverTime):
    """Mean over timesteps: `(batch, timesteps, *features)` to `(batch, *features)`.

    Where a mask, `(batch, timesteps)`, comes along, the mean is over the timesteps that are not masked
    (0 where all are).
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return ops.mean(inputs, axis=1)
        mask = _over_features(mask, inputs)
        count = ops.maximum(ops.sum(ops.cast(mask, inputs.dtype), axis=1), 1)
        return ops.sum(ops.where(mask, inputs, ops.zeros_like(inputs)), axis=1) / count


@keras.saving.register_keras_serializable(package=PACKAGE)
class TimeMax(OverTime):
    """Maximum over timesteps, as `ops.max(x, axis=1)`: `(batch, timesteps, *features)` to `(batch, *features)`.

    Where a mask, `(batch, timesteps)`, comes along, it is that of the timesteps that are not masked (0 where all are).
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return ops.max(inputs, axis=1)
        mask = _over_features(mask, inputs)
        highest = ops.max(ops.where(mask, inputs, ops.full_like(inputs, -float("inf"))), axis=1)
        return ops.where(ops.any(mask, axis=1), highest, ops.zeros_like(highest))


@keras.saving.register_keras_serializable(package=PACKAGE)
class LastTimestep(OverTime):
    """The last timestep, as `x[:, -1]`: `(batch, timesteps, *features)` to `(batch, *features)`.

    Where a mask, `(batch, timesteps)`, comes along, it is the last one that is not masked (0 where all are).
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return inputs[:, -1]
        later = ops.flip(ops.cumsum(ops.flip(ops.cast(mask, "int32"), axis=1), axis=1), axis=1)
        last = _over_features(ops.logical_and(mask, later == 1), inputs)
        return ops.sum(ops.where(last, inputs, ops.zeros_like(inputs)), axis=1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class RecentTimesteps(keras.layers.Layer):
    """The last timesteps one below the other: `(batch, time, rows, ..., channels)`, `timesteps` times as many rows.

        output[t] = rows of x[t - timesteps + 1], ..., x[t - 1], x[t]; zeros for what is before the first timestep

    A convolution over these rows, in PerTimestep, is a causal one over time. Exported in the step form it takes one
    timestep a call: the file keeps those before (docs/streaming.md).

    Args:
        timesteps: Integer >= 1. How many, the present one among them.

    Raises:
        ValueError: if timesteps is not an integer of at least 1, or the input has no rows: fewer than two feature axes.

    Example:

    >>> RecentTimesteps(2)(np.array([[[[1.0]], [[2.0]], [[3.0]]]], "float32")).numpy()[0, :, :, 0].tolist()
    [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]
    """

    def __init__(self, timesteps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.timesteps = checked_timesteps(timesteps)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) < 4 or input_shape[2] is None:
            raise ValueError(
                "RecentTimesteps takes sequences of a known number of rows, (batch, timesteps, rows, ..., channels). "
                f"Received: shape {tuple(input_shape)}. Put PerTimestep(Reshape((1, 1, channels))) in front."
            )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        before = self.timesteps - 1
        padded = ops.pad(inputs, [[0, 0], [before, 0], *[[0, 0]] * (len(inputs.shape) - 2)])
        return ops.concatenate([padded[:, t : t - before or None] for t in range(self.timesteps)], axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, timesteps, rows, *others = input_shape
        return (batch, timesteps, self.timesteps * rows, *others)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "timesteps": self.timesteps}


def checked_timesteps(timesteps: Any) -> int:
    """As an integer. Raises ValueError unless it is one of at least 1."""
    if not hasattr(timesteps, "__index__") or isinstance(timesteps, bool) or timesteps < 1:
        raise ValueError(f"`timesteps` must be an integer of at least 1. Received: timesteps={timesteps!r}")
    return operator.index(timesteps)


def _over_features(mask: Any, inputs: Any) -> Any:
    """A mask, `(batch, timesteps)`, with an axis of size 1 for every feature axis."""
    return ops.reshape(mask, (*ops.shape(mask)[:2], *[1] * (len(inputs.shape) - 2)))
