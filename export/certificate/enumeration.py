"""One isolated layer on every operand: Program, the runtimes, and the neuron's equation in integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..program.grid import INT8_MAX, INT8_MIN
from ..program.names import Name, parse
from ..program.program import Program
from ..quantize.integer_neuron import Neuron, distinct
from ..runtimes import implementations as runtimes
from ..tflite import flatbuffer
from ..verification.verify import differing
from .isolation import cases, isolate

SPIKES = ("spike", "within")  # `within(j)` may serve several timesteps
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


def recurrence(currents: np.ndarray, neuron: Neuron) -> np.ndarray:
    """The neuron's equation in integers: spikes of currents `(samples, timesteps, cases)`.

    membrane[t] = round(decay * state[t-1]) + current[t] in whole steps, saturated like int8; fires beyond `quiet_steps`
    (`_level`).
    state[t] = 0 after a spike, membrane[t] - drop * spike[t], or membrane[t]     (reset "zero", "subtract", "none")

    neuron: with one decay for all channels.
    """
    decay, doubled = neuron.decay, np.zeros(currents[:, 0].shape, np.int64)  # twice the state: a whole number
    spikes = []
    for current in np.moveaxis(currents.astype(np.int64), 1, 0):
        carried = (decay.numerator * doubled + decay.denominator) // (2 * decay.denominator)
        membrane = np.clip(np.clip(carried, INT8_MIN, INT8_MAX) + current, INT8_MIN, INT8_MAX)
        spike = _level(membrane, neuron)
        spikes.append(spike)
        doubled = _left(2 * membrane, spike, neuron)
    return np.stack(spikes, axis=1)


def _level(membrane: np.ndarray, neuron: Neuron) -> np.ndarray:
    """int8 spikes: level l fires beyond quiet_steps + (l - 1) * (2 * quiet_steps + 1) steps."""
    heights = np.abs(membrane) if neuron.signed else np.maximum(membrane, 0)
    levels = np.minimum((heights + neuron.quiet_steps) // (2 * neuron.quiet_steps + 1), neuron.levels)
    return (np.sign(membrane) * levels).astype(np.int8)


def _left(doubled: np.ndarray, spike: np.ndarray, neuron: Neuron) -> np.ndarray:
    """Twice the state, from twice the membrane."""
    if neuron.reset == "zero":
        return np.where(spike == 0, doubled, 0)
    return doubled - int(2 * neuron.drop) * spike.astype(np.int64) if neuron.reset == "subtract" else doubled


def enumerate_channels(program: Program, operators, neuron: Neuron, frames: int, known: dict) -> Enumeration:
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
        known[key] = enumerate_cases(alone, neuron, frames, program.facts.timesteps)
    return known[key]


def _together(found: list[Enumeration]) -> Enumeration:
    """The sums of several runs of the same operators with other constants."""
    runtimes_run = found[0].compared
    return Enumeration(
        cases=sum(part.cases for part in found),
        compared={name: sum(part.compared[name] for part in found) for name in runtimes_run},
        differing={name: sum(part.differing[name] for part in found) for name in runtimes_run},
        wrong=sum(part.wrong for part in found),
        served=found[0].served,
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
    own = str(Name("", "spike", t))
    names = [own] if own in trace else [name for name in trace if parse(name).role in SPIKES]
    return min((differing(trace[name].reshape(expected.shape), expected), name) for name in names)
