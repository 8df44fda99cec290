"""Where every tensor of a program lies while its C code runs: in the caller's arrays, or in one arena.

Tensors that are not needed at the same time share bytes; spikes may be written over those that they come from. States
stay where they are from call to call. RESHAPE moves nothing: its output lies where its input does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..program.program import Program
from ..program.step_form import states
from .steps import Offsets, Step

ALIGNMENT = 4
IN_PLACE = ("look_up", "weighted_sum", "product")  # read an entry before they write the one at its place


@dataclass(frozen=True)
class Memory:
    """roots: of every tensor the one whose bytes it shares. offsets: in the arena, by root; size: of the arena.

    inputs, outputs: the roots in the caller's arrays, and which input or output each is.
    lives: (first, last) step of every root in the arena. sizes: bytes of every root.
    """

    roots: Mapping[int, int]
    offsets: Mapping[int, int]
    inputs: Mapping[int, int]
    outputs: Mapping[int, int]
    lives: Mapping[int, tuple[int, int]]
    sizes: Mapping[int, int]
    size: int

    def offset(self, index: int) -> int:
        """Bytes of a tensor in the arena from its start."""
        return self.offsets[self.roots[index]]


def plan_memory(program: Program, steps: Sequence[Step], sizes: dict[int, int]) -> Memory:
    """Places for all tensors that the steps read or write. sizes: bytes of those that are none of the program."""
    roots = _roots(program) | {index: index for index in sizes}
    before = states(program)
    inputs = {index: index for index in program.inputs if index not in before}
    written = {roots[index] for step in steps for index in step.writes}
    here = written - {roots[index] for index in _by_offset(steps)}
    outputs: dict[int, int] = {}
    for index in program.outputs:
        if roots[index] in here and roots[index] not in outputs and index not in before.values():
            outputs[roots[index]] = index
    lives = _lives(program, steps, roots, before)
    together = {
        roots[after]: state for state, after in before.items() if _can_stay(roots, steps, state, after, outputs)
    }
    for root, state in together.items():
        del lives[root]
        roots = {index: state if one == root else one for index, one in roots.items()}
    roots, lives = _in_place(steps, sizes, roots, lives)
    in_arena = {root: life for root, life in lives.items() if root not in inputs and root not in outputs}
    bytes_of = {
        root: _aligned(sizes[root] if root in sizes else math.prod(program.tensors[root].shape)) for root in in_arena
    }
    offsets = _first_fit(in_arena, bytes_of)
    size = max((offsets[root] + bytes_of[root] for root in offsets), default=ALIGNMENT)
    return Memory(roots, offsets, inputs, outputs, in_arena, bytes_of, size)


def _by_offset(steps: Sequence[Step]) -> Iterator[int]:
    """Tensors that a step finds by their offsets in the arena: an output among them is copied from there."""
    arguments = (argument for step in steps for argument in step.arguments)
    for argument in arguments:
        if isinstance(argument, Offsets):
            yield from argument.tensors


def _roots(program: Program) -> dict[int, int]:
    roots = {index: index for index, tensor in enumerate(program.tensors) if tensor.data is None}
    for operator in program.operators:
        if operator.kind == "RESHAPE":
            roots[operator.output] = roots[operator.inputs[0]]
    return roots


def _lives(program, steps: Sequence[Step], roots, before: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """The first and the last step that need each root; states and what outputs are copied from live to the end."""
    last = len(steps)
    lives: dict[int, tuple[int, int]] = dict.fromkeys(before, (0, last))
    for number, step in enumerate(steps):
        for index in (*step.reads, *step.writes):
            if index in roots:
                first, _ = lives.get(roots[index], (number, number))
                lives[roots[index]] = (first, last if roots[index] in before else number)
    for index in program.outputs:
        root = roots[index]
        lives[root] = (lives.get(root, (0, 0))[0], last)
    return lives


def _can_stay(roots, steps: Sequence[Step], state: int, after: int, outputs: Mapping[int, int]) -> bool:
    """Whether the next value of a state may be written over the state itself."""
    root = roots[after]
    writers = [number for number, step in enumerate(steps) if root in map(roots.get, step.writes)]
    readers = [number for number, step in enumerate(steps) if state in map(roots.get, step.reads)]
    if len(writers) != 1 or root in outputs or root == state:
        return False
    writer, last = writers[0], max(readers, default=-1)
    return last < writer or (last == writer and steps[writer].kernel in IN_PLACE)


def _in_place(steps: Sequence[Step], sizes: dict[int, int], roots: dict[int, int], lives: dict[int, tuple[int, int]]):
    """Roots and lives with what steps may write in place where the tensor lies that they are the last to read."""
    for number, step in enumerate(steps):
        for read, written in step.in_place:
            old, new = roots[read], roots[written]
            ends, begins = lives[old][1] == number, lives[new][0] == number
            if ends and begins and old in sizes and sizes[old] == sizes.get(new):
                lives = {root: life for root, life in lives.items() if root != new} | {
                    old: (lives[old][0], lives[new][1])
                }
                roots = {index: old if root == new else root for index, root in roots.items()}
    return roots, lives


def _first_fit(lives: Mapping[int, tuple[int, int]], sizes: dict[int, int]) -> dict[int, int]:
    """Largest first, each at the lowest offset where nothing lies that lives at the same time."""
    offsets: dict[int, int] = {}
    for root in sorted(lives, key=lambda root: (-sizes[root], lives[root])):
        offset = 0
        for other in sorted(offsets, key=offsets.get):
            meets = lives[other][0] <= lives[root][1] and lives[root][0] <= lives[other][1]
            if meets and offset < offsets[other] + sizes[other] and offsets[other] < offset + sizes[root]:
                offset = offsets[other] + sizes[other]
        offsets[root] = offset
    return offsets


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
