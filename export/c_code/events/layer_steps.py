"""A gather and a finish as one call: the constants of layer_t, the scratch, and what is read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ...program.arithmetic import limits
from ...program.operators import Operator
from ...quantize.integer_neuron import Neuron
from ..plain import WINDOW_BYTES
from ..steps import Facts, Offsets, Step
from .gather import DEPTHWISE, DSP, HALF_BYTES, HELIUM, SIGNED, VECTORS, WIDE, Gather
from .lane_scalings import lane_decay, lane_scaling, vector_scales
from .neurons import ALL_INT8, SpikingLayer, carried, needs_no_clipping, quiet
from .packing import (
    ZERO,
    Accumulators,
    Scaling,
    blocks,
    quiet_words,
    scaling,
    threshold_lanes,
    threshold_words,
    thresholds,
)

if TYPE_CHECKING:
    from .plan import Plan

LAYER_BYTES = WINDOW_BYTES + 16 * 4
# Instructions on a Cortex-M7: of CMSIS-NN's int8 kernels for a multiply-accumulate, of the kernels here for an event.
DENSE, DENSE_DEPTHWISE = 2.25, 7.0
EVENT, EVENT_BLOCK, LEVEL_BLOCK, WIDE_BLOCK, EVENT_TAP, LEVEL_TAP = 9, 25, 28, 40, 6, 7
WORDS_OF_BLOCK, WORD_BYTES = 8, 4


@dataclass(frozen=True)
class Layer:
    """name: in C and in the report. outputs: the tensors of the timesteps. members: of layer_t, by name."""

    name: str
    gather: Gather
    finish: str
    outputs: tuple[int, ...]
    members: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def timesteps(self) -> int:
        return 1 if self.finish == "grade" else len(self.outputs)

    def step(self, plan: Plan) -> Step:
        """The call, behind those that make what it reads."""
        gather, window = self.gather, self.gather.window
        read_by_sum = [[part for index in added for part in _read(plan, gather, index)] for added in gather.sources]
        sources = [index for added in read_by_sum for index in added]
        words = WORDS_OF_BLOCK * blocks(window[5])
        sums = 0 if gather.scattered else WORD_BYTES * words * len(gather.sources)
        scratch = plan.new(sums + HALF_BYTES * gather.list_size)
        constants, members = plan.source.constants, {**gather.members, **self.members}
        values = (
            window,
            int(gather.transposed),
            self.timesteps,
            len(gather.sources),
            len(read_by_sum[0]),
            blocks(window[5]),
            gather.list_limit or gather.list_size,
            *(members.get(name, "0") for name in POINTERS),
            members.get("lowest", 0),
            members.get("highest", 0),
            members.get("lanes", 0),
            members.get("decay", 0),
        )
        struct = constants.struct("layer_t", f"{self.name}_layer", values, LAYER_BYTES)
        alone = sources[0] if len(sources) == 1 and gather.form == "values" else None
        base = "arena" if alone is None else alone
        read = Offsets(f"{self.name}_in", tuple(sources) if alone is None else ())
        stored = self.finish == "store"
        target = self.outputs[0] if stored else "arena"
        written = Offsets(f"{self.name}_out", () if stored else self.outputs)
        kernels = (gather.kernel, self.finish)
        call = (f"&{struct}", *kernels, base, read)
        return Step(
            note=_note(plan, self),
            kernel="scatter_layer" if gather.scattered else "event_layer",
            arguments=(*call, target, written, scratch),
            reads=tuple(dict.fromkeys(sources)),
            writes=(*dict.fromkeys(self.outputs), scratch),
            layer=self.name,
            others=kernels,
            counted=_counted(gather),
            spikes=() if stored else tuple((index, plan.sizes[index]) for index in self.outputs if index in plan.sizes),
            facts=_facts(gather),
            in_place=() if stored else _in_place(gather, sources, self.outputs),
        )


def _in_place(gather: Gather, sources: Sequence[int], outputs: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Sources with outputs that may lie there: no pixel's words are read once those of the same pixel are written."""
    height, width, channels, *out = gather.window[:6]
    alike = gather.form == "words" and [height, width, blocks(channels)] == [*out[:2], blocks(out[2])]
    alone = gather.window[6:12] == (1,) * 6 and not gather.transposed
    ahead = alike and (alone or gather.scattered)
    return tuple(zip(dict.fromkeys(sources), dict.fromkeys(outputs), strict=False)) if ahead else ()


