"""What a generated function does, call by call: the stage between a Program and C."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Offsets:
    """Where tensors lie, in bytes from the start of the arena. name: of the array in C."""

    name: str
    tensors: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One call of one kernel.

    note: what it computes, for the reader of the code; may hold the names of layers.
    kernel: the function, in the file of that name in kernels/.
    arguments: of the call; an int stands for the place of that tensor.
    reads, writes: the tensors.
    layer: to which its bytes of flash are counted.
    others: kernels that it hands on.
    """

    note: str
    kernel: str
    arguments: tuple[str | int | Offsets, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    layer: str
    others: tuple[str, ...] = ()

    @property
    def kernels(self) -> tuple[str, ...]:
        """Files in kernels/."""
        return self.kernel, *self.others
