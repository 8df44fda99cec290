"""Steps around the layers, of spikes as words and of levels with their marks: pooling, packing and unpacking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...program.operators import Operator
from ..plain import WINDOW_BYTES, window_of
from ..steps import Facts, Step
from .packing import blocks

if TYPE_CHECKING:
    from .plan import Plan


def pool_step(plan: Plan, operator: Operator, source: int, target: int) -> Step:
    """MAX_POOL_2D of words."""
    output = plan.program.tensors[operator.output]
    members = window_of(plan.source, operator, operator.inputs[0])
    window = plan.source.constants.struct("window_t", f"{output.name}_window", members, WINDOW_BYTES)
    call = (f"&{window}", str(blocks(output.shape[-1])), source, target)
    facts = Facts("event-driven", "the largest of spikes is an AND or OR of words")
    return _words_step("max_pool_spikes", f"{output.name}: MAX_POOL_2D of spikes", call, source, target, facts)


def level_pool_step(plan: Plan, operator: Operator) -> Step:
    """MAX_POOL_2D of levels, none below 0."""
    output, source = plan.program.tensors[operator.output], operator.inputs[0]
    window = window_of(plan.source, operator, source)
    struct = plan.source.constants.struct("window_t", f"{output.name}_window", window, WINDOW_BYTES)
    read, written = (plan.need_marks(source), source), (plan.new_marks(operator.output), operator.output)
    facts = Facts("event-driven", "only what is not 0 can be the largest")
    note = f"{output.name}: MAX_POOL_2D of levels"
    call = (f"&{struct}", *read, *written)
    return Step(note, "max_pool_levels", call, read, written, note.split("/")[0], facts=facts)


def repacking_step(plan: Plan, kernel: str, index: int, source: int, target: int) -> Step:
    """Spikes as words from int8 values, or the other way round."""
    pixels, channels = plan.image_shape(index)
    name = plan.program.tensors[index].name
    call = (str(pixels), str(channels), source, target)
    facts = Facts("memory", "a layer that is not event-driven reads or writes these spikes")
    return _words_step(kernel, f"{name}: {kernel.replace('_', ' ')}", call, source, target, facts)


def _words_step(kernel: str, note: str, call: Sequence[str | int], source: int, target: int, facts: Facts) -> Step:
    return Step(note, kernel, tuple(call), (source,), (target,), note.split("/")[0], facts=facts)
