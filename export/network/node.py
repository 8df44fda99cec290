"""What every kind of node says about itself, so that no pass has to know the kinds by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

Padding = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right)), in pixels
NO_PADDING: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operation.

    name: unique; the Keras layer's name where there is one.
    inputs: names of the nodes whose values it reads.
    shape: of its value at one timestep, without the batch axis.
    temporal: whether the value has a time axis (then every timestep has its own, or the same repeated).

    A kind is a subclass. It answers each of these, about f as a function of one of the values that it reads, whatever
    the others are; to leave one open is a TypeError, but for a base of several kinds, declared with `base=True`:

    linear: f(x + y) = f(x) + f(y), but for a bias, which counts once.
    monotone: f(s * x) = s * f(x) for factors s >= 0 only, as of a maximum.
    keeps_channels: channel c of its value comes from channel c of what it reads.
    keeps_counts: whole numbers in, whole numbers out, in the same unit.
    keeps_zeros: a channel of zeros becomes zeros.
    keeps_constants: a channel that is o everywhere becomes `addends` * o everywhere.
    stateless: the same function at every timestep, of that timestep alone.
    pointwise: a pixel's value comes from that pixel alone, and in the same way wherever it is.
    mixes_channels: it has a kernel, in which every output channel has a weight for every input channel.
    takes_activation: the operator that computes it in a file can clip its result.
    """

    linear: ClassVar[bool]
    monotone: ClassVar[bool]
    keeps_channels: ClassVar[bool]
    keeps_counts: ClassVar[bool]
    keeps_zeros: ClassVar[bool]
    keeps_constants: ClassVar[bool]
    stateless: ClassVar[bool]
    pointwise: ClassVar[bool]
    mixes_channels: ClassVar[bool]
    takes_activation: ClassVar[bool]

    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...]
    temporal: bool

    def __init_subclass__(cls, *, base: bool = False) -> None:
        super().__init_subclass__()
        missing = [answer for answer in ANSWERS if not hasattr(cls, answer)]
        if missing and not base:
            raise TypeError(f"A kind of node must say whether it is {', '.join(missing)}. Received: {cls.__name__}.")

    def addends(self, timesteps: int) -> int:
        """How many of the values that it reads each of its values adds up. timesteps: of the network."""
        return 1


ANSWERS = tuple(name for name, kind in Node.__annotations__.items() if kind == "ClassVar[bool]")


def like(name: str, source: Node, **changes: Any) -> dict[str, Any]:
    """The fields of a node that reads `source` and has its shape and time axis, but for `changes`."""
    return {"name": name, "inputs": (source.name,), "shape": source.shape, "temporal": source.temporal, **changes}
