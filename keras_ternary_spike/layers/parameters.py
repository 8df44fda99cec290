"""Threshold and decay of a neuron: a number or one for each channel, fixed or trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, get_args

import keras
import numpy as np
from keras import ops

from ..decay import fractions, snap_decay
from ..messages import listed

Sharing = Literal["layer", "channel"]
SHARING = get_args(Sharing)
AmplitudeSharing = Literal["layer", "channel", "element"]
SMALLEST, LARGEST = (float(limit) for limit in (np.finfo("float32").tiny, np.finfo("float32").max))


@dataclass(frozen=True)
class Parameter:
    """What Threshold and Decay share: `value` is what is used where it is fixed, and the first one where trained.

    Args:
        value: Float, or a sequence of one for each channel.
        trainable: whether a weight stands for it.
        per: "layer" or "channel": who shares the weight. A sequence has one for each channel anyway.

    Raises:
        ValueError: if a value is out of range, or per is not known.
    """

    name: ClassVar[str]
    weight_name: ClassVar[str]

    value: float | tuple[float, ...]
    trainable: bool = False
    per: str = "layer"

    def __post_init__(self) -> None:
        if self.per not in SHARING:
            known, name = listed(SHARING), f"{self.name}_per"
            raise ValueError(f"`{name}` must be {known}. Received: {name}={self.per!r}")
        for value in self._values():
            self._check(value)
        several = np.ndim(self.value) == 1
        object.__setattr__(self, "value", self._values() if several else self._values()[0])

    def _values(self) -> tuple[float, ...]:
        if np.ndim(self.value) > 1 or np.size(self.value) == 0:
            raise ValueError(
                f"`{self.name}` must be a number, or a sequence of one for each channel. Received: {self.name} with "
                f"shape {np.shape(self.value)}"
            )
        return tuple(map(float, self.value)) if np.ndim(self.value) else (float(self.value),)

    def _check(self, value: float) -> None:
        raise NotImplementedError(f"{type(self).__name__} must implement `_check(value)`.")

    def to_weight(self, value: float) -> float:
        """The weight that stands for a value."""
        raise NotImplementedError(f"{type(self).__name__} must implement `to_weight(value)`.")

    def from_weight(self, weight: Any) -> Any:
        """The value, a tensor in its range whatever the weight is."""
        raise NotImplementedError(f"{type(self).__name__} must implement `from_weight(weight)`.")

    def add_weight(self, layer: keras.layers.Layer, channels: int | None) -> keras.Variable | None:
        """The weight, `()` or `(channels,)`, of a layer that is being built; None where the value is fixed.

        Raises:
            ValueError: if there is one for each channel, and their number is not known or another.
        """
        several = isinstance(self.value, tuple)
        if channels is None and (several or (self.trainable and self.per == "channel")):
            given = f"{len(self.value)} values" if several else f'{self.name}_per="channel"'
            raise ValueError(
                f"One `{self.name}` for each channel needs a fixed size of the last axis. Received: {given} at "
                f"{layer.name!r}, channels=None. Give the input its channels, or use one for the layer."
            )
        if several and channels != len(self.value):
            raise ValueError(
                f"`{self.name}` must be a number, or a sequence of one for each channel. Received: "
                f"{len(self.value)} values at {layer.name!r}, whose inputs have {channels} channels"
            )
        if not self.trainable:
            return None
        weight = np.vectorize(self.to_weight, otypes=[float])(self.value)
        shape = (channels,) if self.per == "channel" or several else ()
        # Rounded to half precision, a fraction would not be one any more.
        return layer.add_weight(
            name=self.weight_name,
            shape=shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(np.broadcast_to(weight, shape), dtype=dtype),
            autocast=False,
        )

    def number(self, weight: keras.Variable | None) -> Any:
        """A float, a tuple of one for each channel, or a tensor: what `lif_sequence` takes."""
        return self.fixed if weight is None else self.from_weight(weight.value)

    @property
    def fixed(self) -> float | tuple[float, ...]:
        """The value before training, as the neuron uses it."""
        return self.value


@dataclass(frozen=True)
class Threshold(Parameter):
    """Positive and finite. threshold = exp(weight) where it is trained.

    Reference for training it: [Rathi and Roy, 2020](https://arxiv.org/abs/2008.03658)
    """

    name = "threshold"
    weight_name = "log_threshold"

    def _check(self, value: float) -> None:
        if not (SMALLEST <= value <= LARGEST):
            raise ValueError(f"`threshold` must be positive and finite in float32. Received: threshold={value}")

    def to_weight(self, value: float) -> float:
        return math.log(value)

    def from_weight(self, weight: Any) -> Any:
        return ops.exp(weight)


@dataclass(frozen=True)
class Decay(Parameter):
    """In [0, 1]. decay = sigmoid(weight) where it is trained.

    Reference for training it: [Fang et al., 2021](https://arxiv.org/abs/2007.05785)

    Args:
        snap: whether the nearest fraction with an odd denominator of at most 63 is used in its place, as in an
            exported file. The gradient then passes straight through.
        even: whether its numerator is even too, as exported with reset="subtract".
    """

    name = "decay"
    weight_name = "logit_decay"

    snap: bool = False
    even: bool = False

    def __post_init__(self) -> None:
        values = self.value if isinstance(self.value, list | tuple) else [self.value]
        if self.trainable and any(isinstance(value, Fraction) for value in values):
            raise ValueError(
                f"A fraction is a fixed decay, and cannot be trained. Received: decay={self.value!r}, "
                "trainable_decay=True. Use a float with snap_decay=True, or trainable_decay=False."
            )
        super().__post_init__()
        if self.snap and (isinstance(self.value, tuple) or (self.trainable and self.per == "channel")):
            raise ValueError(
                "`snap_decay` needs one decay for the layer: a file puts those of channels over a denominator that "
                f'depends on all of them. Received: decay={self.value}, decay_per={self.per!r}. Use decay_per="layer".'
            )

    def _check(self, value: float) -> None:
        if not (0 <= value <= 1):
            raise ValueError(f"`decay` must lie in [0, 1]. Received: decay={value}")
        if self.trainable and value in (0, 1):
            raise ValueError(
                f"A decay that is trained must lie between 0 and 1, both excluded: sigmoid(weight) reaches neither. "
                f"Received: decay={value}, trainable_decay=True. Start at 0.25, or use trainable_decay=False."
            )

    def to_weight(self, value: float) -> float:
        return math.log(value / (1 - value))

    def from_weight(self, weight: Any) -> Any:
        decay = ops.sigmoid(weight)
        return snap_straight_through(decay, even=self.even) if self.snap else decay

    @property
    def fixed(self) -> float | tuple[float, ...]:
        return float(snap_decay(self.value, even=self.even)) if self.snap else self.value


def snap_straight_through(decay: Any, *, even: bool = False) -> Any:
    """A scalar tensor in [0, 1] as `snap_decay` has it; the gradient passes as if it were not moved.

    Of two fractions that are equally near (31/63 and 32/63 to 0.5) it may be the other one.

    Straight-through estimator: [Bengio et al., 2013](https://arxiv.org/abs/1308.3432)
    """
    candidates = ops.convert_to_tensor(np.array(fractions(even=even), float), dtype=decay.dtype)
    fixed = ops.stop_gradient(decay)
    nearest = ops.take(candidates, ops.argmin(ops.abs(fixed - candidates)))
    # decay - fixed is exactly 0, so that the sum is the fraction to the last bit.
    return ops.stop_gradient(nearest) + (decay - fixed)
