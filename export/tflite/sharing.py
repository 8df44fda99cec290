"""Flatbuffers in which equal parts stand once: vectors of numbers, and tables that others refer to.

A table holds offsets to its parts, so two tables may name the same part. Without that, shapes, scales, zero points and
options that many tensors and operators have in common would be a quarter of a small network's file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable

import flatbuffers
import numpy as np


class SharingBuilder(flatbuffers.Builder):
    """Writes a vector of numbers that it has written before as an offset to that; tables of `shared` kinds likewise."""

    def __init__(self, initial_size: int) -> None:
        super().__init__(initial_size)
        self._offsets: dict[Hashable, int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # the name is flatbuffers'
        if x.itemsize == 1:  # the data of a buffer: aligned, and shared by whoever makes buffers
            return super().CreateNumpyVector(x)
        return self.once(_content(x), functools.partial(super().CreateNumpyVector, x))

    def once(self, content: Hashable, write: Callable[[], int]) -> int:
        """The offset of what `write` writes, or of the same content if it is there already."""
        if content not in self._offsets:
            self._offsets[content] = write()
        return self._offsets[content]


@functools.cache
def shared(kind: type) -> type:
    """The schema's class `kind`, such as QuantizationParametersT, of which a SharingBuilder writes equal ones once."""

    class Shared(kind):
        def Pack(self, builder: SharingBuilder) -> int:  # the name is the generated code's
            content = (kind, *((name, _content(value)) for name, value in sorted(vars(self).items())))
            return builder.once(content, functools.partial(super().Pack, builder))

    return Shared


def _content(value: object) -> Hashable:
    """What two equal values have in common, and no others."""
    return (value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value
