"""Surrogates: stand-ins for d spike / d membrane in training, as serialisable values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from ..registration import PACKAGE


@dataclass(frozen=True)
class Surrogate:
    """A bump of area 1 around each threshold, in place of the derivative of the firing function.

        distance              = (|membrane| - threshold) / threshold     (ternary neuron)
                              = (membrane - threshold) / threshold       (binary neuron)
        d spike / d membrane  = bump(distance) / threshold

    Calling the surrogate evaluates `bump`, elementwise, for any shape.

    Args:
        width: Float > 0, half-width or scale of the bump in units of the threshold. Default: 1.0.

    Raises:
        ValueError: if `width` is not a positive, finite number.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.width < math.inf):
            raise ValueError(f"`width` must be positive and finite. Received: width={self.width}")

    def __call__(self, distance: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must implement `__call__(distance)`.")

    def get_config(self) -> dict[str, float]:
        return {"width": float(self.width)}

    @classmethod
    def from_config(cls, config: dict[str, float]) -> Surrogate:
        return cls(**config)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Rectangular(Surrogate):
    """1 / (2 * width) where |distance| <= width, else 0.

    With width=1.0 the bumps at +threshold and -threshold join into the paper's rectangle:
    d spike / d membrane is exactly 1 / (2 * threshold) where |membrane| <= 2 * threshold, edges included,
    and 0 elsewhere. Arguments and errors are those of `Surrogate`. Reference: [Guo et al., 2024](https://arxiv.org/abs/2312.06372)
    """

    def __call__(self, distance: Any) -> Any:
        inside = ops.cast(ops.abs(distance) <= self.width, distance.dtype)
        return inside * (0.5 / self.width)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Triangular(Surrogate):
    """max(0, 1 - |distance| / width) / width.

    Arguments and errors are those of `Surrogate`.
    """

    def __call__(self, distance: Any) -> Any:
        return ops.relu(1.0 - ops.abs(distance) / self.width) / self.width


@keras.saving.register_keras_serializable(package=PACKAGE)
class ATan(Surrogate):
    """1 / (pi * width * (1 + (distance / width)^2)): the derivative of arctan(distance / width) / pi.

    Arguments and errors are those of `Surrogate`.
    """

    def __call__(self, distance: Any) -> Any:
        return 1.0 / (math.pi * self.width * (1.0 + ops.square(distance / self.width)))


@keras.saving.register_keras_serializable(package=PACKAGE)
class Sigmoid(Surrogate):
    """s * (1 - s) / width with s = sigmoid(distance / width): the density of the logistic distribution.

    Arguments and errors are those of `Surrogate`.
    """

    def __call__(self, distance: Any) -> Any:
        share = ops.sigmoid(distance / self.width)
        return share * (1.0 - share) / self.width


@keras.saving.register_keras_serializable(package=PACKAGE)
class FastSigmoid(Surrogate):
    """1 / (2 * width * (1 + |distance| / width)^2).

    Arguments and errors are those of `Surrogate`.
    """

    def __call__(self, distance: Any) -> Any:
        return 0.5 / (self.width * ops.square(1.0 + ops.abs(distance) / self.width))


SURROGATES = {
    "rectangular": Rectangular,
    "triangular": Triangular,
    "atan": ATan,
    "sigmoid": Sigmoid,
    "fast_sigmoid": FastSigmoid,
}


def get(identifier: Surrogate | str | dict | None) -> Surrogate:
    """Surrogate by value, by name, by config, or the default.

    Args:
        identifier: a `Surrogate`, one of the names in `SURROGATES`, a dict written by
            `keras.saving.serialize_keras_object`, or None for `Rectangular()`.

    Raises:
        ValueError: if nothing by that name is known.
    """
    if identifier is None:
        return Rectangular()
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, str) and identifier in SURROGATES:
        return SURROGATES[identifier]()
    if isinstance(identifier, Surrogate):
        return identifier
    names = ", ".join(repr(name) for name in SURROGATES)
    raise ValueError(
        f"`surrogate` must be one of {names}, or an instance such as Rectangular(width=1.0). "
        f"Received: surrogate={identifier!r}"
    )
