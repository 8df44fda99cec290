"""The kinds of nodes whose value is a membrane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .node import Node


@dataclass(frozen=True, kw_only=True, eq=False)
class Integrator(Node):
    """membrane[t] = decay * membrane[t-1] + x[t], and no spike: decay in [0, 1], one or an array (channels,)."""

    linear = keeps_channels = keeps_zeros = pointwise = True
    monotone = keeps_counts = keeps_constants = stateless = mixes_channels = takes_activation = False

    decay: float | np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalState(Node):
    """What the neurons of a LIF on the same current carry on from the last timestep: the membrane, 0 where they fired.

    Its numbers are those of the LIF.
    """

    keeps_channels = keeps_zeros = pointwise = True
    linear = monotone = keeps_counts = keeps_constants = stateless = mixes_channels = takes_activation = False

    decay: float | np.ndarray
    threshold: float | np.ndarray
    signed: bool = True
    reset: str = "zero"
    reset_amount: float = 1.0
    quiet_steps: int | None = None
    levels: int = 1
