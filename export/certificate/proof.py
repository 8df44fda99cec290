"""Each spiking layer of a file, run on every operand: on Program, on the runtimes, and against the neuron's equation.

A layer's own operators are taken out of the file. Their currents are int8, so all of them can be tried: for every
timestep all 65,536 pairs of the current before it, which is the membrane there, and the current at it; all 256
currents where there is no state, or where one current serves all timesteps; all pairs of summands where there is no
state and a sum fires. Where channels decay differently, all of them for every decay, several decays in one run. Layers
with the same operators share the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..costs.operation_counts import APPLICATIONS
from ..program.facts import NeuronFacts
from ..program.names import Name, parse, written_by
from ..program.operators import Operator, source_position
from ..program.program import Program, kernel_rows
from ..quantize.integer_neuron import Neuron, described
from ..quantize.weights import DENOMINATOR, is_safe
from .enumeration import Enumeration, enumerate_channels
from .isolation import are_sums, current_tensors, own_operators


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
    if "neurons" not in program.metadata:
        raise ValueError(
            "The file must state its spiking layers, as files of `export_tflite` do. Received: no 'neurons' in its "
            "metadata. Export the model again."
        )
    return tuple(map(_stated, program.facts.neurons))


def _stated(facts: NeuronFacts) -> Neuron:
    quiet_steps, highest = facts.steps_per_unit // 2, max(facts.levels)
    return Neuron(facts.name, facts.decay, quiet_steps, facts.signed, facts.reset, facts.reset_steps, levels=highest)


def _prove_operators(program: Program, neuron: Neuron, known: dict, earlier: list[Proof]) -> Proof:
    operators, timesteps = own_operators(program, neuron.name), program.facts.timesteps
    method = _method(program, operators, neuron)
    frames = {"currents": 1, "summands": 2, "pairs": timesteps}[method]
    found = enumerate_channels(program, operators, neuron, frames, known)
    served = [str(replace(parse(role), layer=neuron.name)) for role in found.served]
    if neuron.decay == 0:
        served = _served(program, neuron, earlier)
    return _proof(neuron, method, found.cases, found.wrong, served, found.compared, found.differing)


def _method(program: Program, operators: Sequence[Operator], neuron: Neuron) -> str:
    if neuron.decay == 0:
        return "summands" if are_sums(program, operators) else "currents"
    return "currents" if len(current_tensors(program, operators)) == 1 else "pairs"


def _prove_kernel(program: Program, neuron: Neuron, known: dict, earlier: list[Proof]) -> Proof:
    written = written_by(program, neuron.name)
    firing = [operator for name, operator in written if operator.kind in APPLICATIONS and name.role == "spike"]
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
        steps_per_unit=2 * neuron.quiet_steps + 1,
        method=method,
        cases=tried,
        compared=compared or {},
        differing=differing or {},
        wrong=wrong,
        spikes=tuple(spikes),
    )


def _served(program: Program, neuron: Neuron, earlier: list[Proof]) -> tuple[str, ...]:
    """Names of the spike tensors, one per timestep.

    An operator asked for twice is emitted once, so equal inputs at two timesteps leave one name: where one is missing
    it is that of a timestep with equal spikes in an earlier layer. Empty if none fits.
    """
    names = [str(Name(neuron.name, "spike", t)) for t in range(program.facts.timesteps)]
    tensors = {tensor.name for tensor in program.tensors}
    single = [name for name in names if name in tensors]
    found = []
    for t, name in enumerate(names):
        alike = [names[proof.spikes.index(proof.spikes[t])] for proof in earlier if proof.spikes]
        last = single if len(single) == 1 else []
        found += [tensor for tensor in (name, *alike, *last) if tensor in tensors][:1]
    return tuple(found) if len(found) == len(names) else ()


TOLERANCE = 1e-6  # relative, of multipliers made of three float32 scales


def channels_that_may_tie(program: Program, operator: Operator) -> np.ndarray:
    """Per output channel of an operator with a kernel: True unless its multiplier keeps it away from ties.

    The two families: n / 63 with n >= 32, and 1 / (2 q) with q odd and safe, kernel and bias even.
    """
    source, kernel = program.tensors[operator.inputs[source_position(operator)]], program.tensors[operator.inputs[1]]
    bias = program.tensors[operator.inputs[-1]].data
    even = np.all(kernel_rows(program, operator) % 2 == 0, axis=0) & (bias % 2 == 0)
    scales = float(source.scale) * kernel.scale.astype(np.float64) / float(program.tensors[operator.output].scale)
    multipliers = np.broadcast_to(scales, even.shape)
    return np.array([not (_over_63(m) or (e and _over_2q(m))) for m, e in zip(multipliers, even, strict=True)])


def _over_63(multiplier: float) -> bool:
    """n / 63 with n >= 32."""
    n = round(DENOMINATOR * multiplier)
    return n > DENOMINATOR // 2 and abs(DENOMINATOR * multiplier - n) <= TOLERANCE * n


def _over_2q(multiplier: float) -> bool:
    """1 / (2 q), q odd, at least 3 and safe under two roundings."""
    q = round(1 / (2 * multiplier))
    return q >= 3 and q % 2 == 1 and abs(2 * q * multiplier - 1) <= TOLERANCE and is_safe(q)
