"""What a generated function does, call by call: the stage between a Program and C."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Offsets:
    """Where tensors lie, in bytes from the start of the arena. name: of the array in C."""

    name: str
    tensors: tuple[int, ...]


@dataclass(frozen=True)
class Facts:
    """What the report says of a step.

    how: "event-driven", "values", "dense" or "memory". why: one sentence.
    sums, bits: the least and the largest sum, and the width that holds them.
    cheaper_below: see `report`.
    """

    how: str = "dense"
    why: str = ""
    sums: tuple[int, int] | None = None
    bits: int = 32
    cheaper_below: float | None = None


@dataclass(frozen=True)
class Step:
    """One call of one kernel.

    note: what it computes, for the reader of the code; may hold the names of layers.
    kernel: the function, in the file of that name in kernels/.
    arguments: of the call; an int stands for the place of that tensor.
    reads, writes: the tensors.
    layer: to which its bytes of flash are counted.
    others: kernels that it hands on.
    counted: what the call returns a number of, "additions" or "products", and how many one of them is; None: nothing.
    spikes: tensors of words or marks that it writes, with their bytes.
    facts: for the report.
    in_place: pairs of a tensor that it reads and one that may be written over it, where nobody reads the first later.
    """

    note: str
    kernel: str
    arguments: tuple[str | int | Offsets, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    layer: str
    others: tuple[str, ...] = ()
    counted: tuple[str, int] | None = None
    spikes: tuple[tuple[int, int], ...] = ()
    facts: Facts = Facts()
    in_place: tuple[tuple[int, int], ...] = ()

    @property
    def kernels(self) -> tuple[str, ...]:
        """Files in kernels/."""
        return self.kernel, *self.others