POINTERS = ("weights", "bias", "value_scale", "value_shift", "scale", "above", "below", "carried")


def _counted(gather: Gather) -> tuple[str, int] | None:
    """What the kernel's result is a number of."""
    if gather.kernel == "gather_currents":
        return None
    return ("additions" if gather.form == "words" else "products"), 1 if gather.kernel in DEPTHWISE else gather.channels


def _facts(gather: Gather) -> Facts:
    sums = (int(gather.sums.low.min()), int(gather.sums.high.max()))
    if gather.kernel == "gather_currents":
        return Facts("dense", "its currents are stored: other layers read them, or they come from several", sums, 16)
    if gather.kernel == "gather_values":
        return Facts("values", "its input holds numbers, not spikes; those that are 0 are left out")
    wide = gather.kernel in WIDE
    reach = None if wide else sums
    what = "spikes" if gather.form == "words" else "levels"
    what += ", all of which vectors multiply" if gather.kernel == "gather_levels_wide" else ""
    share = round(min(1.0, _share(gather)), 2)
    return Facts("event-driven", f"its input holds {what}", reach, 32 if wide else 16, share)


def _share(gather: Gather) -> float:
    if gather.kernel in DEPTHWISE:
        return DENSE_DEPTHWISE / (EVENT_TAP if gather.form == "words" else LEVEL_TAP)
    added = EVENT_BLOCK if gather.form == "words" else WIDE_BLOCK if gather.kernel in WIDE else LEVEL_BLOCK
    return DENSE * gather.channels / (EVENT + added * blocks(gather.channels))


def _read(plan: Plan, gather: Gather, index: int) -> tuple[int, ...]:
    """What a gather reads of a tensor."""
    if gather.form == "words":
        return (plan.need_words(index),)
    if gather.form == "levels":
        return plan.need_marks(index), index
    plan.need_values(index)
    return (index,)


def _note(plan: Plan, layer: Layer) -> str:
    window = layer.gather.window
    shape = "x".join(map(str, window[3:6]))
    times = f", {layer.timesteps} timesteps" if layer.timesteps > 1 else ""
    return f"{layer.name}: {shape}{times}"


def storing_layer(plan: Plan, operator: Operator, gather: Gather) -> Layer | None:
    """int8 values; None if no scaling is exact."""
    source = plan.source
    found = _exact(gather)
    if found is None:
        return None
    output = source.tensor(operator.output)
    low, high = limits(output, operator.activation)
    gather = _with_ends(gather, output.zero_point, low, high)
    return Layer(output.name, gather, "store", (operator.output,), _scale_members(plan, output.name, found))


def _with_ends(gather: Gather, zero_point: int, low: int, high: int) -> Gather:
    return replace(gather, window=(*gather.window[:-3], zero_point, low, high))


def grading_layer(plan: Plan, operator: Operator, gather: Gather) -> Layer | None:
    """Levels without a state, and their marks; None if no scaling is exact, or no threshold fits."""
    output, found = plan.source.tensor(operator.output), _exact(gather)
    low, high = limits(output, operator.activation)
    if low < 0:
        members = _threshold_members(plan, output.name, gather.sums, highest=0, binary=False)
    else:
        members = _one_threshold(plan, output.name, gather.sums)
    if found is None or members is None:
        return None
    outputs = (plan.new_marks(operator.output), operator.output)
    scale = _scale_members(plan, output.name, found)
    return Layer(output.name, _with_ends(gather, 0, low, high), "grade", outputs, members | scale)


def firing_layer(plan: Plan, operator: Operator, gather: Gather) -> Layer | None:
    """Spikes without a state, beyond half a step; None if no threshold fits."""
    name = plan.program.tensors[operator.output].name
    members = _threshold_members(plan, name, gather.sums, highest=0, binary=False)
    return None if members is None else Layer(name, gather, "fire", (plan.new_words(operator.output),), members)


