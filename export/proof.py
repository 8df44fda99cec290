"""Each spiking layer of a file, run on every operand: on Program, on the runtimes, and against the neuron's equation.

A layer's own operators are taken out of the file. Their currents are int8, so all of them can be tried: for every
timestep all 65,536 pairs of the current before it, which is the membrane there, and the current at it; all 256
currents where there is no state, or where one current serves all timesteps; all pairs of summands where there is no
state and a sum fires. Where channels decay differently, all of them for every decay, several decays in one run. Layers
with the same operators share the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from . import flatbuffer, runtimes
from .grid import INT8_MAX, INT8_MIN, Neuron
from .isolation import are_sums, cases, current_tensors, isolate, own_operators, role_path
from .leaks import described, distinct
from .program import Operator, Program
from .ties import channels_that_may_tie
from .verification import differing
from .work import APPLICATIONS

SPIKES = re.compile(r"(spike|within)/\d+")
RUN_VALUES = 2**25  # int8 values that the operators write in one run of several decays


@dataclass(frozen=True)
class Enumeration:
    """A run over all operands of one layer.

    cases: operands tried.
    compared, differing: int8 values of all operators per runtime, against Program.
    wrong: spikes of Program that differ from the neuron's equation in integers.
    served: for every timestep the tensor that holds its spikes, without the layer's name.
    """

    cases: int
    compared: Mapping[str, int]
    differing: Mapping[str, int]
    wrong: int
    served: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """What is known of one spiking layer for every operand, not only for samples.

    method: "pairs" of state and current; all "currents", where there is no state or one current serves all timesteps;
        all pairs of "summands", where a sum of two currents fires and there is no state;
        or "kernel": a convolution or matrix product fires, and the rule of its multipliers keeps it away from ties.
    cases: operands tried; for "kernel", output channels looked at.
    compared, differing: int8 values of all its operators per runtime, against Program. Empty for "kernel".
    wrong: spikes that differ from the neuron's equation in integers; for "kernel", channels that break the rule.
    spikes: the tensors that hold its spikes, one per timestep.
    """

    layer: str
    decay: str
    reset: str
    steps_per_unit: int
    method: str
    cases: int
    compared: Mapping[str, int]
    differing: Mapping[str, int]
    wrong: int
    spikes: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.wrong and not any(self.differing.values())


def prove(program: Program) -> tuple[Proof, ...]:
    """One proof per spiking layer, in the order of the file.

    Raises: ValueError if the metadata or the operators of a layer are not those of `export_tflite`.
    """
    known: dict[tuple, Enumeration] = {}
    proofs: list[Proof] = []
    for neuron in neurons(program):
        prove_one = _prove_operators if own_operators(program, neuron.name) else _prove_kernel
        proofs.append(prove_one(program, neuron, known, proofs))
    return tuple(proofs)


def neurons(program: Program) -> tuple[Neuron, ...]:
    """The spiking layers that a file states. Raises: ValueError if its metadata is not that of `export_tflite`."""
    try:
        return tuple(map(_stated, program.metadata["neurons"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The file must state its spiking layers, as files of `export_tflite` do. Received: {error!r} in its "
            "metadata. Export the model again."
        ) from error


def _stated(one: Mapping) -> Neuron:
    decay = tuple(map(Fraction, one["decay"])) if isinstance(one["decay"], list) else Fraction(one["decay"])
    half, signed = one["steps_per_unit"] // 2, -1 in one["levels"]
    # Files of version 0.1 before the soft reset state neither.
    return Neuron(one["name"], decay, half, signed, one.get("reset", "zero"), Fraction(one.get("reset_steps", 0)))


def recurrence(currents: np.ndarray, neuron: Neuron) -> np.ndarray:
    """The neuron's equation in integers: spikes of currents `(samples, timesteps, cases)`.

    membrane[t] = round(decay * state[t-1]) + current[t] in whole steps, saturated like int8; fires beyond `half`.
    state[t] = 0 after a spike, membrane[t] - drop * spike[t], or membrane[t]     (reset "zero", "subtract", "none")

    neuron: with one decay for all channels.
    """
    decay, doubled = neuron.decay, np.zeros(currents[:, 0].shape, np.int64)  # twice the state: a whole number
    spikes = []
    for current in np.moveaxis(currents.astype(np.int64), 1, 0):
        carried = (decay.numerator * doubled + decay.denominator) // (2 * decay.denominator)
        membrane = np.clip(np.clip(carried, INT8_MIN, INT8_MAX) + current, INT8_MIN, INT8_MAX)
        spike = (membrane > neuron.half).astype(np.int8)
        if neuron.signed:
            spike -= membrane < -neuron.half
        spikes.append(spike)
        doubled = _left(2 * membrane, spike, neuron)
    return np.stack(spikes, axis=1)


def _left(doubled: np.ndarray, spike: np.ndarray, neuron: Neuron) -> np.ndarray:
    """Twice the state, from twice the membrane."""
    if neuron.reset == "zero":
        return np.where(spike == 0, doubled, 0)
    return doubled - int(2 * neuron.drop) * spike.astype(np.int64) if neuron.reset == "subtract" else doubled


def _prove_operators(program: Program, neuron: Neuron, known: dict, earlier: list[Proof]) -> Proof:
    operators, timesteps = own_operators(program, neuron.name), program.metadata["timesteps"]
    method = _method(program, operators, neuron)
    frames = {"currents": 1, "summands": 2, "pairs": timesteps}[method]
    found = _enumerate_channels(program, operators, neuron, frames, known)
    served = [f"{neuron.name}/{role}" for role in found.served]
    if neuron.decay == 0:
        served = _served(program, neuron, earlier)
    return _proof(neuron, method, found.cases, found.wrong, served, found.compared, found.differing)


def _method(program: Program, operators: Sequence[Operator], neuron: Neuron) -> str:
    if neuron.decay == 0:
        return "summands" if are_sums(program, operators) else "currents"
    return "currents" if len(current_tensors(program, operators)) == 1 else "pairs"


def _enumerate_channels(program: Program, operators, neuron: Neuron, frames: int, known: dict) -> Enumeration:
    """One run for all channels; where they decay differently, runs with one channel for every decay."""
    if isinstance(neuron.decay, Fraction):
        return _enumerate_once(program, operators, neuron, frames, known, None)
    channels = {decay: channel for channel, decay in enumerate(neuron.decay)}
    decays = distinct(neuron.decay)
    size = max(1, RUN_VALUES // (len(operators) * cases(frames)[:, 0].size))
    groups = [decays[start : start + size] for start in range(0, len(decays), size)]
    return _together(
        [
            _enumerate_once(
                program, operators, replace(neuron, decay=group), frames, known, [channels[decay] for decay in group]
            )
            for group in groups
        ]
    )


def _enumerate_once(
    program: Program, operators, neuron: Neuron, frames: int, known: dict, channels: list[int] | None
) -> Enumeration:
    alone = isolate(program, operators, neuron.name, frames, channels)
    key = (flatbuffer.write(alone), replace(neuron, name=""))
    if key not in known:
        known[key] = enumerate_cases(alone, neuron, frames, program.metadata["timesteps"])
    return known[key]


def _together(found: list[Enumeration]) -> Enumeration:
    """The sums of several runs of the same operators with other constants."""
    runtimes_run = found[0].compared
    return Enumeration(
        cases=sum(one.cases for one in found),
        compared={name: sum(one.compared[name] for one in found) for name in runtimes_run},
        differing={name: sum(one.differing[name] for one in found) for name in runtimes_run},
        wrong=sum(one.wrong for one in found),
        served=found[0].served,
    )


def _prove_kernel(program: Program, neuron: Neuron, known: dict, earlier: list[Proof]) -> Proof:
    firing = [
        operator
        for operator in program.operators
        if operator.kind in APPLICATIONS and role_path(program, operator, neuron.name)[0] == "spike"
    ]
    if not firing:
        raise ValueError(
            f"Every spiking layer of a file must have operators. Received: none of {neuron.name!r}. Export the model "
            "again."
        )
    breaking = np.any([channels_that_may_tie(program, operator) for operator in firing], axis=0)
    served = _served(program, neuron, earlier)
    return _proof(neuron, "kernel", breaking.size, int(breaking.sum()), served)


def _proof(neuron: Neuron, method: str, tried: int, wrong: int, spikes, compared=None, differing=None) -> Proof:
    return Proof(
        layer=neuron.name,
        decay=described(neuron.decay),
        reset=neuron.reset,
        steps_per_unit=2 * neuron.half + 1,
        method=method,
        cases=tried,
        compared=compared or {},
        differing=differing or {},
        wrong=wrong,
        spikes=tuple(spikes),
    )


def enumerate_cases(alone: Program, neuron: Neuron, frames: int, timesteps: int) -> Enumeration:
    """Runs an isolated layer on all its cases, on Program, on every installed runtime and as the equation.

    neuron: with one decay, or with one for each channel of the isolated layer.
    """
    inputs = cases(frames)
    expected = expected_spikes(_currents(inputs, neuron, timesteps), neuron)
    if not isinstance(neuron.decay, Fraction):
        inputs = np.repeat(inputs[..., None], len(neuron.decay), axis=-1)
    trace, exposed = alone.trace(inputs), runtimes.expose(flatbuffer.write(alone))
    compared, unequal = {}, {}
    for name, runtime in runtimes.installed().items():
        result = runtime.run(exposed, inputs)
        compared[name] = sum(values.size for values in result.values())
        unequal[name] = sum(differing(values, trace[tensor]) for tensor, values in result.items())
    found = [_closest(trace, expected[:, t], t) for t in range(timesteps)]
    return Enumeration(
        cases=inputs.size // inputs.shape[1],
        compared=compared,
        differing=unequal,
        wrong=sum(wrong for wrong, _ in found),
        served=tuple(name for _, name in found),
    )


def _currents(inputs: np.ndarray, neuron: Neuron, timesteps: int) -> np.ndarray:
    """Of every timestep, from the cases of `isolate`."""
    if neuron.decay == 0:  # a current, or its summands
        inputs = inputs.sum(axis=1, keepdims=True, dtype=np.int64)
    return np.repeat(inputs, timesteps // inputs.shape[1], axis=1)


def expected_spikes(currents: np.ndarray, neuron: Neuron) -> np.ndarray:
    """`recurrence`, with a last axis for the decays where there are several."""
    if isinstance(neuron.decay, Fraction):
        return recurrence(currents, neuron)
    return np.stack([recurrence(currents, replace(neuron, decay=decay)) for decay in neuron.decay], axis=-1)


def _closest(trace: Mapping[str, np.ndarray], expected: np.ndarray, t: int) -> tuple[int, str]:
    """(wrong spikes, name) of the spike tensor of timestep t: its own, or an equal one that serves it too."""
    own = f"spike/{t}"
    names = [own] if own in trace else [name for name in trace if SPIKES.fullmatch(name)]
    return min((differing(trace[name].reshape(expected.shape), expected), name) for name in names)


def _served(program: Program, neuron: Neuron, earlier: list[Proof]) -> tuple[str, ...]:
    """Names of the spike tensors, one per timestep.

    An operator asked for twice is emitted once, so equal inputs at two timesteps leave one name: where one is missing
    it is that of a timestep with equal spikes in an earlier layer. Empty if none fits.
    """
    names = [f"{neuron.name}/spike/{t}" for t in range(program.metadata["timesteps"])]
    tensors = {tensor.name for tensor in program.tensors}
    single = [name for name in names if name in tensors]
    found = []
    for t, name in enumerate(names):
        twins = [names[proof.spikes.index(proof.spikes[t])] for proof in earlier if proof.spikes]
        last = single if len(single) == 1 else []
        found += [twin for twin in (name, *twins, *last) if twin in tensors][:1]
    return tuple(found) if len(found) == len(names) else ()
