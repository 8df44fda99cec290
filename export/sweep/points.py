"""The points of a sweep: one network each, with its neuron, timesteps, decay, width, pruning, kernel bits and seed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

CHANNEL = "channel"
CHANNEL_SHARE = 0.5  # of the channels that "channel" alone prunes
INT8, TERNARY = 8, "ternary"
MOST_TIMESTEPS = 16
MOST_LEVELS = 127
GIVEN, RELU = "given", "relu"  # the neuron that the network has of itself; none, but ReLU
NEURON_TEXTS = '"ternary", "binary", "levels:k" (-k to k), "positive:k" (0 to k) or "relu"'


@dataclass(frozen=True)
class Pruning:
    """What `Prune` is asked for. share: of zeros, in (0, 1); pattern: None, (zeros, of how many) or "channel"."""

    share: float
    pattern: tuple[int, int] | str | None = None


@dataclass(frozen=True)
class Point:
    """One network of the grid.

    timesteps: Integer from 1 to 16.
    decay: Float in [0, 1].
    width: Float above 0, the factor of all channels.
    pruning: 0.0 for none, a share in (0, 1), "m:n", "channel" or "channel:share".
    kernel_bits: 8 or "ternary".
    neuron: "ternary", "binary", "levels:k", "positive:k" or "relu"; "given" for that of the network.
    seed: of weights and training.
    """

    timesteps: int
    decay: float
    width: float
    pruning: float | str
    kernel_bits: int | str
    neuron: str = GIVEN
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its files, the same for the same point on every machine."""
        return "_".join(f"{key}-{value}".replace(":", "-") for key, value in self._shown.items())

    @property
    def title(self) -> str:
        return ", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in self._shown.items())

    @property
    def _shown(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if (key, value) != ("neuron", GIVEN)}

    @property
    def compressed(self) -> bool:
        """Whether training it takes tensorflow-model-optimization."""
        return self.pruning != 0 or self.kernel_bits == TERNARY


def short(value: object) -> str:
    """A value as people write it: 1 for 1.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def grid(lists: Mapping[str, Sequence]) -> tuple[Point, ...]:
    """Every combination of the values, the last key's changing fastest. lists: by the names of `Point`.

    ReLU has neither timesteps nor decay: its points have 1 and 0, each once.
    """
    points = (Point(**dict(zip(lists, values, strict=True))) for values in itertools.product(*lists.values()))
    return tuple(dict.fromkeys(replace(p, timesteps=1, decay=0.0) if p.neuron == RELU else p for p in points))


def neuron_of(text: str) -> tuple[str, int]:
    """A neuron's word and its levels: ("levels", 3) of "levels:3"; 1 where the word says it.

    Raises: ValueError if it means nothing.
    """
    graded = re.fullmatch(r"(levels|positive):(\d{1,3})", text)
    if graded and 1 <= int(graded[2]) <= MOST_LEVELS:
        return graded[1], int(graded[2])
    if text in ("ternary", "binary", RELU):
        return text, 1
    raise ValueError(f"`neuron` must be {NEURON_TEXTS}, k from 1 to {MOST_LEVELS}. Received: {text!r}")


def pruning_of(value: float | str) -> Pruning | None:
    """What a value of `pruning` means; None for 0.

    Raises: ValueError if it means nothing.
    """
    if isinstance(value, str):
        return _named_pruning(value)
    if not 0 <= value < 1:
        raise ValueError(f"`pruning` must be a share of zeros in [0, 1), {PRUNING_TEXTS}. Received: {value!r}")
    return Pruning(float(value)) if value else None


def _named_pruning(text: str) -> Pruning:
    if text == CHANNEL:
        return Pruning(CHANNEL_SHARE, CHANNEL)
    pattern, share = re.fullmatch(r"(\d+):(\d+)", text), re.fullmatch(r"channel:(0?\.\d+)", text)
    if pattern and 0 < int(pattern[1]) < int(pattern[2]):
        zeros, group = int(pattern[1]), int(pattern[2])
        return Pruning(zeros / group, (zeros, group))
    if share and float(share[1]) > 0:
        return Pruning(float(share[1]), CHANNEL)
    raise ValueError(f"`pruning` must be a share of zeros in [0, 1), {PRUNING_TEXTS}. Received: {text!r}")


PRUNING_TEXTS = '"m:n" with 0 < m < n, "channel", or "channel:share" such as "channel:0.25"'
