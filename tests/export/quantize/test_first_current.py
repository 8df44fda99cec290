"""The current of the first timestep, labelled and clipped by the convolution where nothing but a neuron reads it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from keras_ternary_spike.export.certificate.proof import channels_that_may_tie, prove
from keras_ternary_spike.export.network.nodes import Add, ConvTranspose
from keras_ternary_spike.export.quantize.emit import weighted
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from node_graphs import CHANNELS, Graph, assert_exact, identity_block

HALF, DECAY = 100, Fraction(16, 63)  # what 0.25 becomes


def chain(rng, timesteps=2, decay=0.25, reset="zero"):
    """Two convolutions with their neurons; the first reads a still image."""
    graph = Graph(rng, timesteps)
    return resetting(graph.finish(graph.lif("lif1", graph.conv("conv", graph.stem()), decay=decay)), reset)


def resetting(network, reset):
    nodes = (replace(node, reset=reset) if node.name == "lif1" else node for node in network.nodes)
    return network.with_nodes(tuple(nodes))


def own(program, layer):
    """Kinds and roles of a layer's operators, in order."""
    names = {operator.output: program.tensors[operator.output].name for operator in program.operators}
    return [f"{o.kind} {names[o.output]}" for o in program.operators if names[o.output].startswith(f"{layer}/")]


def writer(program, name):
    return next(operator for operator in program.operators if program.tensors[operator.output].name == name)


def scale(program, name):
    return float(next(tensor.scale for tensor in program.tensors if tensor.name == name))


@pytest.mark.parametrize(
    "timesteps, roles",
    [
        (2, "MUL spike/0, SUB state/0, ADD membrane/1, MUL spike/1"),
        (
            3,
            "MUL spike/0, SUB state/0, ADD membrane/1, MUL spike/1, MUL leaked/1, SUB state/1, ADD membrane/2, "
            "MUL spike/2",
        ),
    ],
)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_neuron_behind_a_convolution_has_no_leak_at_first(rng, timesteps, roles, reset):
    program, _ = assert_exact(chain(rng, timesteps, reset=reset), rng)
    assert [role.replace("lif1/", "") for role in own(program, "lif1")] == roles.split(", ")


def test_the_first_current_is_clipped_where_the_neuron_fires(rng):
    program, trace = assert_exact(chain(rng), rng)
    first, second = (writer(program, f"conv/current/{t}") for t in (0, 1))
    assert (first.activation, second.activation) == ("RELU_N1_TO_1", "NONE")
    assert np.abs(trace["conv/current/0"]).max() == HALF + 1
    assert np.abs(trace["conv/current/1"]).max() > HALF + 1
    np.testing.assert_array_equal(trace["lif1/spike/0"] != 0, np.abs(trace["conv/current/0"]) == HALF + 1)


def test_labels_of_the_first_current_are_the_decay_times_those_of_the_others(rng):
    program, _ = assert_exact(chain(rng), rng)
    kernels, biases = (
        [program.tensors[writer(program, f"conv/current/{t}").inputs[i]] for t in (0, 1)] for i in (1, 2)
    )
    for first, second in (kernels, biases):
        assert first.data is not second.data and np.array_equal(first.data, second.data)
        np.testing.assert_allclose(first.scale, second.scale * float(DECAY), rtol=1e-6)
    np.testing.assert_allclose(scale(program, "conv/current/0"), 1 / (HALF + 1), rtol=1e-6)
    np.testing.assert_allclose(scale(program, "conv/current/1"), 1 / (HALF + 1) / float(DECAY), rtol=1e-6)
    assert not any(channels_that_may_tie(program, writer(program, f"conv/current/{t}")).any() for t in (0, 1))


def test_equal_integers_of_both_kernels_stand_once_in_the_file(rng):
    tflite_bytes = flatbuffer.write(quantize(chain(rng)))
    kernel = next(t.data for t in flatbuffer.read(tflite_bytes).tensors if t.name == "conv/kernel")
    assert tflite_bytes.count(kernel.tobytes()) == 1


