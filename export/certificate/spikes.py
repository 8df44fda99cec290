"""The spikes of a file beside the spikes of the Keras model, layer by layer, on samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..costs.energy import LayerInformation, count_levels, information_of
from ..costs.operation_counts import measure
from ..program.facts import Flipped
from ..program.program import Program
from ..program.samples import Samples, check_samples, count_samples, quantize_input
from ..verification.verify import chunked, differing
from .proof import Proof

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerSpikes:
    """One spiking layer on the samples.

    firing_rate: mean |spike| over samples, timesteps and neurons of the file; None where its tensors are not known.
    same: spikes that are the Keras model's; compared: of how many. 0 where there was no model, or its layer has
        another size or name.
    flipped: some channels of the file spike with the opposite sign; they were compared with the opposite of Keras's.
    unsigned: an old file does not say which channels those are, so that only |spike| was compared.
    """

    layer: str
    firing_rate: float | None
    same: int
    compared: int
    flipped: bool
    unsigned: bool = False

    @property
    def share(self) -> float | None:
        """The share of equal spikes; None where none were compared."""
        return self.same / self.compared if self.compared else None


def observe(
    model: keras.Model | None, program: Program, proofs: Sequence[Proof], samples: Samples
) -> tuple[tuple[LayerSpikes, ...], dict[str, np.ndarray], tuple[LayerInformation, ...]]:
    """Runs the file (as Program) and the Keras model on samples.

    Returns: the spiking layers in the order of `proofs`; the tensors' activity, as `count_operations` takes it; and
    what the spikes tell.
    """
    samples = check_samples(program, samples)
    levels: dict[str, np.ndarray] = {}
    spiking = KerasSpikes(model, program.facts.timesteps) if model is not None else None
    same, compared, fired, values = Counter(), Counter(), Counter(), Counter()
    activity: dict[str, np.ndarray] = {}
    flipped = {neuron.name: neuron.flipped for neuron in program.facts.neurons}
    for chunk in chunked(samples, program):
        trace = program.trace(quantize_input(program, chunk))
        for name, share in measure(program, trace).items():
            activity[name] = activity.get(name, 0) + share * (count_samples(chunk) / count_samples(samples))
        for layer, counts in count_levels(program, trace).items():
            levels[layer] = levels.get(layer, 0) + counts
        expected = spiking.predict(chunk) if spiking else {}
        for proof in (proof for proof in proofs if proof.spikes):
            spikes = np.stack([trace[name] for name in proof.spikes], axis=1)
            fired[proof.layer] += int(np.count_nonzero(spikes))
            values[proof.layer] += spikes.size
            theirs = expected.get(proof.layer)
            if theirs is not None and theirs.size == spikes.size:
                same[proof.layer] += _same(spikes, theirs.reshape(spikes.shape), flipped[proof.layer])
                compared[proof.layer] += spikes.size
    rates = {layer: fired[layer] / count for layer, count in values.items()}
    layers = [proof.layer for proof in proofs]
    found = (
        LayerSpikes(n, rates.get(n), same[n], compared[n], flipped[n] != "none", flipped[n] == "some") for n in layers
    )
    return tuple(found), activity, information_of(levels)


class KerasSpikes:
    """The spikes of all spiking layers of a Keras model, nothing folded, by layer name."""

    def __init__(self, model: keras.Model, timesteps: int):
        from ..describe.assemble import assemble
        from ..describe.model import describe
        from ..network.nodes import LIF

        network = describe(model, unknown=timesteps, averages=True)
        self._amplitudes = {node.name: node.amplitude for node in network.nodes if isinstance(node, LIF)}
        network = replace(network, outputs=tuple(self._amplitudes), output_names=())
        self._model = assemble(network) if self._amplitudes else None

    def predict(self, samples: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """`(samples, timesteps, *features)` in {-1, 0, 1}, or levels, by layer."""
        if self._model is None:
            return {}
        outputs = self._model.predict(list(samples.values()), verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]  # Keras unpacks a single one
        return {
            name: np.rint(_divided(x, amplitude))
            for (name, amplitude), x in zip(self._amplitudes.items(), outputs, strict=True)
        }


def _divided(values: np.ndarray, amplitude: float | np.ndarray) -> np.ndarray:
    """0 where the amplitude of a channel is 0."""
    amplitude = np.broadcast_to(amplitude, values.shape[-1:])
    return np.divide(values, amplitude, out=np.zeros_like(values), where=amplitude != 0)


def _same(spikes: np.ndarray, expected: np.ndarray, flipped: Flipped) -> int:
    """How many spikes of the file, `(samples, timesteps, *features)`, are those of the Keras model."""
    if flipped == "some":
        spikes, expected = abs(spikes), abs(expected)
    return spikes.size - differing(spikes * signs(flipped, spikes.shape[-1]), expected)


def signs(flipped: Flipped, channels: int) -> np.ndarray:
    """-1 for the channels whose spikes have the opposite sign, else 1: `(channels,)`."""
    result = np.ones(channels, np.int8)
    if flipped != "none" and flipped != "some":
        result[slice(None) if flipped == "all" else list(flipped)] = -1
    return result
