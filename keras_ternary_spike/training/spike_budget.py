"""Silence on a budget: a penalty on spikes whose weight follows a target."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from ..layers.lif import LIF
from ..layers.spike_regularizers import Activity, SpikeRegularizer
from .instructions import CORES
from .quantities import quantity, spiking_layers

TOLERANCE = 0.05  # of the budget, within which it counts as reached
FIRST_WEIGHT = 0.2
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-4, 10.0  # beyond, Adam follows the penalty alone already
# The weight answers to the excess at once, and its base follows it over a training: without the first they oscillate.
PROPORTIONAL = 2.0
INTEGRAL = 20.0  # of a whole training with the largest excess
LARGEST_EXCESS = 1.0  # of the logarithm of share / target
SMOOTHING = 0.02  # of a training: over how long the share is smoothed
FEWEST_BATCHES = 3
SMALLEST_SHARE = 1e-9
UNKNOWN_STEPS = 100  # an epoch, where Keras does not know their number before the first one is over


class SpikeBudget(keras.callbacks.Callback):
    """Trains a model to a budget of additions, spikes or instructions: reached by the end, or it says that it was not.

        loss   = the model's loss + weight * sum over layers of cost * mean |level|       (see `Gauge`)
        share  = sum over layers of cost * mean firing rate
        excess = log(share / target) within [-1, 1]
        base   = base * exp(INTEGRAL * excess / batches)     after every batch of the training
        weight = base * exp(PROPORTIONAL * excess)

    `cost` is what a layer's spikes cost downstream: its part of the additions that all spikes together would ask for
    (`dense_additions`), of the neurons, or of the instructions that spikes add to those of a silent network
    (`training/instructions.py`); the costs add up to 1. The target falls geometrically from the share that
    is found after the warm-up to the budget, and stays there: dual ascent, with annealing. A budget may be reached
    from above only: the weight does not make a silent network fire.

    History and TensorBoard, of callbacks behind it, get `additions` (or `spikes`, `instructions`), the same with
    `_target` and `_weight`. A second `fit` goes on with the weight that the first one has left; with `initial_epoch`
    also at its place in the annealing. While it trains, the layers have a regularizer that is not saved with them.

    Args:
        additions: Float in (0, 1]. Share of the additions that the network would make if every neuron fired at every
            timestep. Give one of this, `spikes` and `instructions`.
        spikes: Float in (0, 1]. Mean firing rate over all neurons.
        instructions: Float > 0. Of one sample, by the C of `export_c` on `core`: an estimate, within some 10 %.
        core: "cortex-m3", "cortex-m4" or "cortex-m7", with `instructions`.
        warm_up: Float in [0, 1). Share of the training before the penalty begins. Default: 0.1.
        annealed: Float in (warm_up, 1]. Share of the training after which the target is the budget. Default: 0.6.
        weight: Float > 0. First weight of the penalty. Default: 0.2.

    Attributes:
        reached: whether the share of the last epoch was within 5 % of the budget, or below it; None before.
        share, weight: the last ones. instructions: by the last share, where the budget is of them.

    Raises:
        ValueError: budgets, warm_up or annealed out of range; several budgets or none, a core that is not known; in
            training, a model without spiking layers, or of a kind whose additions cannot be counted, one that costs
            more than the budget if nothing fires, or the JAX backend.

    Example:

    >>> history = model.fit(x, y, callbacks=[SpikeBudget(additions=0.15)])  # doctest: +SKIP
    """

    def __init__(
        self,
        additions: float | None = None,
        *,
        spikes: float | None = None,
        instructions: float | None = None,
        core: str | None = None,
        warm_up: float = 0.1,
        annealed: float = 0.6,
        weight: float = FIRST_WEIGHT,
    ) -> None:
        super().__init__()
        self.kind, self.budget = _budget(additions=additions, spikes=spikes, instructions=instructions)
        self.core = _core(self.kind, core)
        if not 0 <= warm_up < annealed <= 1:
            raise ValueError(
                "Of a training, `warm_up` is the share before the penalty and `annealed` the share after which the "
                f"target is the budget: 0 <= warm_up < annealed <= 1. Received: warm_up={warm_up}, annealed={annealed}"
            )
        if not 0 < weight < math.inf:
            raise ValueError(f"`weight` must be positive and finite. Received: weight={weight}")
        self.warm_up, self.annealed, self.weight, self._base = warm_up, annealed, float(weight), float(weight)
        self.share, self.reached = math.nan, None
        self._start: float | None = None  # the share from which the target falls
        self._gauges: dict[LIF, Gauge] = {}
        self._epoch, self._seen, self._steps = 0, [], 0  # the shares seen in this epoch, and how many an epoch has

    def set_model(self, model: keras.Model) -> None:
        """Before Keras compiles the function that trains: with the penalty in it."""
        super().set_model(model)
        if keras.backend.backend() == "jax":
            raise ValueError(
                "SpikeBudget needs a backend whose layers may write what they count while they train. Received: the "
                "JAX backend. Use TensorFlow or PyTorch, or a fixed `spike_regularizer`."
            )
        layers = spiking_layers(model)
        self._quantity = quantity(model, self.kind, self.core)
        self._budget = self._quantity.share(self.budget)
        if self._budget <= 0:
            raise ValueError(
                f"`{self.kind}` must exceed what the network costs if nothing fires, {self._quantity.silent:,.0f} on a "
                f"{self.core}. Received: {self.kind}={self.budget:g}. Use fewer channels or larger strides."
            )
        self._gauges = {layer: _gauge(model, self._quantity.costs[layer.name]) for layer in layers}

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        for layer, gauge in self._gauges.items():
            layer.spike_regularizers = (*layer.spike_regularizers, gauge)
        self.model.make_train_function(force=True)

        self._steps = self._steps or self.params.get("steps") or 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._epoch, self._seen = epoch, []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        share = sum(gauge.cost * float(ops.convert_to_numpy(gauge.rate)) for gauge in self._gauges.values())
        self._seen.append(share)
        window = max(FEWEST_BATCHES, SMOOTHING * self._batches)
        self.share = share if math.isnan(self.share) else self.share + (share - self.share) / window
        if self._progress() < self.warm_up:
            return
        self._start = self._start or max(self.share, self._budget)
        self._follow()
        for gauge in self._gauges.values():
            gauge.weight.assign(self.weight)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._steps = len(self._seen)
        if logs is not None and self._seen:
            logs.update(
                {
                    self.kind: self._quantity.of(sum(self._seen) / len(self._seen)),
                    f"{self.kind}_target": self.target,
                    f"{self.kind}_weight": self.weight if self._start else 0.0,
                }
            )

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        for layer, gauge in self._gauges.items():
            layer.spike_regularizers = tuple(
                regularizer for regularizer in layer.spike_regularizers if regularizer is not gauge
            )
        self.model.make_train_function(force=True)
        self.model.make_test_function(force=True)
        found = self._quantity.of(self.share)
        self.reached = found <= (1 + TOLERANCE) * self.budget
        if not self.reached:
            warnings.warn(
                f"The budget of {self.budget:.3g} for {self.kind} was not reached: {found:.3g}. Train longer, end "
                "the annealing earlier (`annealed`), train thresholds too, or raise the budget.",
                stacklevel=2,
            )

    @property
    def instructions(self) -> float:
        """By the last share."""
        return self._quantity.of(self.share)

    @property
    def target(self) -> float:
        """What additions, spikes or instructions are to be now."""
        return self._quantity.of(self._target)

    @property
    def _target(self) -> float:
        if self._start is None:
            return self._budget
        passed = (self._progress() - self.warm_up) / (self.annealed - self.warm_up)
        return self._start * (self._budget / self._start) ** min(max(passed, 0.0), 1.0)

    def _progress(self) -> float:
        """Of the whole training, in [0, 1]."""
        within = len(self._seen) / self._steps if self._steps else 0.0
        return (self._epoch + min(within, 1.0)) / self.params["epochs"]

    @property
    def _batches(self) -> int:
        return (self._steps or UNKNOWN_STEPS) * self.params["epochs"]

    def _follow(self) -> None:
        """One step of the dual ascent."""
        excess = math.log(max(self.share, SMALLEST_SHARE) / self._target)
        excess = max(-LARGEST_EXCESS, min(LARGEST_EXCESS, excess))
        self._base = _within(self._base * math.exp(INTEGRAL * excess / self._batches))
        self.weight = _within(self._base * math.exp(PROPORTIONAL * excess))


def _within(weight: float) -> float:
    return max(SMALLEST_WEIGHT, min(LARGEST_WEIGHT, weight))


@dataclass(frozen=True, kw_only=True, eq=False)
class Gauge(SpikeRegularizer):
    """weight * cost * mean |level|; it leaves the mean firing rate of every call in `rate`.

    Its gradient is the surrogate's: it reaches membranes around the thresholds, silent ones among them. Reaching those
    far above as well, or those alone that fired, costs accuracy at the same additions.
    """

    kept: ClassVar[bool] = False

    cost: float
    weight: keras.Variable
    rate: keras.Variable

    def __call__(self, activity: Activity) -> Any:
        fired = ops.cast(ops.stop_gradient(activity.spikes) != 0, activity.spikes.dtype)
        self.rate.assign(ops.cast(activity.mean(fired), "float32"))
        level = activity.mean(activity.fired)
        return ops.cast(self.weight.value * self.cost, level.dtype) * level


def _gauge(model: keras.Model, cost: float) -> Gauge:
    def variable(name: str) -> keras.Variable:
        return keras.Variable(0.0, trainable=False, dtype="float32", aggregation="mean", name=name)

    with _scope(model):
        return Gauge(cost=cost, weight=variable("weight"), rate=variable("rate"))


def _scope(model: keras.Model) -> contextlib.AbstractContextManager:
    """Where variables of a model that several devices train are made."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def _budget(**budgets: float | None) -> tuple[str, float]:
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        received = ", ".join(f"{name}={value}" for name, value in budgets.items())
        raise ValueError(
            f"A budget is one of `additions`, `spikes` and `instructions`. Received: {received}. "
            "Give one: SpikeBudget(additions=0.15)."
        )
    ((kind, budget),) = given.items()
    if kind == "instructions":
        if not 0 < budget < math.inf:
            raise ValueError(f"`instructions` of a sample must be positive and finite. Received: instructions={budget}")
    elif not 0 < budget <= 1:
        raise ValueError(
            f"`{kind}` is a share of what would be if every neuron fired: above 0, at most 1. Received: "
            f"{kind}={budget}. For 15 %, {kind}=0.15."
        )
    return kind, float(budget)


def _core(kind: str, core: str | None) -> str | None:
    if (kind == "instructions") != (core is not None) or (core is not None and core not in CORES):
        raise ValueError(
            f"`core` says whose `instructions` they are: one of {', '.join(CORES)}, and none for another budget. "
            f'Received: a budget of {kind}, core={core!r}. As in SpikeBudget(instructions=3e6, core="cortex-m4").'
        )
    return core