@pytest.mark.parametrize(
    "timesteps, decay, reset",
    [(2, 0.05, "zero"), (5, 0.25, "zero"), (5, 0.9, "zero"), (5, 1.0, "zero"), (5, 0.25, "subtract")],
)
def test_no_spike_depends_on_who_labels_the_first_current(rng, monkeypatch, timesteps, decay, reset):
    network = chain(rng, timesteps, decay, reset)
    _, trace = assert_exact(network, rng)
    monkeypatch.setattr(weighted, "leaked_grid", lambda neuron: None)
    rng = np.random.default_rng(0)
    inputs = rng.integers(-128, 128, (5, 6, 6, 2)).astype(np.int8)
    program = quantize(network)
    assert "MUL lif1/leaked/0" in own(program, "lif1")
    expected, found = program.trace(inputs), quantize_and_trace(monkeypatch, network, inputs)
    for t in range(timesteps):
        np.testing.assert_array_equal(found[f"lif1/spike/{t}"], expected[f"lif1/spike/{t}"])
    assert np.abs(trace["lif1/spike/1"]).mean() > 0.1


def quantize_and_trace(monkeypatch, network, inputs):
    """With first currents of their own again."""
    monkeypatch.undo()
    program = quantize(network)
    assert "MUL lif1/leaked/0" not in own(program, "lif1")
    return program.trace(inputs)


def test_a_membrane_that_does_not_leak_is_clipped_as_it_is_summed(rng):
    program, trace = assert_exact(chain(rng, 4, decay=1.0), rng)
    assert not any("leaked" in role for role in own(program, "lif1"))
    assert len(own(program, "lif1")) == 2 + 2 * 3 + 2
    assert np.abs(trace["lif1/membrane/1"]).max() == 64  # the threshold lies at 63 + 1/2 steps


def transposed(rng):
    graph = Graph(rng, 2)
    spikes, shape = graph.stem(), (12, 12, CHANNELS)
    fields = {"kernel": rng.normal(0, 0.5, (2, 2, CHANNELS, CHANNELS)), "bias": np.zeros(CHANNELS)}
    current = graph.add(ConvTranspose, "conv", spikes, shape=shape, strides=(2, 2), cropping=((0, 0), (0, 0)), **fields)
    return graph.finish(graph.lif("lif1", current, shape=shape), shape)


def read_twice(rng):
    graph = Graph(rng, 2)
    current = graph.conv("conv", graph.stem())
    return graph.finish(graph.add(Add, "both", graph.lif("lif1", current), graph.lif("lif2", current)))


@pytest.mark.parametrize(
    "build",
    [transposed, read_twice, lambda rng: identity_block(rng, 2, 0.4)],
    ids=["transposed", "read twice", "added"],
)
def test_currents_that_no_convolution_alone_makes_are_clipped_by_the_neuron(rng, build):
    program, _ = assert_exact(build(rng), rng)
    assert "MUL lif1/leaked/0" in own(program, "lif1")


def test_the_step_form_clips_nothing_at_first(rng):
    program = quantize(chain(rng), form="step")
    assert not any(tensor.name.endswith("@0") for tensor in program.tensors)
    assert "MUL lif1/leaked/0" in own(program, "lif1")


@pytest.mark.parametrize("decay, reset", [(0.25, "zero"), (1.0, "zero"), (0.25, "subtract")])
def test_the_proof_takes_the_first_current_as_the_convolution_makes_it(rng, decay, reset):
    assert all(proof.holds for proof in prove(quantize(chain(rng, 3, decay, reset))))


def test_a_transposed_convolution_labels_the_first_current_of_a_soft_reset(rng):
    program, _ = assert_exact(resetting(transposed(rng), "subtract"), rng)
    assert "MUL lif1/leaked/0" not in own(program, "lif1")


def test_a_first_current_clipped_below_the_threshold_is_not_proven(rng):
    program = quantize(chain(rng))
    tensors = [
        replace(tensor, scale=np.float32(1 / HALF)) if tensor.name in ("conv/current/0", "lif1/state/0") else tensor
        for tensor in program.tensors
    ]
    assert [proof.holds for proof in prove(replace(program, tensors=tuple(tensors)))] == [True, False]


def test_a_first_current_that_nothing_clips_is_not_proven(rng):
    program = quantize(chain(rng))
    first = writer(program, "conv/current/0")
    operators = [replace(o, activation="NONE") if o is first else o for o in program.operators]
    assert [proof.holds for proof in prove(replace(program, operators=tuple(operators)))] == [True, False]


def test_other_currents_on_several_grids_are_refused(rng):
    program = quantize(chain(rng, 3))
    tensors = [replace(t, scale=t.scale * 2) if t.name == "conv/current/2" else t for t in program.tensors]
    with pytest.raises(ValueError, match=r"must lie on one grid.*2 grids at 'lif1'"):
        prove(replace(program, tensors=tuple(tensors)))