def neuron_layer(plan: Plan, spiking: SpikingLayer, gather: Gather) -> Layer | None:
    """Spikes of all timesteps by the neuron's equation; None if no scaling is exact."""
    neuron, name = spiking.neuron, spiking.neuron.name
    members, finish = None, "fire"
    if neuron.decay == 0:
        members = _threshold_members(plan, name, gather.sums, highest=neuron.quiet_steps, binary=not neuron.signed)
    if members is None:
        found = _exact(gather)
        if found is None:
            return None
        lowest, highest = quiet(neuron)
        table, finish, counted_from = carried(neuron).astype(np.int8), "integrate_any", 0
        lanes = {}
        if needs_no_clipping(neuron):
            table, counted_from = table[lowest + 128 : highest + 129], lowest
            lanes = _lane_members(plan, neuron, gather, found, table)
            finish = "integrate_two" if lanes and len(spiking.spikes) == 2 else "integrate"
        members = _scale_members(plan, name, found, counted_from) | {"lowest": lowest, "highest": highest} | lanes
        whole = np.pad(table, (0, len(ALL_INT8) - len(table)))  # what fires leaves nothing
        members["carried"] = plan.source.constants.either(HELIUM, f"{name}_carried", whole, table)
    first = next(index for index in spiking.spikes if index is not None)
    spare = None
    outputs = []
    for index in spiking.spikes:
        if index is None and spare is None:
            spare = plan.new(plan.words_bytes(first))
        outputs.append(spare if index is None else plan.new_words(index))
    return Layer(name, gather, finish, tuple(outputs), members)


def _exact(gather: Gather) -> Scaling | None:
    if np.all(gather.sums.scale == 1):
        centre = np.broadcast_to(gather.sums.centre, gather.sums.low.shape)
        return Scaling(centre, np.ones_like(centre), centre - ZERO, np.zeros_like(centre))
    return scaling(gather.sums, list(gather.scales))


def _scale_members(plan: Plan, name: str, found: Scaling, lowest: int = 0) -> dict[str, str | int]:
    return {"scale": plan.source.constants.array(f"{name}_scale", found.rows(lowest))}


def _lane_members(plan: Plan, neuron: Neuron, gather: Gather, found: Scaling, table: np.ndarray):
    """What `integrate` reads where it computes several channels at once; empty where 16 bits do not hold that."""
    lowest = -neuron.quiet_steps
    lanes, decay = lane_scaling(gather.sums, list(gather.scales)), lane_decay(neuron.decay, lowest, table)
    if lanes is None or decay is None:
        return {}
    values = {
        HELIUM: vector_scales(gather.sums, gather.scales, lanes),
        DSP: lanes.pairs(lowest),
        VECTORS: found.vectors(),
    }
    scale = plan.source.constants.variants(f"{neuron.name}_scale", values, found.rows(lowest))
    return {"scale": scale, "lanes": 1, "decay": decay}


def _threshold_members(plan: Plan, name: str, sums: Accumulators, *, highest: int, binary: bool):
    found = thresholds(sums, highest)
    if found is None:
        return None
    never = sums.low - sums.centre - 1
    above, below = found[0], never if binary else found[1]
    others = threshold_words(above, below)
    quiet = quiet_words(above, below, sums.low - sums.centre)
    words = (threshold_lanes(above, below), others, quiet)  # with Helium, on others, with DSP
    return {
        member: plan.source.constants.variants(f"{name}_{member}", {f"{HELIUM} || {VECTORS}": vector, DSP: pair}, plain)
        for member, vector, plain, pair in zip(("above", "below"), *words, strict=True)
    }


def _one_threshold(plan: Plan, name: str, sums: Accumulators) -> dict[str, str] | None:
    """As `_threshold_members`, of sums that count only beyond half a step."""
    found = thresholds(sums, 0)
    if found is None:
        return None
    vector, plain = threshold_lanes(*found)[0], threshold_words(*found)[0]
    return {"above": plan.source.constants.either(SIGNED, f"{name}_above", vector, plain)}
