"""Neurons of convolutions have the integers of elementwise operators."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from branching_networks import BLOCKS, T, built
from every_runtime import assert_every_tensor_equals
from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.costs.nonzero_additions import nonzero_additions
from keras_ternary_spike.export.costs.operation_counts import count_operations
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network.nodes import LIF, Reshape, SumPool, TimeSum
from keras_ternary_spike.export.program.names import is_factor, spike_tensors
from keras_ternary_spike.export.quantize.for_targets.recurrences import recurrences
from keras_ternary_spike.export.quantize.for_targets.stacked_neurons import with_stacked_neurons
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from node_graphs import SAME, Chain

IN_PLACE = pytest.mark.parametrize("in_place", [False, True])


def network(rng, timesteps=3, decay=0.25, **fields):
    """Moving images, and a neuron behind a convolution of each kind; the last one of vectors."""
    nodes = Chain(rng, timesteps, (6, 5, 2), temporal=True)
    nodes.conv("conv", 4, padding=SAME, gain=4.0).lif("lif1", decay)
    nodes.conv("depthwise", 1, padding=SAME, depthwise=True).lif("lif2", decay)
    nodes.conv("pointwise", 4, size=1).lif("lif3", decay)
    nodes.add(Reshape, "vectors", (120,)).dense("dense", 4).lif("lif4", decay)
    nodes.add(TimeSum, "time", temporal=False).dense("logits", 3, gain=0.1)
    own = [replace(node, **fields) if isinstance(node, LIF) else node for node in nodes.nodes]
    return nodes.network().with_nodes(tuple(own))


def chain(rng, timesteps=3, decay=0.25, **fields):
    return quantize(network(rng, timesteps, decay, **fields))


def samples(program, rng, count=4):
    shapes = {program.tensors[index].name: program.tensors[index].shape[1:] for index in program.inputs}
    values = {name: rng.integers(-128, 128, (count, *shape), np.int8) for name, shape in shapes.items()}
    return values if len(values) > 1 else next(iter(values.values()))


def assert_same_integers(program, rng, *, in_place):
    """Spikes and outputs are those of the elementwise operators, and every tensor is that of every runtime."""
    stacked, inputs = with_stacked_neurons(program, in_place=in_place), samples(program, rng)
    expected, found = program.trace(inputs), stacked.trace(inputs)
    for _, spikes in spike_tensors(program):
        one, other = expected[spikes.name], found[spikes.name]
        np.testing.assert_array_equal(one.ravel(), other.ravel(), err_msg=spikes.name)
    for index, other in zip(program.outputs, stacked.outputs, strict=True):
        np.testing.assert_array_equal(expected[program.tensors[index].name], found[stacked.tensors[other].name])
    tflite_bytes = flatbuffer.write(stacked)
    assert stacked.metadata == program.metadata
    assert_every_tensor_equals(found, tflite_bytes, inputs)
    return flatbuffer.read(tflite_bytes)


def kinds(program):
    return {operator.kind for operator in program.operators}


@IN_PLACE
@pytest.mark.parametrize("decay", [0.05, 0.25, 0.9, 1.0])
def test_convolutions_give_the_spikes_of_elementwise_operators(rng, in_place, decay):
    program = chain(rng, decay=decay)
    assert set(recurrences(program)) == {"lif1", "lif2", "lif3", "lif4"}
    stacked = assert_same_integers(program, rng, in_place=in_place)
    assert {"MUL", "SUB"} <= kinds(program) and "SUB" not in kinds(stacked)
    products = [operator for operator in stacked.operators if operator.kind == "MUL"]
    assert {stacked.tensors[one.inputs[1]].shape == stacked.tensors[one.output].shape for one in products} <= {True}
    assert bool(products) != in_place
    fired = stacked.trace(samples(program, rng))
    assert all(np.any(fired[spikes.name]) for _, spikes in spike_tensors(stacked))


@pytest.mark.parametrize("timesteps", [2, 4])
def test_a_timestep_costs_one_convolution_over_three_rows(rng, timesteps):
    stacked = with_stacked_neurons(chain(rng, timesteps), in_place=True)
    factors = [operator for operator in stacked.operators if is_factor(stacked, operator)]
    taps = [stacked.tensors[operator.inputs[1]].shape[1] for operator in factors]
    assert taps.count(3) == 4 * (timesteps - 1)
    assert taps.count(1) == 4 * 3 * (timesteps - 1)  # spikes twice and a leak, of every timestep but the last


def test_spikes_are_computed_once_more_where_only_the_stack_may_read_its_rows(rng):
    for in_place, readers in ((False, 2), (True, 1)):
        stacked = with_stacked_neurons(chain(rng, 2), in_place=in_place)
        joins = [operator for operator in stacked.operators if operator.kind == "CONCATENATION"]
        counts = [sum(index in operator.inputs for operator in stacked.operators) for index in joins[0].inputs]
        assert max(counts) == readers


def test_joined_branches_have_the_same_integers(rng):
    assert_same_integers(quantize(fold_network(describe(built(BLOCKS["u_net"], rng)))), rng, in_place=True)


@pytest.mark.parametrize("block, in_place", [("post_add_identity", False), ("post_add_projection", True)])
def test_branches_are_added_as_rows_and_the_first_sum_is_clipped(rng, block, in_place):
    program = quantize(fold_network(describe(built(BLOCKS[block], rng))))
    stacked = assert_same_integers(program, rng, in_place=in_place)
    names = {stacked.tensors[operator.output].name: operator for operator in stacked.operators}
    sums = {name: names[name] for name in names if re.fullmatch(r"add\w*/sum/\d", name)}
    taps = [stacked.tensors[operator.inputs[1]].data[0, :, 0, 0].tolist() for operator in sums.values()]
    assert {operator.kind for operator in sums.values()} == {"DEPTHWISE_CONV_2D"}
    assert len(sums) % T == 0 and taps == [[1, 1]] * len(sums)
    assert {name for name, one in sums.items() if one.activation != "NONE"} == {n for n in sums if n.endswith("/0")}
    assert not [name for name in names if "/clipped/" in name]
    assert all(proof.holds for proof in prove(stacked))


@IN_PLACE
def test_differences_are_two_rows_unless_an_npu_would_copy_one(rng, in_place):
    nodes = Chain(rng, 4, (6, 5, 2)).conv("conv", 4, padding=SAME, gain=4.0).repeat().lif("still").conv("next", 3)
    nodes = nodes.lif("moving").add(TimeSum, "time", temporal=False).add(Reshape, "flat", (36,)).dense("logits", 3)
    program = quantize(nodes.network())
    stacked = assert_same_integers(program, rng, in_place=in_place)
    assert "SUB" in kinds(program) and ("SUB" in kinds(stacked)) == in_place


@IN_PLACE
def test_cmsis_nn_sums_over_windows_before_it_sums_over_time(rng, in_place):
    nodes = Chain(rng, 3, (6, 6, 2), temporal=True).conv("conv", 4, padding=SAME, gain=4.0).lif("lif")
    nodes.add(TimeSum, "time", temporal=False).add(SumPool, "pool", (2, 2, 4), size=(3, 3), strides=(3, 3))
    program = quantize(nodes.add(Reshape, "flat", (16,)).dense("logits", 3, gain=0.1).network())
    stacked = assert_same_integers(program, rng, in_place=in_place)
    named = {
        stacked.tensors[operator.output].name: stacked.tensors[operator.output].shape for operator in stacked.operators
    }
    pooled, summed = (sorted(name for name in named if name.startswith(layer)) for layer in ("pool/", "time/sum"))
    early = ["pool/sum", "pool/sum/0", "pool/sum/1", "pool/sum/1/full", "pool/sum/2"]
    assert (pooled, summed) == (early, []) if not in_place else (pooled == ["pool/sum"] and summed)
    assert named["pool/sum"] == (1, 2, 2, 4)


def test_an_npu_adds_no_rows_that_others_read(rng):
    program = quantize(fold_network(describe(built(BLOCKS["membrane_shortcut"], rng))))
    stacked = assert_same_integers(program, rng, in_place=True)
    joins = [
        operator for operator in stacked.operators if operator.kind == "CONCATENATION" and len(operator.inputs) == 2
    ]
    readers = Counter(index for operator in stacked.operators for index in operator.inputs)
    assert joins and {readers[index] for operator in joins for index in operator.inputs} == {1}
    assert any(
        operator.kind == "ADD" and "sum" in stacked.tensors[operator.output].name for operator in stacked.operators
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"decay": np.array([0.1, 0.25, 0.9, 1.0])},
        {"reset": "subtract", "decay": 0.5},
        {"reset": "none", "decay": 0.9},
        {"signed": False},
    ],
    ids=["decays", "subtract", "none", "binary"],
)
def test_neurons_that_are_not_stacked_have_the_same_integers(rng, fields):
    program = chain(rng, **fields)
    assert not recurrences(program)
    stacked = assert_same_integers(program, rng, in_place=False)
    assert len([one for one in stacked.operators if is_factor(stacked, one)]) >= 4


@pytest.mark.parametrize("timesteps, form", [(1, "unrolled"), (3, "step")])
def test_one_timestep_has_nothing_to_stack(rng, timesteps, form):
    program = quantize(network(rng, timesteps), form=form)
    assert "CONCATENATION" not in kinds(assert_same_integers(program, rng, in_place=False))


@IN_PLACE
def test_a_stacked_neuron_is_proven_on_all_pairs_of_currents(rng, in_place):
    program = chain(rng)
    for one, other in zip(prove(program), prove(with_stacked_neurons(program, in_place=in_place)), strict=True):
        assert other.holds and other.compared["reference"] > other.cases
        assert (one.layer, one.method, one.cases, one.spikes) == (other.layer, other.method, other.cases, other.spikes)


@pytest.mark.parametrize("change", [-1, 1])
def test_the_proof_finds_a_reset_that_is_off_by_one_step(rng, change):
    stacked = with_stacked_neurons(chain(rng, 2), in_place=False)
    index = next(
        operator.inputs[1]
        for operator in stacked.operators
        if is_factor(stacked, operator) and stacked.tensors[operator.inputs[1]].shape[1] == 3
    )
    tensor = stacked.tensors[index]
    data = tensor.data.copy()
    data[0, 2] += 2 * change  # the taps of the last timestep are even
    tensors = tuple(replace(tensor, data=data) if i == index else one for i, one in enumerate(stacked.tensors))
    proofs = prove(replace(stacked, tensors=tensors))
    assert [proof.wrong > 0 for proof in proofs] == [True, False, False, False]


def test_factors_are_no_weights_that_meet_spikes(rng):
    program = chain(rng, 2)
    stacked, inputs = with_stacked_neurons(program, in_place=True), samples(program, rng)
    one, other = count_operations(program).total, count_operations(stacked).total
    assert (one.additions, one.multiply_accumulates) == (other.additions, other.multiply_accumulates)
    assert nonzero_additions(program, program.trace(inputs)) == nonzero_additions(stacked, stacked.trace(inputs))


@IN_PLACE
def test_the_c_code_is_that_of_elementwise_operators(rng, in_place):
    program = chain(rng)
    one, other = (design(each, "net") for each in (program, with_stacked_neurons(program, in_place=in_place)))
    assert [step.kernels for step in other.steps] == [step.kernels for step in one.steps]
    assert sum("integrate" in step.kernels for step in other.steps) == 4
