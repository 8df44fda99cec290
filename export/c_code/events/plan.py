"""Every step of a program, event by event where something fires.

Values are asked for from the outputs on: what stands inside a layer that is computed as one is not computed again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...program.operators import WEIGHTED, Operator, literal, source_position
from ...program.program import Program
from ..arithmetic.ranges import Interval
from ..plain import Source, plain_steps
from ..steps import Step
from .gather import Gather
from .gathers import current_gather, same_weights, spike_gather, value_gather, wide_gather
from .layer_steps import (
    Layer,
    firing_layer,
    grading_layer,
    neuron_layer,
    storing_layer,
)
from .level_gathers import level_gather, wide_level_gather
from .neurons import SpikingLayer, by_spikes
from .packing import blocks
from .word_steps import level_pool_step, pool_step, repacking_step

SPIKE: Interval = (-1, 1)
MOVED = ("MAX_POOL_2D", "PAD", "SLICE", "CONCATENATION", "RESHAPE")
WORD_BYTES, MARK_BYTES = 4, 2


@dataclass
class Plan:
    """Steps so far, and what they compute.

    readers: how many operators and neurons read a tensor. layers: the spiking layer that computes a tensor.
    words: the tensor, none of the program, that holds a tensor's spikes as words; marks: the one that holds the marks
        of its levels. values: tensors that steps write as int8. plain: spikes that are computed as int8 values first.
    sizes: bytes of every tensor that is none of the program.
    """

    source: Source
    writers: dict[int, Operator]
    readers: Counter[int]
    layers: Mapping[int, SpikingLayer]
    steps: list[Step] = field(default_factory=list)
    words: dict[int, int] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)
    values: set[int] = field(default_factory=set)
    plain: set[int] = field(default_factory=set)
    sizes: dict[int, int] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        return self.source.program

    def new(self, size: int) -> int:
        """A tensor of `size` bytes."""
        index = len(self.program.tensors) + len(self.sizes)
        self.sizes[index] = size
        return index

    def new_words(self, index: int) -> int:
        """A tensor for the spikes of another as words."""
        self.words[index] = self.new(self.words_bytes(index))
        return self.words[index]

    def new_marks(self, index: int) -> int:
        """A tensor for the marks of another."""
        pixels, channels = self.image_shape(index)
        self.marks[index] = self.new(MARK_BYTES * pixels * blocks(channels))
        return self.marks[index]

    def words_bytes(self, index: int) -> int:
        pixels, channels = self.image_shape(index)
        return WORD_BYTES * pixels * blocks(channels)

    def image_shape(self, index: int) -> tuple[int, int]:
        """(pixels, channels) of a tensor."""
        shape = self.program.tensors[index].shape
        return math.prod(shape[:-1]), shape[-1]

    def need_values(self, index: int) -> None:
        """Sees to it that steps write a tensor as int8 values."""
        need_values(self, index)

    def need_words(self, index: int) -> int:
        """Sees to it that steps write the spikes of a tensor as words. Returns the tensor that holds them."""
        return need_words(self, index)

    def need_marks(self, index: int) -> int:
        """Sees to it that steps write a tensor of levels and its marks. Returns the tensor that holds these."""
        return need_marks(self, index)


def planned(source: Source, neurons: Sequence[SpikingLayer]) -> Plan:
    """All steps of a program. neurons: which compute tensors that no operator writes."""
    program = source.program
    readers = Counter(index for operator in program.operators for index in set(operator.inputs))
    readers.update(index for layer in neurons for index in set(layer.currents))
    plan = Plan(source, {operator.output: operator for operator in program.operators}, readers, by_spikes(neurons))
    for layer in neurons:  # in order, so that nothing has to look far back, whatever the depth of the network
        need_words(plan, next(index for index in layer.spikes if index is not None))
    for index in program.outputs:
        need_values(plan, index)
    return plan


def need_values(plan: Plan, index: int) -> None:
    """Sees to it that steps write a tensor as int8 values."""
    if index in plan.values or not (index in plan.writers or index in plan.layers):
        return
    operator = plan.writers.get(index)
    if index not in plan.plain and comes_as_words(plan, index):
        words = need_words(plan, index)
        if index not in plan.plain:
            plan.steps.append(repacking_step(plan, "unpack_spikes", index, words, index))
    elif operator.kind == "RESHAPE":
        need_values(plan, operator.inputs[0])
    elif operator.kind == "MAX_POOL_2D" and graded(plan, index) and plan.source.intervals[index][0] >= 0:
        plan.steps.append(level_pool_step(plan, operator))
    else:
        layer = _stored(plan, operator) if operator.kind in WEIGHTED else None
        if layer is None:
            for source in operator.inputs:
                need_values(plan, source)
        plan.steps += plain_steps(plan.source, operator) if layer is None else [layer.step(plan)]
    plan.values.add(index)


def need_words(plan: Plan, index: int) -> int:
    """Sees to it that steps write the spikes of a tensor as words. Returns the tensor that holds them."""
    if index in plan.words:
        return plan.words[index]
    operator = plan.writers.get(index)
    step = None
    if index in plan.layers:
        step = _spiking(plan, plan.layers[index]).step(plan)
    elif operator is not None and fires(plan, operator):
        step = _fired(plan, operator)
    elif comes_as_words(plan, index):
        step = pool_step(plan, operator, need_words(plan, operator.inputs[0]), plan.new_words(index))
    if step is None:
        plan.plain.add(index)
        need_values(plan, index)
        step = repacking_step(plan, "pack_spikes", index, index, plan.new_words(index))
    plan.steps.append(step)
    return plan.words[index]


def need_marks(plan: Plan, index: int) -> int:
    """Sees to it that steps write a tensor of levels and its marks. Returns the tensor that holds these."""
    need_values(plan, index)
    if index not in plan.marks:
        plan.steps.append(repacking_step(plan, "mark_levels", index, index, plan.new_marks(index)))
    return plan.marks[index]


def graded(plan: Plan, index: int) -> bool:
    """Whether a tensor holds levels: integers that stand for themselves, of which an activation makes some 0."""
    operator = plan.writers.get(index)
    if operator is None or plan.program.tensors[index].zero_point != 0:
        return False
    if operator.kind in MOVED:
        return all(graded(plan, source) for source in operator.inputs if plan.program.tensors[source].data is None)
    return operator.activation != "NONE"


def comes_as_words(plan: Plan, index: int) -> bool:
    """Whether the spikes of a tensor are computed as words, or pooled from such."""
    while index not in plan.layers:
        operator = plan.writers.get(index)
        if operator is None or fires(plan, operator):
            return operator is not None
        if operator.kind != "MAX_POOL_2D":
            return False
        index = operator.inputs[0]
    return True


def fires(plan: Plan, operator: Operator) -> bool:
    """Whether an operator with a kernel writes spikes."""
    clips = operator.activation == "RELU_N1_TO_1"
    return operator.kind in WEIGHTED and clips and literal(plan.program.tensors[operator.output])


def level_source(plan: Plan, index: int) -> int | None:
    """The tensor of levels that a tensor is; None if it holds none. A RESHAPE stands for what it reads."""
    operator = plan.writers.get(index)
    if operator is not None and operator.kind == "RESHAPE":
        return level_source(plan, operator.inputs[0])
    return index if graded(plan, index) else None


def spike_sources(plan: Plan, index: int) -> list[int] | None:
    """The spike tensors whose sum a tensor is; None if it is no such sum. A RESHAPE stands for what it reads."""
    tensor, operator = plan.program.tensors[index], plan.writers.get(index)
    if operator is not None and operator.kind == "RESHAPE" and index not in plan.layers:
        return spike_sources(plan, operator.inputs[0])
    low, high = plan.source.intervals[index]
    if tensor.zero_point == 0 and low >= SPIKE[0] and high <= SPIKE[1]:
        return [index]
    if operator is None or operator.kind != "ADD" or operator.activation != "NONE" or not literal(tensor):
        return None
    parts = [spike_sources(plan, addend) for addend in operator.inputs if literal(plan.program.tensors[addend])]
    return parts[0] + parts[1] if len(parts) == 2 and None not in parts else None


def _stored(plan: Plan, operator: Operator) -> Layer | None:
    """An operator with a kernel whose output is stored as int8 values; None if it cannot follow events."""
    layers = [storing_layer]
    if graded(plan, operator.output):
        layers.insert(0, grading_layer)
    return _first(layer(plan, operator, gather) for layer in layers for gather in _gathers(plan, [operator]))


def _fired(plan: Plan, operator: Operator) -> Step | None:
    """An operator that fires by itself."""
    layer = _first(firing_layer(plan, operator, gather) for gather in _gathers(plan, [operator]))
    return None if layer is None else layer.step(plan)


def _first(layers: Iterable[Layer | None]) -> Layer | None:
    return next((layer for layer in layers if layer is not None), None)


def _spiking(plan: Plan, spiking: SpikingLayer) -> Layer:
    """A neuron with the operators that make its currents, where those make nothing else; or from stored currents."""
    operators = [plan.writers.get(index) for index in spiking.currents]
    alone = all(
        operator is not None
        and operator.kind in WEIGHTED
        and operator.output not in plan.program.outputs
        and plan.readers[operator.output] == 1
        for operator in operators
    )
    gathers = _gathers(plan, operators) if alone and same_weights(plan.source, operators) else ()
    layer = _first(neuron_layer(plan, spiking, gather) for gather in gathers)
    return layer or neuron_layer(plan, spiking, current_gather(plan.source, spiking.currents))


def _gathers(plan: Plan, operators: Sequence[Operator]) -> Iterator[Gather]:
    """What can add up the sums of operators that share their weights, one for each timestep: the fastest first."""
    images = [operator.inputs[source_position(operator)] for operator in operators]
    sources = [spike_sources(plan, image) for image in images]
    levels = [level_source(plan, image) for image in images]
    if all(added is not None and len(added) == len(sources[0]) for added in sources):
        yield from _possible(gather(plan.source, operators, sources) for gather in (spike_gather, wide_gather))
    if None not in levels:
        yield from _possible([level_gather(plan.source, operators, [(one,) for one in levels])])
        yield from _possible([wide_level_gather(plan.source, operators, levels)])
    yield from _possible([value_gather(plan.source, operators, images)])


def _possible(gathers: Iterable[Gather | None]) -> Iterator[Gather]:
    return (gather for gather in gathers if gather is not None)
