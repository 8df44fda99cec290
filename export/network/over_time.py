"""The kinds of nodes that read several timesteps and are no membranes: one value of all of them, or the last ones."""

from __future__ import annotations

from dataclasses import dataclass

from .node import Node


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeAverage(Node):
    """Mean over timesteps."""

    linear = keeps_channels = keeps_zeros = keeps_constants = pointwise = True
    monotone = keeps_counts = stateless = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeSum(Node):
    """Sum over timesteps: what a TimeAverage becomes when its divisor is folded away."""

    linear = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = pointwise = True
    monotone = stateless = mixes_channels = takes_activation = False

    def addends(self, timesteps: int) -> int:
        return timesteps


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeMax(Node):
    """Maximum over timesteps."""

    monotone = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = pointwise = True
    linear = stateless = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class LastTimestep(Node):
    """The value at the last timestep."""

    linear = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = pointwise = True
    monotone = stateless = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class RecentTimesteps(Node):
    """The values of the last timesteps one below the other, (rows, columns, channels); 0 before the first timestep."""

    linear = keeps_channels = keeps_counts = keeps_zeros = True
    monotone = keeps_constants = stateless = pointwise = mixes_channels = takes_activation = False

    timesteps: int
