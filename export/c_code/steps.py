"""What a generated function does, call by call: the stage between a Program and C."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One call of one kernel.

    note: what it computes, for the reader of the code; may hold the names of layers.
    kernel: the function, in the file of that name in kernels/.
    arguments: of the call; an int stands for the place of that tensor.
    reads, writes: the tensors.
    layer: to which its bytes of flash are counted.
    """

    note: str
    kernel: str
    arguments: tuple[str | int, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    layer: str
