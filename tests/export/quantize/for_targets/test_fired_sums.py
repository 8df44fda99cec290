"""Sums that fire at the last timestep have the integers of a sum and a product."""

import numpy as np
import pytest

from branching_networks import BLOCKS, built
from every_runtime import assert_every_tensor_equals
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.costs.operation_counts import count_operations
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network.nodes import MaxPool, Reshape, TimeSum
from keras_ternary_spike.export.program.names import spike_levels, spike_tensors
from keras_ternary_spike.export.quantize.for_targets.fired_sums import with_fired_sums
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from node_graphs import SAME, Chain


def chain(rng, timesteps=2, decay=0.25):
    """A neuron in front of a convolution, one in front of a pool, one whose spikes are summed over time."""
    nodes = Chain(rng, timesteps, (6, 4, 2), temporal=True)
    nodes.conv("conv1", 4, padding=SAME, gain=4.0).lif("lif1", decay).conv("conv2", 4, padding=SAME).lif("lif2", decay)
    nodes.add(MaxPool, "pool", (3, 2, 4), size=(2, 2), strides=(2, 2)).conv("conv3", 4, size=1).lif("lif3", decay)
    nodes.add(Reshape, "flat", (24,)).add(TimeSum, "time", temporal=False).dense("logits", 3, gain=0.1)
    return quantize(nodes.network())


def label(program, name):
    return next(float(tensor.scale.flat[0]) for tensor in program.tensors if tensor.name == name)


@pytest.mark.parametrize("timesteps", [2, 3])
def test_sums_that_fire_have_the_same_integers_on_every_runtime(rng, timesteps):
    program = chain(rng, timesteps)
    fired, last = flatbuffer.read(flatbuffer.write(with_fired_sums(program))), timesteps - 1
    inputs = rng.integers(-128, 128, (16, timesteps, 6, 4, 2), np.int8)
    expected, found = program.trace(inputs), fired.trace(inputs)
    for _, spikes in spike_tensors(program):
        np.testing.assert_array_equal(found[spikes.name], expected[spikes.name], err_msg=spikes.name)
        assert set(np.unique(found[spikes.name])) == {-1, 0, 1}
    np.testing.assert_array_equal(found["logits/current"], expected["logits/current"])
    assert_every_tensor_equals(found, flatbuffer.write(fired), inputs)
    assert len(fired.operators) == len(program.operators) - 2
    writers = {fired.tensors[operator.output].name: operator.kind for operator in fired.operators}
    assert [writers[f"lif{n}/spike/{last}"] for n in (1, 2, 3)] == ["ADD", "ADD", "MUL"]


def test_the_label_of_a_spike_is_two_thresholds_of_its_sum(rng):
    program = chain(rng)
    fired, neuron = with_fired_sums(program), program.facts.neurons[0]
    unit = neuron.steps_per_unit * label(program, "conv1/current/1")
    assert label(fired, "lif1/spike/1") == pytest.approx(unit, rel=1e-6) and unit > 2
    assert label(fired, "conv2/kernel") == pytest.approx(label(program, "conv2/kernel") / unit, rel=1e-6)
    assert [label(fired, name) for name in ("lif1/spike/0", "lif3/spike/1")] == [1, 1]
    assert label(fired, "pool/max/1") == label(fired, "lif2/spike/1")


def test_a_small_decay_lies_beyond_the_scales_that_xnnpack_adds(rng):
    program = chain(rng, decay=0.1)
    assert len(with_fired_sums(program).operators) == len(program.operators)


def test_sums_on_coarse_grids_would_round_to_more_than_a_spike(rng):
    program = quantize(fold_network(describe(built(BLOCKS["post_add_identity"], rng))))
    fired, steps = with_fired_sums(program), [neuron.steps_per_unit for neuron in program.facts.neurons]
    inputs = rng.integers(-128, 128, (4, *program.tensors[program.inputs[0]].shape[1:]), np.int8)
    expected, found = program.trace(inputs), fired.trace(inputs)
    assert min(steps) < 85 < max(steps) and 0 < len(program.operators) - len(fired.operators) < len(steps) - 1
    assert all(np.array_equal(expected[spikes.name], found[spikes.name]) for _, spikes in spike_tensors(program))


def test_sums_that_fire_are_proven_and_counted_as_spikes(rng):
    program = chain(rng)
    fired = with_fired_sums(program)
    assert set(spike_levels(fired).values()) == {1} and spike_levels(fired).keys() == spike_levels(program).keys()
    for one, other in zip(prove(program), prove(fired), strict=True):
        assert other.holds and (other.cases, other.spikes) == (one.cases, one.spikes)
    one, other = count_operations(program).total, count_operations(fired).total
    assert (one.additions, one.multiply_accumulates) == (other.additions, other.multiply_accumulates)
