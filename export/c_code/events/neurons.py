"""The neurons of a program by their equation, each compared with the file's operators before it takes their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ...program.arithmetic import limits
from ...program.grid import INT8_MAX, INT8_MIN
from ...program.names import Name, computed_by, is_factor, read
from ...program.operators import WEIGHTED, Operator
from ...program.program import Program
from ...quantize.integer_neuron import Neuron

ALL_INT8 = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int8)
RANDOM_SEQUENCES = 2**16


@dataclass(frozen=True)
class SpikingLayer:
    """A neuron that its equation computes.

    operators: of the program, which the equation stands for.
    currents: the tensor of every timestep, of several perhaps the same; one where it serves all.
    spikes: the tensor of every timestep; None where an equal one of another timestep stands for it.
    """

    neuron: Neuron
    operators: tuple[Operator, ...]
    currents: tuple[int, ...]
    spikes: tuple[int | None, ...]


def spiking_layers(program: Program) -> list[SpikingLayer]:
    """The neurons whose operators and equation agree on all pairs of currents, and on random sequences of them."""
    found = (_layer(program, neuron) for neuron in stated_neurons(program))
    return [layer for layer in found if layer is not None and agrees(program, layer)]


def stated_neurons(program: Program) -> list[Neuron]:
    """The neurons of one level, and with one decay for all channels, that the metadata states."""
    return [
        Neuron(stated.name, stated.decay, stated.steps_per_unit // 2, stated.signed, stated.reset, stated.reset_steps)
        for stated in program.facts.neurons
        if isinstance(stated.decay, Fraction) and max(stated.levels) == 1
    ]


def _layer(program: Program, neuron: Neuron) -> SpikingLayer | None:
    """None where operators of others look into the neuron, or its currents are not one for each timestep."""
    timesteps = program.facts.timesteps
    indices = {tensor.name: index for index, tensor in enumerate(program.tensors)}
    spikes = [indices.get(str(Name(neuron.name, "spike", t))) for t in range(timesteps)]
    operators = _own(program, neuron.name, [index for index in spikes if index is not None])
    if not operators or any(program.tensors[index].zero_point for index in spikes if index is not None):
        return None
    written = {operator.output for operator in operators}
    inside = written - set(spikes)
    outside = [operator for operator in program.operators if operator.output not in written]
    if inside & {*program.outputs, *(index for operator in outside for index in operator.inputs)}:
        return None
    currents = _currents(program, operators, timesteps)
    if currents is None or set(currents) & set(program.inputs):
        return None
    if any(program.tensors[index].zero_point for index in currents):
        return None
    return SpikingLayer(neuron, operators, currents, tuple(spikes))


def _own(program: Program, layer: str, spikes: Sequence[int]) -> tuple[Operator, ...]:
    """The operators behind some tensors that write tensors of the layer, in order; with kernels only factors."""
    needed, found = set(spikes), []
    for operator in reversed(program.operators):
        name = read(program.tensors[operator.output].name)
        own = (
            name is not None and name.layer == layer and (operator.kind not in WEIGHTED or is_factor(program, operator))
        )
        if operator.output in needed and own:
            found.append(operator)
            needed.update(operator.inputs)
    return tuple(reversed(found))


def _currents(program: Program, operators: Sequence[Operator], timesteps: int) -> tuple[int, ...] | None:
    """What the operators of every timestep read and none of them writes; one where it is the same for all.

    None where they read more or less than one tensor.
    """
    written = {operator.output for operator in operators}
    found: list[set[int]] = [set() for _ in range(timesteps)]
    for operator in operators:
        variable = {index for index in operator.inputs if program.tensors[index].data is None}
        found[read(program.tensors[operator.output].name).timestep or 0] |= variable - written
    every, currents = set().union(*found), []
    for own in found:
        new = own - set(currents[-1:])  # what does not leak is read again a timestep later
        currents += new or own
    return tuple(every) if len(every) == 1 else tuple(currents) if len(currents) == timesteps else None


def agrees(program: Program, layer: SpikingLayer) -> bool:
    """Whether the equation gives the spikes of the operators."""
    shape = program.tensors[layer.currents[0]].shape[1:]
    tried = _as_samples(cases(layer.currents, layer.neuron), shape)
    alone = replace(
        program,
        operators=layer.operators,
        inputs=tuple(dict.fromkeys(layer.currents)),
        outputs=tuple(index for index in layer.spikes if index is not None),
        names={},
        metadata={},
    )
    feeds = {}
    for t, index in enumerate(layer.currents):  # which may lie in rows of other lengths
        tensor = program.tensors[index]
        feeds[tensor.name] = _clipped(program, index, tried[:, t]).reshape(-1, *tensor.shape[1:])
    made = alone.trace(feeds)
    timesteps = program.facts.timesteps
    expected = spikes_of(
        np.broadcast_to(tried, (len(tried), timesteps, *shape)) if len(layer.currents) == 1 else tried, layer.neuron
    )
    pairs = ((index, expected[:, t]) for t, index in enumerate(layer.spikes) if index is not None)
    return all(np.array_equal(made[program.tensors[index].name].ravel(), spikes.ravel()) for index, spikes in pairs)


def cases(currents: Sequence[int], neuron: Neuron) -> np.ndarray:
    """Numbers to try, int8 `(frames, cases)`: all, all pairs at neighbouring timesteps, and random sequences.

    currents: a frame for each; of equal ones equal numbers.
    """
    frames = len(currents)
    if frames == 1:
        return ALL_INT8[None]
    pairs = np.stack(np.meshgrid(ALL_INT8, ALL_INT8, indexing="ij")).reshape(2, -1)
    apart = np.zeros((frames - 1, frames, pairs.shape[1]), np.int8)
    for t in range(frames - 1):
        apart[t, t : t + 2] = pairs
    blocks = [*apart]
    if frames > 2:
        rng, spread = np.random.default_rng(0), max(2 * neuron.quiet_steps, 4)
        noise = np.rint(rng.normal(0, spread / 2, (frames, RANDOM_SEQUENCES)))
        blocks.append(np.clip(noise, INT8_MIN, INT8_MAX).astype(np.int8))
    return _of_equal(currents, np.concatenate(blocks, axis=1))


def _of_equal(currents: Sequence[int], numbers: np.ndarray) -> np.ndarray:
    """The first number of each current that is not 0, in all its frames."""
    result = numbers.copy()
    for current in set(currents):
        frames = [t for t, one in enumerate(currents) if one == current]
        first = np.argmax(numbers[frames] != 0, axis=0)
        result[frames] = np.take_along_axis(numbers[frames], first[None], axis=0)
    return result


def _as_samples(currents: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Cases `(frames, cases)` as images `(samples, frames, *shape)`, the last filled up with zeros."""
    size = int(np.prod(shape))
    samples = -(-currents.shape[1] // size)
    padded = np.zeros((len(currents), samples * size), np.int8)
    padded[:, : currents.shape[1]] = currents
    return np.moveaxis(padded.reshape(len(currents), samples, *shape), 0, 1)


def _clipped(program: Program, index: int, values: np.ndarray) -> np.ndarray:
    """Integers that the operator behind a current can write: some clip the first, and it may be moved behind that."""
    writers = {operator.output: operator for operator in program.operators}
    activation = computed_by(writers, index).activation if index in writers else "NONE"
    return np.clip(values, *limits(program.tensors[index], activation)).astype(np.int8)


def spikes_of(currents: np.ndarray, neuron: Neuron) -> np.ndarray:
    """The neuron's equation: spikes of currents `(samples, timesteps, ...)`, by the table that the C code reads."""
    table, state, spikes = carried(neuron), np.zeros(currents[:, 0].shape, np.int64), []
    for current in np.moveaxis(currents.astype(np.int64), 1, 0):
        membrane = np.clip(state + current, INT8_MIN, INT8_MAX)
        spikes.append(fired(membrane, neuron))
        state = table[membrane - INT8_MIN]
    return np.stack(spikes, axis=1).astype(np.int8)


def fired(membrane: np.ndarray, neuron: Neuron) -> np.ndarray:
    """+1 beyond `quiet_steps`, -1 below -`quiet_steps` where the neuron is signed."""
    spike = (membrane > neuron.quiet_steps).astype(np.int64)
    return spike - (membrane < -neuron.quiet_steps) if neuron.signed else spike


def carried(neuron: Neuron) -> np.ndarray:
    """For every int8 membrane what it brings to the next timestep: what the reset leaves, decayed, in whole steps.

    state = 0 after a spike, membrane - drop * spike, or membrane;   carried = clip(round(decay * state))
    """
    membrane = ALL_INT8.astype(np.int64)
    spike, doubled = fired(membrane, neuron), 2 * membrane
    if neuron.reset == "zero":
        doubled = np.where(spike == 0, doubled, 0)
    elif neuron.reset == "subtract":
        doubled = doubled - int(2 * neuron.drop) * spike
    n, d = neuron.decay.numerator, neuron.decay.denominator
    return np.clip((n * doubled + d) // (2 * d), INT8_MIN, INT8_MAX)


def quiet(neuron: Neuron) -> tuple[int, int]:
    """The lowest and the highest membrane that does not fire."""
    return (-neuron.quiet_steps if neuron.signed else INT8_MIN), neuron.quiet_steps


def needs_no_clipping(neuron: Neuron) -> bool:
    """Whether currents and membranes beyond int8 fire against every state, and leave nothing of themselves."""
    if not neuron.signed or neuron.reset != "zero":
        return False
    table = carried(neuron)
    return INT8_MAX + table.min() > neuron.quiet_steps and INT8_MIN + table.max() < -neuron.quiet_steps


def by_spikes(layers: Sequence[SpikingLayer]) -> Mapping[int, SpikingLayer]:
    """The layer that computes each spike tensor."""
    return {index: layer for layer in layers for index in layer.spikes if index is not None}
