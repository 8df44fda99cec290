"""Where a program comes from: what folding removed from the neurons, and a fingerprint of the Keras weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
import numpy as np

from ..network import nodes
from ..network.linear_algebra import factors
from ..network.nodes import Network
from ..network.queries import nodes_of, repeated
from ..program.facts import Facts, Flipped, NeuronFacts, Range
from ..program.grid import INT8_MAX
from ..program.program import Program
from .current_grids import carries_states, keeps_rest
from .emit.context import Context, integer_neuron
from .input_ranges import stated_ranges
from .integer_neuron import step
from .output_ranges import MEANS, SAME_GRID, linear_source


def with_origin(program: Program, network: Network, model: keras.Model) -> Program:
    """`program` with metadata of its model.

    Adds to each of metadata["neurons"] the threshold and the amplitude that were folded away (the smallest and the
    largest where channels differ), and "weights_sha256" over all weights of the model in order.

    Args:
        network: as `describe` returns it, before folding.
    """
    facts = program.facts
    neurons = tuple(replace(neuron, **_folded(network[neuron.name])) for neuron in facts.neurons)
    facts = replace(facts, neurons=neurons, weights_sha256=weights_sha256(model))
    return replace(program, metadata=facts.to_json())


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 in hexadecimal of the shapes and float32 values of `model.get_weights()`."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(repr(weight.shape).encode())
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return digest.hexdigest()


def _folded(neuron: nodes.LIF) -> dict[str, Range]:
    return {"threshold": _extent(neuron.threshold), "amplitude": _extent(neuron.amplitude)}


def _extent(values: float | np.ndarray) -> Range:
    return float(np.min(values)), float(np.max(values))


def facts(context: Context) -> Facts:
    """What the file says of itself."""
    network = context.network
    called = dict(zip(network.outputs, network.output_names or network.outputs, strict=True))
    return Facts(
        network=network.name,
        timesteps=network.timesteps,
        form=context.form,
        input_range=stated_ranges(network, context.input_ranges),
        neurons=tuple(neuron_facts(context, node) for node in network.nodes if isinstance(node, nodes.LIF)),
        guessed_outputs=tuple(called[name] for name in network.outputs if is_guessed(context, name)),
        endless=tuple(n.name for n in network.nodes if context.form == "step" and is_endless(context, n)),
        window=network.timesteps if context.windowed and nodes_of(network, nodes.TimeSum) else None,
        any_length=context.windowed,
        notes=(*network.notes, *saturation_notes(context)),
    )


def neuron_facts(context: Context, node: nodes.LIF) -> NeuronFacts:
    neuron, trained = integer_neuron(context, node), np.asarray(node.decay, np.float64)
    return NeuronFacts(
        name=node.name,
        decay=neuron.decay,
        steps_per_unit=2 * neuron.quiet_steps + 1,
        levels=tuple(range(-node.levels if node.signed else 0, node.levels + 1)),
        reset=neuron.reset,
        reset_steps=neuron.drop,
        trained_decay=_numbers(trained) if carries_states(context.network) else None,
        flipped=flipped_channels(node),
    )


def _numbers(values: np.ndarray) -> float | tuple[float, ...]:
    return tuple(values.tolist()) if values.ndim else float(values)


def flipped_channels(node: nodes.LIF) -> Flipped:
    """Which channels of a neuron spike with the opposite sign."""
    if np.all(node.flipped):
        return "all"
    return tuple(np.flatnonzero(node.flipped).tolist()) or "none"


def is_endless(context: Context, node: nodes.Node) -> bool:
    """Whether a node that is no neuron has a state that holds after any number of steps."""
    if isinstance(node, nodes.TimeSum):  # of spikes counted since the reset int8 holds so many
        return context.windowed or isinstance(context.network[node.inputs[0]], nodes.Integrator)
    return isinstance(node, nodes.TimeMax | nodes.RecentTimesteps | nodes.Integrator | nodes.FinalState)


def is_guessed(context: Context, output: str) -> bool:
    """Whether the range of an output was taken from noise."""
    found = context.output_grids.get(linear_source(context.network, output, through=(*SAME_GRID, *MEANS)))
    return found is not None and found.guessed


def saturation_notes(context: Context) -> list[str]:
    """One sentence for all that may saturate: currents that may change a spike, and membranes that are read."""
    of_neurons = (_notes(context, node) for node in nodes_of(context.network, nodes.LIF))
    of_membranes = (_membrane_notes(context, node) for node in nodes_of(context.network, nodes.Integrator))
    return [note for notes in (*of_neurons, *of_membranes) for note in notes]


def _membrane_notes(context: Context, node: nodes.Integrator) -> Iterator[str]:
    found = context.output_grids.get(linear_source(context.network, node.name))
    if found is not None and found.guessed:
        yield f"membranes of {node.name!r} saturate at {INT8_MAX * found.grid.scale:.3g}, a guess from noise"


def _notes(context: Context, node: nodes.LIF) -> Iterator[str]:
    network, name = context.network, node.inputs[0]
    if not context.currents[name].proven:
        subject = f"currents{' and states' * keeps_rest(network, node)} of {node.name!r}"
        yield f"{subject} saturate at {_limit(context, name, np.ones(1))} times twice the threshold"
    source = repeated(network, name)
    scale = factors(source)
    sums = None if scale is None else source.inputs[0]
    if sums in context.currents and not context.currents[sums].proven:
        yield f"sums that {node.name!r} reads saturate at {_limit(context, sums, scale)} times twice the threshold"


def _limit(context: Context, name: str, scale: np.ndarray) -> str:
    """The largest value of node `name`, times the factors of the channels."""
    values = INT8_MAX * step(context.currents[name].quiet_steps) * np.abs(scale)
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"
