"""Proofs of spiking layers: every operand on every runtime, and wrong layers are found out."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from certified_models import build
from keras_ternary_spike import BinaryLIF, TernaryLIF
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.certificate import enumeration as enumeration_module
from keras_ternary_spike.export.certificate.enumeration import recurrence
from keras_ternary_spike.export.certificate.proof import Neuron, channels_that_may_tie, prove
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.runtimes import implementations as runtimes
from keras_ternary_spike.export.tflite.flatbuffer import read


@pytest.fixture(scope="module")
def tflite_bytes():
    return export_tflite(build())


def changed(program, name, **changes):
    """The program with one tensor changed."""
    assert name in {tensor.name for tensor in program.tensors}
    tensors = tuple(replace(t, **changes) if t.name == name else t for t in program.tensors)
    return replace(program, tensors=tensors)


@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF])
@pytest.mark.parametrize(
    "timesteps, decays",
    [(1, (0.25, 0.5)), (2, (0.1, 0.9)), (4, (0.1, 0.0, 0.1)), (6, (0.25, 0.1, 0.0)), (3, (1.0, 1.0))],
)
def test_layers_of_every_kind_are_proven_and_their_spikes_found(timesteps, decays, neuron):
    """Small decays and long constant currents leave out operators: a timestep's spikes are then another's."""
    program = read(export_tflite(build(timesteps, decays, neuron)))
    samples = np.random.default_rng(1).integers(-128, 128, (2, 6, 6, 1)).astype(np.int8)
    trace = program.trace(samples)
    for proof in prove(program):
        assert proof.holds
        assert len(proof.spikes) == timesteps
        assert all(set(np.unique(trace[name])) <= {-1, 0, 1} for name in proof.spikes)


def test_layers_with_the_same_operators_share_one_run(monkeypatch):

    program, runs, enumerate_cases = read(export_tflite(build(2, (0.25,) * 4))), [], enumeration_module.enumerate_cases

    def counting(*arguments):
        runs.append(arguments)
        return enumerate_cases(*arguments)

    monkeypatch.setattr(enumeration_module, "enumerate_cases", counting)
    assert [one.method for one in prove(program)] == ["currents", "pairs", "pairs", "pairs"]
    assert len(runs) == 2


def test_a_wrong_decay_in_the_file_is_not_proven(tflite_bytes):
    program = read(tflite_bytes)
    slower = next(t for t in program.tensors if t.name == "lif_1/decay/3d").scale * 2
    proof = prove(changed(program, "lif_1/decay/3d", scale=slower))[1]
    assert proof.wrong > 0
    assert not proof.holds
    assert set(proof.differing.values()) == {0}  # the runtimes agree: on another neuron


def test_a_threshold_that_ties_is_refused(tflite_bytes):
    program = read(tflite_bytes)
    grid = np.float32(1 / 200)  # the threshold lies on a step: equality fires in some roundings only
    names = [t.name for t in program.tensors if t.name.startswith(("conv_1/current", "lif_1/membrane"))]
    tampered = program
    for name in names:
        tampered = changed(tampered, name, scale=grid)
    with pytest.raises(ValueError, match=r"keep every integer it can read from a tie"):
        prove(tampered)


def test_an_odd_kernel_of_a_firing_layer_may_tie(tflite_bytes):
    program = read(tflite_bytes)
    firing = next(o for o in program.operators if program.tensors[o.output].name == "lif_2/spike/0")
    kernel = program.tensors[firing.inputs[1]]
    data = kernel.data.copy()
    data[2, 0, 0, 0] += 1
    assert channels_that_may_tie(program, firing).tolist() == [False] * 4
    tampered = changed(program, kernel.name, data=data)
    assert channels_that_may_tie(tampered, firing).tolist() == [False, False, True, False]
    assert prove(tampered)[2].wrong == 1


@pytest.mark.parametrize(
    "multiplier, kernel, may_tie",
    [
        (40 / 63, 1, False),
        (31 / 63, 1, True),  # below 1/2: two roundings
        (1 / 6, 2, False),
        (1 / 6, 1, True),
        (1 / 12, 2, True),  # q even: 6 accumulator steps are half an output step
        (1 / 2, 2, True),
        (0.3, 2, True),
    ],
)
def test_only_two_families_of_multipliers_cannot_tie(multiplier, kernel, may_tie):
    builder = Builder()
    vector = builder.activation("vector", (2,), Grid(1.0))
    weights = builder.constant("dense/kernel", np.full((1, 2), kernel, np.int8), multiplier)
    bias = builder.constant("dense/bias", np.zeros(1, np.int32), multiplier)
    output = builder.emit("FULLY_CONNECTED", (vector, weights, bias), "dense/current", (1,), Grid(1.0))
    program = builder.program("dense", (vector,), (output,))
    assert channels_that_may_tie(program, program.operators[0]).tolist() == [may_tie]


def test_a_runtime_that_is_wrong_on_one_pair_is_not_proven(tflite_bytes, monkeypatch):
    right = runtimes.RUNTIMES["xnnpack"].run

    def wrong(tflite, inputs):
        outputs = right(tflite, inputs)
        if "spike/1" in outputs:
            outputs["spike/1"].flat[12345 % outputs["spike/1"].size] ^= 1
        return outputs

    broken = runtimes.Runtime("xnnpack", wrong)
    monkeypatch.setattr(runtimes, "RUNTIMES", dict(runtimes.RUNTIMES) | {"xnnpack": broken})
    proof = prove(read(tflite_bytes))[1]
    assert proof.differing == {"reference": 0, "optimized": 0, "xnnpack": 1, "tflm": 0}
    assert not proof.holds


def test_the_equation_in_integers_follows_the_fractions():
    """decay 1/3, threshold at 2.5 steps: 2 -> 2/3 rounds to 1, 1 + 2 = 3 fires and resets; 2 again, then 1 - 4 = -3."""
    currents = np.array([2, 2, 2, -4, 1], np.int8).reshape(1, 5, 1)
    spikes = recurrence(currents, Neuron("lif", Fraction(1, 3), 2, signed=True))
    assert spikes.ravel().tolist() == [0, 1, 0, -1, 0]
    assert recurrence(currents, Neuron("lif", Fraction(1, 3), 2, signed=False)).ravel().tolist() == [0, 1, 0, 0, 0]


def test_a_layer_that_the_file_does_not_compute_is_refused(tflite_bytes):
    program = read(tflite_bytes)
    metadata = json.loads(json.dumps(program.metadata))
    metadata["neurons"][1]["name"] = "ghost"
    with pytest.raises(ValueError, match=r"Every spiking layer .* must have operators\. Received: none of 'ghost'"):
        prove(replace(program, metadata=metadata))
