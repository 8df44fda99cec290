"""The points of a sweep: one network each, with its timesteps, decay, width, pruning and kernel bits."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

CHANNEL = "channel"
CHANNEL_SHARE = 0.5  # of the channels that "channel" alone prunes
INT8, TERNARY = 8, "ternary"
MOST_TIMESTEPS = 16


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
    """

    timesteps: int
    decay: float
    width: float
    pruning: float | str
    kernel_bits: int | str

    @property
    def name(self) -> str:
        """Of its files, the same for the same point on every machine."""
        return "_".join(f"{key}-{value}".replace(":", "-") for key, value in asdict(self).items())

    @property
    def title(self) -> str:
        return ", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in asdict(self).items())

    @property
    def compressed(self) -> bool:
        """Whether training it takes tensorflow-model-optimization."""
        return self.pruning != 0 or self.kernel_bits == TERNARY


def short(value: object) -> str:
    """A value as people write it: 1 for 1.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def grid(lists: Mapping[str, Sequence]) -> tuple[Point, ...]:
    """Every combination of the values, the last key's changing fastest. lists: by the names of `Point`."""
    return tuple(Point(**dict(zip(lists, values, strict=True))) for values in itertools.product(*lists.values()))


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
