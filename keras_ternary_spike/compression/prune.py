"""Pruning as a callback: the kernels of a model in training get zeros, on a schedule, and keep them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from .kernels import Kernel, check_names, find_kernels
from .masks import channel_mask, magnitude_mask, pattern_mask

Pattern = tuple[int, int] | Literal["channel"] | None


class Prune(keras.callbacks.Callback):
    """Sets the smallest weights of kernels to exactly 0, on a schedule, and holds every 0 there is.

    Weights that are 0 when training begins stay 0: a model that was pruned, saved and loaded, or made quantization-
    aware, is trained on with a new `Prune`. A step is one batch; steps count on from one `fit` to the next.

    Args:
        schedule: `PolynomialDecay` or `ConstantSparsity` of this module, or another PruningSchedule of
            tensorflow-model-optimization: which share of the weights is 0 at which step. (It acts at every
            `frequency`-th step after `begin_step`: let that divide `end_step - begin_step`.) Default: None, only hold
            the zeros.
        pattern: None, any weights. (m, n), m zeros in every n weights along the input channels, whatever sparsity the
            schedule names. "channel", whole output channels. Default: None.
        layers: Names of layers with a kernel, at any depth. Default: None, all; of these are pruned those whose input
            channels (m, n) divides, and with "channel" all but the last, whose channels are the model's outputs.

    Raises:
        ValueError: pattern or layers malformed. In training: a layer that does not exist, whose input channels the
            pattern does not divide, or whose kernel is 0 altogether; a schedule that begins after the training.

    Example:
        >>> schedule = PolynomialDecay(0.0, 0.8, begin_step=0, end_step=2000)  # doctest: +SKIP
        >>> model.fit(x, y, epochs=5, callbacks=[Prune(schedule)])  # doctest: +SKIP
    """

    def __init__(
        self,
        schedule: Callable[[int], tuple[Any, Any]] | None = None,
        pattern: Pattern = None,
        layers: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if schedule is not None and not callable(schedule):
            raise ValueError(f"`schedule` must be a PruningSchedule or None. Received: schedule={schedule!r}")
        self.schedule, self.pattern, self.layers = schedule, check_pattern(pattern), check_names(layers)
        self.step, self._epoch_start, self._started = 0, 0, False
        self._kernels: list[Kernel] = []
        self._pruned: list[Kernel] = []  # those of `_kernels` that the pattern fits
        self._masks: list[np.ndarray] = []

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """By layer name: booleans of the kernel's shape, False where it is held at 0."""
        return {kernel.name: mask for kernel, mask in zip(self._kernels, self._masks, strict=True)}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._kernels = find_kernels(self.model, self.layers)
        self._pruned = fitting(self._kernels, self.pattern, named=self.layers is not None)
        self._masks = [nonzero(kernel) for kernel in self._kernels]
        check_start(self.schedule, self.step, self.params)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch_start = self.step

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._hold()
        done = self._epoch_start + batch + 1  # several steps, where Keras executes several at once
        for step in range(self.step, done):
            self._prune(step)
        self.step = done

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._hold()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._hold()
        if self.schedule is not None and not self._started:
            warnings.warn(f"Nothing was pruned: the schedule named none of the {self.step} steps.", stacklevel=2)

    def _prune(self, step: int) -> None:
        due, share = self.schedule(step) if self.schedule is not None else (False, 0.0)
        if not due:
            return
        self._started = True
        for index, kernel in enumerate(self._kernels):
            if kernel in self._pruned:
                self._masks[index] = self._masks[index] & new_mask(kernel, self.pattern, float(share))
        self._hold()

    def _hold(self) -> None:
        for kernel, mask in zip(self._kernels, self._masks, strict=True):
            if not mask.all():
                kernel.variable.assign(ops.where(mask, kernel.variable, 0))


def check_pattern(pattern: Pattern) -> Pattern:
    if pattern is None or pattern == "channel":
        return pattern
    pair = tuple(pattern) if isinstance(pattern, Sequence) and not isinstance(pattern, str) else ()
    if len(pair) == 2 and all(type(number) is int for number in pair) and 0 < pair[0] < pair[1]:
        return pair
    raise ValueError(
        '`pattern` must be None, "channel", or (m, n), m zeros of every n weights, 0 < m < n. '
        f"Received: pattern={pattern!r}"
    )


def fitting(kernels: list[Kernel], pattern: Pattern, *, named: bool) -> list[Kernel]:
    """The kernels to prune. Raises: ValueError where the pattern fits none, or not all of those that were named."""
    if pattern is None or pattern == "channel":
        return kernels if pattern is None or named else kernels[:-1]
    dividing = [kernel for kernel in kernels if kernel.reads is not None and kernel.reads % pattern[1] == 0]
    others = [f"{kernel.name!r} with {kernel.reads}" for kernel in kernels if kernel not in dividing]
    if not dividing or (named and others):
        raise ValueError(
            f"`pattern` {pattern} must divide the input channels that a kernel adds up into groups of {pattern[1]}. "
            f"Received: {', '.join(others)}. Leave those out of `layers`."
        )
    return dividing


def check_start(schedule: Any, step: int, params: dict[str, Any]) -> None:
    """Raises: ValueError if the schedule is known to begin after the training."""
    begin, steps = getattr(schedule, "begin_step", None), params.get("steps")
    if begin is None or steps is None:
        return
    end = step + steps * params["epochs"]
    if begin >= end:
        raise ValueError(
            f"`schedule` must begin within the training. Received: begin_step={begin}, and the training ends after "
            f"step {end - 1}. Lower begin_step, or train longer."
        )


def nonzero(kernel: Kernel) -> np.ndarray:
    mask = kernel.numpy() != 0
    if not mask.any():
        raise ValueError(
            f"A kernel to prune must have weights other than 0. Received: layer {kernel.name!r}, all 0. "
            "Remove the layer, or leave it out of `layers`."
        )
    return mask


def new_mask(kernel: Kernel, pattern: Pattern, share: float) -> np.ndarray:
    weights = kernel.numpy()
    if pattern is None:
        return magnitude_mask(weights, share)
    return channel_mask(weights, share, kernel.per_channel) if pattern == "channel" else pattern_mask(weights, pattern)
