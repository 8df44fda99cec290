"""How a neuron fires and resets at one timestep, and the slopes that stand in for the derivatives of that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from keras import ops

from ..messages import listed
from .surrogate import Rectangular, Surrogate

MAX_LEVELS = 127  # what int8 holds
LEVELS = ("ternary", "binary")
Reset = Literal["zero", "subtract", "none"]
RESETS = get_args(Reset)


@dataclass(frozen=True)
class Dynamics:
    """What happens at one timestep, apart from the leak. Elementwise, for any shape.

        spike = +1 if membrane >= threshold, -1 if membrane <= -threshold, else 0     (levels="ternary")
        spike = 1 if membrane >= threshold, else 0                                    (levels="binary")
        spike = round(membrane / (2 * threshold)) within [-k, k], halves away from 0  (levels=k)
        spike = round(membrane / (2 * threshold)) within [0, k], halves up            (levels=k, unsigned)
        spike = 0 below dead_zone * threshold; from there a level every 2 * threshold (levels=k, dead_zone)
        state = membrane * (1 - fired),  fired = 1 where spike is not 0               (reset="zero")
        state = membrane - reset_amount * threshold * spike                           (reset="subtract")
        state = membrane                                                              (reset="none")

    The methods take `threshold`: a float or a tensor that broadcasts against the membrane. Spikes and slopes depend on
    membrane / threshold alone, so that d / d threshold is -membrane / threshold times d / d membrane.

    Args:
        levels: "ternary", "binary", or an Integer k in [1, 127].
        reset: "zero", "subtract" or "none".
        detach_reset: whether the gradient of the state ignores that the reset depends on the spike.
        surrogate: a `Surrogate`; stands in for d spike / d membrane.
        reset_amount: Float > 0, in thresholds per spike: what reset="subtract" takes off. Default: 1.0.
        separate_bumps: whether every threshold has a bump of its own, and bumps that overlap add up; otherwise the
            bump around the nearest threshold counts alone. Default: False.
        unsigned: whether an Integer `levels` has no spikes below 0. Default: False.
        dead_zone: Float >= 1, in thresholds, of an Integer `levels`: level l fires from (dead_zone + 2 * l - 2) *
            threshold on. Default: 1.0, all levels alike.

    Raises:
        ValueError: if levels or reset are not known, reset_amount is not positive and finite, or `unsigned` or
            `dead_zone` is given with levels that have a name.
    """

    levels: str | int = "ternary"
    reset: Reset = "zero"
    detach_reset: bool = False
    surrogate: Surrogate = field(default_factory=Rectangular)
    reset_amount: float = 1.0
    separate_bumps: bool = False
    unsigned: bool = False
    dead_zone: float = 1.0

    def __post_init__(self) -> None:
        _check_levels(self.levels)
        if self.unsigned and isinstance(self.levels, str):
            raise ValueError(
                f'`unsigned` is for levels=1, 2, ... Received: levels={self.levels!r}. Use levels="binary".'
            )
        self._check_dead_zone()
        if self.reset not in RESETS:
            raise ValueError(f"`reset` must be {listed(RESETS)}. Received: reset={self.reset!r}")
        if not (0 < self.reset_amount < math.inf):
            raise ValueError(f"`reset_amount` must be positive and finite. Received: reset_amount={self.reset_amount}")

    def _check_dead_zone(self) -> None:
        if not 1 <= self.dead_zone < math.inf or (self.dead_zone != 1 and isinstance(self.levels, str)):
            raise ValueError(
                "`dead_zone` is in thresholds, at least 1 and finite, of levels=1, 2, ... Received: "
                f"dead_zone={self.dead_zone} with levels={self.levels!r}. That of a ternary or binary neuron is its "
                "threshold."
            )

    @property
    def highest(self) -> int:
        """The largest spike."""
        return 1 if isinstance(self.levels, str) else self.levels

    @property
    def signed(self) -> bool:
        """Whether there are spikes below 0."""
        return self.levels != "binary" and not self.unsigned

    def fire(self, membrane: Any, threshold: Any) -> Any:
        """Spikes, unscaled: integers where the membrane is finite, NaN where it is not."""
        counted = self.highest == 1 or self.dead_zone != 1
        spike = self._crossed(membrane, threshold) if counted else self._level(membrane, threshold)
        # 0 where finite, NaN elsewhere: a comparison alone would turn NaN into silence.
        return spike + (membrane - membrane)

    def _crossed(self, membrane: Any, threshold: Any) -> Any:
        """Thresholds crossed, one after the other."""
        spike = None
        for level in range(self.highest):
            height = self._start(level) * threshold
            crossed = ops.cast(membrane >= height, membrane.dtype)
            spike = crossed if spike is None else spike + crossed
            if self.signed:
                spike = spike - ops.cast(membrane <= -height, membrane.dtype)
        return spike

    def _level(self, membrane: Any, threshold: Any) -> Any:
        """The same where all levels are alike, in one step: a quotient is rounded, so its neighbours are compared."""
        height, dtype = self._height(membrane), membrane.dtype
        level = ops.clip(ops.floor(height / (2.0 * threshold) + 0.5), 0.0, float(self.highest))
        higher = (height >= (2.0 * level + 1.0) * threshold) & (level < self.highest)
        lower = (height < (2.0 * level - 1.0) * threshold) & (level > 0)
        level = level + ops.cast(higher, dtype) - ops.cast(lower, dtype)
        return ops.sign(membrane) * level if self.signed else level

    def carry(self, membrane: Any, spike: Any, threshold: Any, *, fused: bool = False) -> Any:
        """State: the membrane after the reset, before the decay.

        fused: whether a compiler fuses it. The hard reset then looks at the membrane, which is less arithmetic;
            otherwise at the spike, which is fewer operators.
        """
        if self.reset == "zero" and fused:
            # Times 0 is NaN where the membrane is not finite.
            return ops.where(self._height(membrane) < self._first(threshold), membrane, membrane * 0.0)
        if self.reset == "zero":
            return membrane * (1.0 - self._fired(spike))
        return membrane - self._taken_off(threshold) * spike if self.reset == "subtract" else membrane

    def spike_slope(self, membrane: Any, threshold: Any) -> Any:
        """d spike / d membrane as the surrogate has it."""
        if self.separate_bumps:
            return sum(self._bumps(membrane, threshold, range(self.highest)))
        height, nearest = self._height(membrane), self._first(threshold)
        if self.highest > 1:
            beyond = ops.ceil(0.5 * (height / threshold - self._start(-0.5)))  # 1 within `threshold` of the first
            nearest = threshold * (2.0 * ops.clip(beyond, 1, self.highest) + self._start(-1))
        return self.surrogate((height - nearest) / threshold) / threshold

    def carry_slope(self, membrane: Any, spike: Any, spike_slope: Any, threshold: Any) -> Any:
        """d state / d membrane."""
        if self.reset == "zero" and self.highest == 1 and not (self.detach_reset or self.separate_bumps):
            height = self._height(membrane)
            return ops.where(height < self._first(threshold), 1.0, -height * spike_slope)
        kept = 1.0 - self._fired(spike) if self.reset == "zero" else ops.ones_like(membrane)
        by_reset = self.reset_slope(membrane, spike, spike_slope, threshold)
        return kept if by_reset is None else kept + by_reset

    def reset_slope(self, membrane: Any, spike: Any, spike_slope: Any, threshold: Any) -> Any:
        """The part of d state / d membrane that goes through the spike; None where there is none."""
        if self.detach_reset or self.reset == "none":
            return None
        if self.reset == "subtract":
            return -self._taken_off(threshold) * spike_slope
        return -membrane * self._fired_slope(membrane, spike, spike_slope, threshold)

    def taken_off_slope(self, spike: Any) -> Any:
        """d state / d threshold with the spike held fixed; None where it is 0."""
        return -self.reset_amount * spike if self.reset == "subtract" else None

    def _height(self, membrane: Any) -> Any:
        """What is compared with the thresholds."""
        return ops.abs(membrane) if self.signed else membrane

    def _start(self, level: float) -> float:
        """Where `level` + 1 starts to fire, in thresholds."""
        return 2 * level + self.dead_zone

    def _first(self, threshold: Any) -> Any:
        """Where the first level starts to fire."""
        return threshold if self.dead_zone == 1 else self.dead_zone * threshold

    def _taken_off(self, threshold: Any) -> Any:
        return threshold if self.reset_amount == 1 else self.reset_amount * threshold

    def _fired(self, spike: Any) -> Any:
        """1 where there is a spike, else 0; NaN where the spike is."""
        return ops.abs(spike) if self.highest == 1 else ops.minimum(ops.abs(spike), 1.0)

    def _fired_slope(self, membrane: Any, spike: Any, spike_slope: Any, threshold: Any) -> Any:
        """d fired / d membrane. With joined bumps d fired / d spike is taken as sign(spike), 0 at 0 and beyond 1."""
        if self.separate_bumps:
            up, *down = self._bumps(membrane, threshold, [0])
            return up - down[0] if down else up
        if self.highest > 1:
            spike = spike * ops.cast(ops.abs(spike) <= 1.0, spike.dtype)
        return spike * spike_slope

    def _bumps(self, membrane: Any, threshold: Any, levels: Any) -> list[Any]:
        """The bump of each threshold, the positive one before its mirror image."""
        sides = (membrane, -membrane) if self.signed else (membrane,)
        return [
            self.surrogate((side - self._start(level) * threshold) / threshold) / threshold
            for level in levels
            for side in sides
        ]


def _check_levels(levels: str | int) -> None:
    known = levels in LEVELS if isinstance(levels, str) else type(levels) is int and 1 <= levels <= MAX_LEVELS
    if not known:
        raise ValueError(
            f"`levels` must be {listed(LEVELS)}, or an integer from 1 to {MAX_LEVELS}. Received: levels={levels!r}"
        )
