"""Losses on what neurons do: on their bare spikes and membranes, whatever their amplitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from ..messages import listed
from ..neuron import masking as masks
from ..registration import PACKAGE

RATES = ("layer", "neuron")


@dataclass(frozen=True)
class Activity:
    """What the neurons of a layer did, in tensors of shape `(batch, timesteps, *features)`, in their own time.

    Their time runs backwards in a layer that does, and has no masked timesteps: what counts of each sample stands at
    the front, and zeros behind it.

    spikes: unscaled. membranes: before the reset, in units of the membrane.
    fired: |spike|, with a gradient also where there is none: d fired / d membrane is the surrogate's, towards the
        nearest threshold, so that a loss can wake a silent neuron.
    mask: Boolean, `(batch, timesteps)`, which timesteps count, or None for all of them.
    """

    spikes: Any
    fired: Any
    membranes: Any
    mask: Any = None

    def mean(self, values: Any, axis: Any = None) -> Any:
        """The mean of `(batch, timesteps, *features)` over axes, all by default, of what counts; 0 of nothing."""
        if self.mask is None:
            return ops.mean(values, axis=axis)
        counted = masks.keep(ops.ones_like(values), self.mask)
        return ops.sum(masks.keep(values, self.mask), axis=axis) / ops.maximum(ops.sum(counted, axis=axis), 1.0)


def activity_of(spikes: Any, membranes: Any, *, signed: bool, mask: Any = None) -> Activity:
    """The `Activity` of spikes and membranes, those of `lif_membranes`.

    signed: whether there are negative thresholds.
    """
    if mask is not None:
        spikes, membranes = masks.keep(spikes, mask), masks.keep(membranes, mask)
    towards = ops.stop_gradient(ops.sign(membranes)) if signed else 1.0
    return Activity(spikes=spikes, fired=spikes * towards, membranes=membranes, mask=mask)


@dataclass(frozen=True, kw_only=True)
class SpikeRegularizer:
    """A loss on an `Activity`, for the argument `spike_regularizer` of the spiking layers.

    Calling it returns a scalar. A regularizer of your own implements `__call__(activity)`, and is registered with
    Keras.

    Args:
        strength: Float >= 0, factor of the loss. Default: 1.0.
    """

    kept: ClassVar[bool] = True  # whether it is saved with its layer

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"`strength` must be finite and at least 0. Received: strength={self.strength}")

    def __call__(self, activity: Activity) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must implement `__call__(activity)`.")

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SpikeRegularizer:
        return cls(**config)


@keras.saving.register_keras_serializable(package=PACKAGE)
@dataclass(frozen=True, kw_only=True)
class FiringRateTarget(SpikeRegularizer):
    """strength * (rate - target)^2, with rate the mean of |spike|.

    Args:
        strength: Float >= 0. Default: 1.0.
        target: Float in [0, 1].
        per: "layer" (one rate: some neurons may fire for others) or "neuron" (one for each, over batch and
            timesteps; the loss is their mean). Default: "layer".

    Raises:
        ValueError: strength or target out of range, unknown per.
    """

    target: float
    per: str = "layer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.target <= 1:
            raise ValueError(f"`target` must lie in [0, 1]. Received: target={self.target}")
        if self.per not in RATES:
            raise ValueError(f"`per` must be {listed(RATES)}. Received: per={self.per!r}")

    def __call__(self, activity: Activity) -> Any:
        rates = activity.mean(activity.fired, axis=None if self.per == "layer" else (0, 1))
        return self.strength * ops.mean(ops.square(rates - self.target))


@keras.saving.register_keras_serializable(package=PACKAGE)
@dataclass(frozen=True, kw_only=True)
class SynapticOperationBudget(SpikeRegularizer):
    """strength * max(0, operations / budget - 1)^2: no loss within the budget.

        operations = fan_out * sum of |spike| over timesteps and neurons, mean over the batch

    A synaptic operation is a spike that arrives at a synapse: one addition.

    Args:
        strength: Float >= 0. Default: 1.0.
        budget: Float > 0, operations for one sample.
        fan_out: Float > 0, synapses of one neuron: the units of a Dense layer behind it; of a convolution the height
            times width times filters of its kernel, divided by the product of its strides. Default: 1.0, so that the
            budget counts spikes.

    Raises:
        ValueError: strength, budget or fan_out out of range.
    """

    budget: float
    fan_out: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("budget", "fan_out"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must be positive and finite. Received: {name}={getattr(self, name)}")

    def __call__(self, activity: Activity) -> Any:
        spikes = ops.sum(activity.fired, axis=tuple(range(1, len(activity.fired.shape))))
        excess = ops.mean(spikes) * (self.fan_out / self.budget) - 1.0
        return self.strength * ops.square(ops.relu(excess))


@keras.saving.register_keras_serializable(package=PACKAGE)
@dataclass(frozen=True, kw_only=True)
class MembraneCentring(SpikeRegularizer):
    """strength * mean over neurons of (mean membrane over batch and timesteps)^2.

    A centred neuron fires about as often with either sign, which makes the most of three levels.

    Args:
        strength: Float >= 0. Default: 1.0.

    Raises:
        ValueError: strength out of range.
    """

    def __call__(self, activity: Activity) -> Any:
        return self.strength * ops.mean(ops.square(activity.mean(activity.membranes, axis=(0, 1))))


@keras.saving.register_keras_serializable(package=PACKAGE)
@dataclass(frozen=True, kw_only=True)
class TemporalMembranePotential(SpikeRegularizer):
    """strength * mean over t = 1, 2, ... of mean(membrane[t]^2) / t: early timesteps count most.

    TMPR of the complemented ternary neuron, as its released code has it, for one layer: there `strength` is
    lambda / (number of spiking layers), with lambda 0.05 for still images and 0.01 for events. Reference:
    [Zhang et al., 2026](https://arxiv.org/abs/2601.15598)

    Args:
        strength: Float >= 0. Default: 1.0.

    Raises:
        ValueError: strength out of range.
    """

    def __call__(self, activity: Activity) -> Any:
        squares = ops.square(activity.membranes)
        means = activity.mean(squares, axis=(0, *range(2, len(squares.shape))))
        times = ops.ones_like(means)
        counted = times if activity.mask is None else ops.cast(ops.any(activity.mask, axis=0), means.dtype)
        return self.strength * ops.sum(means / ops.cumsum(times)) / ops.maximum(ops.sum(counted), 1.0)


def get(identifier: Any) -> tuple[SpikeRegularizer, ...]:
    """Regularizers by value, by config, several of either in a sequence, or none for None.

    Raises:
        ValueError: for anything else.
    """
    if identifier is None:
        return ()
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, SpikeRegularizer):
        return (identifier,)
    if isinstance(identifier, Sequence) and not isinstance(identifier, str):
        return tuple(regularizer for item in identifier for regularizer in get(item))
    raise ValueError(
        "`spike_regularizer` must be a SpikeRegularizer such as FiringRateTarget(target=0.1), or a list of them. "
        f"Received: spike_regularizer={identifier!r}"
    )


def serialize(regularizers: tuple[SpikeRegularizer, ...]) -> list[dict[str, Any]] | None:
    """What `get` reads; None where there are none."""
    kept = [regularizer for regularizer in regularizers if regularizer.kept]
    return [keras.saving.serialize_keras_object(regularizer) for regularizer in kept] or None


def penalty(regularizers: tuple[SpikeRegularizer, ...], activity: Activity) -> Any:
    """The sum of their losses, a scalar."""
    return sum(regularizer(activity) for regularizer in regularizers)
