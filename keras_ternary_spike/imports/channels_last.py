"""A Keras model built step by step out of layers that keep channels first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ..layers.batch_normalization import BatchNormalization
from ..layers.leaky_integrator import LeakyIntegrator
from ..layers.time_axis import DirectEncoding, PerTimestep, TimeAverage


@dataclass(frozen=True)
class Value:
    """A tensor of the Keras model, `(batch, timesteps, *features)`, and what it is elsewhere.

    shape: its features with channels first, (channels, height, width) or (features,).
    order: of flattened features, the place that each of them had there; None where they stand alike.
    sequence: whether the tensor still has timesteps: what reads them all at once ends a network.
    """

    tensor: Any
    shape: tuple[int, ...]
    order: np.ndarray | None = None
    sequence: bool = True

    def arranged(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
        """Numbers of the features, from their order there to that of the tensor."""
        return values if self.order is None else np.take(values, self.order, axis=axis)


def sequence_input(shape: Sequence[int], timesteps: int, *, static: bool) -> tuple[Any, Value]:
    """The model's input and the value behind it.

    Args:
        shape: (channels, height, width) or (features,).
        timesteps: Integer >= 1.
        static: whether the input is one sample, to be repeated at every timestep, and not a sequence.

    Raises:
        ValueError: if the shape has other axes, or timesteps is out of range.
    """
    shape = tuple(int(size) for size in shape)
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ValueError(
            "`input_shape` must be (channels, height, width) or (features,), without batch and timesteps. Received: "
            f"{shape}"
        )
    if timesteps < 1:
        raise ValueError(f"`timesteps` must be at least 1. Received: timesteps={timesteps}")
    features = (*shape[1:], shape[0])
    entry = keras.Input(features if static else (timesteps, *features), name="input")
    return entry, Value(DirectEncoding(timesteps)(entry) if static else entry, shape)


def model_of(entry: Any, value: Value, *, average: bool) -> keras.Model:
    """The finished model, its mean over time at the end if `average`.

    Raises:
        ValueError: if flattened features would come out in another order than there.
    """
    if value.order is not None:
        raise ValueError(
            "A network must not end in a Flatten of images: features would come out in another order. Received: the "
            f"shape {value.shape}. Put a Linear behind it, or end before it."
        )
    return keras.Model(entry, TimeAverage()(value.tensor) if average and value.sequence else value.tensor)


def convolution(
    value: Value,
    name: str,
    *,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
    groups: int,
) -> Value:
    """weight: (filters, channels / groups, height, width). padding: of each side, in pixels, or "same" or "valid"."""
    _check_images(value, name)
    tensor, padded = _padded(value, name, weight.shape[2:], strides, padding, dilation)
    layer = keras.layers.Conv2D(
        weight.shape[0],
        weight.shape[2:],
        strides=strides,
        padding=padded,
        dilation_rate=dilation,
        groups=groups,
        use_bias=bias is not None,
        name=name,
    )
    tensor = PerTimestep(layer)(tensor)
    layer.set_weights([weight.transpose(2, 3, 1, 0), *([] if bias is None else [bias])])
    return Value(tensor, _shape(tensor))


def linear(value: Value, name: str, *, weight: np.ndarray, bias: np.ndarray | None) -> Value:
    """weight: (units, features)."""
    if len(value.shape) != 1:
        raise ValueError(
            f"Layer {name!r} takes features, and {value.shape} arrives: put a Flatten in front of the Linear."
        )
    layer = keras.layers.Dense(len(weight), use_bias=bias is not None, name=name)
    tensor = PerTimestep(layer)(value.tensor)
    layer.set_weights([value.arranged(weight, axis=1).T, *([] if bias is None else [bias])])
    return Value(tensor, (len(weight),))


def normalization(
    value: Value, name: str, *, gamma: Any, beta: Any, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> Value:
    """Batch normalization with its moving statistics. gamma, beta: `(channels,)`, or None for ones and zeros."""
    layer = BatchNormalization(epsilon=epsilon, name=name)
    tensor = PerTimestep(layer)(value.tensor)
    gamma = np.ones_like(mean) if gamma is None else gamma
    beta = np.zeros_like(mean) if beta is None else beta
    layer.set_weights([value.arranged(numbers) for numbers in (gamma, beta, mean, variance)])
    return replace(value, tensor=tensor)


def integrator(value: Value, name: str, *, decay: Any, gain: Any) -> Value:
    """A membrane that never fires: decay * membrane + gain * current. Both one number, or `(channels,)`."""
    tensor = value.tensor
    if np.any(np.not_equal(gain, 1.0)):
        tensor = PerTimestep(keras.layers.Rescaling(np.asarray(gain).tolist(), name=f"{name}_gain"))(tensor)
    return replace(value, tensor=LeakyIntegrator(decay, name=name)(tensor))


def flatten(value: Value, name: str) -> Value:
    if len(value.shape) == 1:
        return value
    places = np.arange(np.prod(value.shape)).reshape(value.shape)
    tensor = PerTimestep(keras.layers.Flatten(name=name))(value.tensor)
    order = places.transpose(1, 2, 0).ravel()
    return Value(tensor, (len(order),), None if np.array_equal(order, np.arange(len(order))) else order)


def pooling(value: Value, name: str, kind: str, *, size: tuple[int, int], strides: tuple[int, int]) -> Value:
    """kind: "max", "average" or "sum"."""
    _check_images(value, name)
    layer = keras.layers.MaxPooling2D if kind == "max" else keras.layers.AveragePooling2D
    tensor = PerTimestep(layer(size, strides=strides, name=name))(value.tensor)
    if kind == "sum":
        tensor = PerTimestep(keras.layers.Rescaling(float(np.prod(size)), name=f"{name}_sum"))(tensor)
    return Value(tensor, _shape(tensor))


def padded(value: Value, name: str, pixels: int) -> Value:
    """Zeros around an image."""
    _check_images(value, name)
    tensor = PerTimestep(keras.layers.ZeroPadding2D(pixels, name=f"{name}_padding"))(value.tensor)
    return Value(tensor, _shape(tensor))


def global_average(value: Value, name: str) -> Value:
    _check_images(value, name)
    tensor = PerTimestep(keras.layers.GlobalAveragePooling2D(keepdims=True, name=name))(value.tensor)
    return Value(tensor, (value.shape[0], 1, 1))


def added(values: Sequence[Value], name: str) -> Value:
    first, *others = values
    if any(other.shape != first.shape or not _same_order(other, first) for other in others):
        raise ValueError(
            f"Values that are added at {name!r} must have the same shape. Received: {[value.shape for value in values]}"
        )
    return replace(first, tensor=keras.layers.Add(name=name)([value.tensor for value in values]))


def joined(values: Sequence[Value], name: str) -> Value:
    """Channels behind each other."""
    if any(value.order is not None for value in values):
        raise ValueError(f"Flattened images are not joined at {name!r}. Join them before the Flatten.")
    tensor = keras.layers.Concatenate(name=name)([value.tensor for value in values])
    return Value(tensor, _shape(tensor))


def per_channel(value: Value, numbers: Any, what: str, name: str) -> float | np.ndarray:
    """One number, or one for each channel, of a neuron's parameter in any shape that says so.

    Raises:
        ValueError: if it has other shapes, such as one number for each pixel.
    """
    numbers = np.asarray(numbers, np.float64)
    if numbers.size and np.all(numbers == numbers.ravel()[0]):
        return float(numbers.ravel()[0])
    channels = value.shape[0]
    flat = numbers.reshape(numbers.shape[0], -1) if numbers.ndim else numbers
    if numbers.ndim and len(flat) == channels and np.all(flat == flat[:, :1]):
        return value.arranged(flat[:, 0])
    raise ValueError(
        f"`{what}` of {name!r} must be one number, or one for each of its {channels} channels. Received: numbers of "
        f"shape {numbers.shape}"
    )


def _same_order(first: Value, second: Value) -> bool:
    if first.order is None or second.order is None:
        return first.order is second.order
    return np.array_equal(first.order, second.order)


def _check_images(value: Value, name: str) -> None:
    if len(value.shape) != 3:
        raise ValueError(f"Layer {name!r} takes images, (channels, height, width). Received: the shape {value.shape}")


def _shape(tensor: Any) -> tuple[int, ...]:
    *places, channels = tensor.shape[2:]
    return (channels, *places)


def _padded(
    value: Value,
    name: str,
    size: Sequence[int],
    strides: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
) -> tuple[Any, str]:
    """The tensor that a convolution reads, and its Keras padding, whose "same" is uneven where strides are above 1."""
    if padding in ("valid", (0, 0)):
        return value.tensor, "valid"
    reach = tuple(step * (side - 1) for step, side in zip(dilation, size, strict=True))
    if strides == (1, 1) and (padding == "same" or reach == tuple(2 * pixels for pixels in padding)):
        return value.tensor, "same"
    if padding == "same":
        raise ValueError(f'padding="same" of {name!r} must go with strides of 1. Received: strides={strides}')
    return PerTimestep(keras.layers.ZeroPadding2D(padding, name=f"{name}_padding"))(value.tensor), "valid"
