"""One operator for all timesteps of a layer has the integers of one for each."""

from dataclasses import replace

import numpy as np
import pytest

from every_runtime import assert_every_tensor_equals
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.costs.operation_counts import count_operations
from keras_ternary_spike.export.network.nodes import LIF, TimeSum
from keras_ternary_spike.export.program.names import spike_levels
from keras_ternary_spike.export.program.schedule import depth_first
from keras_ternary_spike.export.quantize.for_targets.fired_sums import with_fired_sums
from keras_ternary_spike.export.quantize.for_targets.joined_timesteps import with_joined_timesteps
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from node_graphs import SAME, Chain

WIDE = 128  # 3 * 3 * 128 * 128 bytes are more than 2^17


def images(rng, timesteps, shape=(2, 3), channels=WIDE, reset="zero", **options):
    """Neurons in front of and behind a convolution of many channels."""
    nodes = Chain(rng, timesteps, (*shape, 2), temporal=True).conv("conv1", channels, padding=SAME, gain=4.0)
    nodes.lif("lif1", 0.25).conv("conv2", channels, **options)
    nodes.add(LIF, "lif2", decay=0.25, threshold=0.5, amplitude=1.0, reset=reset)
    return quantize(nodes.add(TimeSum, "time", temporal=False).conv("logits", 3, size=1, gain=0.1).network())


def vectors(rng, timesteps):
    nodes = Chain(rng, timesteps, (6,), temporal=True).dense("dense1", 384, gain=4.0).lif("lif1", 0.25)
    nodes.dense("dense2", 352, gain=2.0).lif("lif2", 0.25).add(TimeSum, "time", temporal=False)
    return quantize(nodes.dense("logits", 3, gain=0.1).network())


def noise(rng, program):
    return rng.integers(-128, 128, (3, *program.tensors[program.inputs[0]].shape[1:]), np.int8)


def convolutions(program, layer):
    kernels = [operator for operator in program.operators if len(operator.inputs) == 3 and operator.kind != "SLICE"]
    return [one for one in kernels if program.tensors[one.inputs[1]].name.startswith(f"{layer}/")]


@pytest.mark.parametrize(
    ("make", "timesteps", "dilation"),
    [
        (lambda rng, timesteps: images(rng, timesteps, padding=SAME), 2, 2),
        (lambda rng, timesteps: images(rng, timesteps, padding=SAME), 3, 3),
        (lambda rng, timesteps: images(rng, timesteps, (3, 5), dilation=(1, 2), reset="subtract"), 2, 2),
        (vectors, 2, 1),
    ],
    ids=["images", "three timesteps", "not padded, another reset", "vectors"],
)
def test_joined_timesteps_give_the_same_integers_on_every_runtime(rng, make, timesteps, dilation):
    one = make(rng, timesteps)
    other = with_joined_timesteps(one)
    layer = "dense2" if dilation == 1 else "conv2"
    (joined,) = convolutions(other, layer)
    assert joined.kind == "CONV_2D" and joined.options["dilation_h_factor"] == dilation
    assert len(convolutions(one, layer)) == timesteps
    inputs = noise(rng, one)
    expected, found, written = one.trace(inputs), other.trace(inputs), flatbuffer.write(other)
    assert len(np.unique(expected[f"{layer}/current/1"])) > 50
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert_every_tensor_equals(found, written, inputs)
    assert len(written) < len(flatbuffer.write(one)) + 4096


def test_joined_timesteps_are_proven_and_counted_alike(rng):
    one = images(rng, 2, padding=SAME)
    other = with_fired_sums(with_joined_timesteps(one))
    assert spike_levels(other) == spike_levels(one)
    for before, after in zip(prove(one), prove(flatbuffer.read(flatbuffer.write(other))), strict=True):
        assert after.holds and (before.method, before.cases, before.spikes) == (after.method, after.cases, after.spikes)
    before, after = count_operations(one).total, count_operations(other).total
    assert (before.additions_bound, before.multiply_accumulates) == (after.additions_bound, after.multiply_accumulates)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": 120},  # the kernel has 129,600 bytes
        {"shape": (5, 8)},  # of 40 pixels: 7 bytes of the kernel for each that is moved
        {"shape": (6, 6), "strides": (2, 1)},
        {"channels": 182, "size": 2, "padding": ((0, 1), (0, 1))},  # one image is padded below, two in turns above, too
    ],
    ids=["small kernel", "large images", "stride", "even window"],
)
def test_other_layers_keep_an_operator_for_each_timestep(rng, options):
    one = images(rng, 2, **{"padding": SAME} | options)
    assert with_joined_timesteps(one) is one


@pytest.mark.parametrize("batch, joins", [(6, True), (7, False), (None, False)])
def test_files_of_many_samples_read_a_kernel_less_often(rng, batch, joins):
    one = replace(images(rng, 2, padding=SAME), batch=batch)
    assert (with_joined_timesteps(one) is not one) == joins


def test_a_kernel_that_others_use_stays_as_it_is(rng):
    one = vectors(rng, 2)
    first, second = convolutions(one, "dense2")
    reader = replace(second, inputs=(first.inputs[0], *second.inputs[1:]), output=len(one.tensors))
    tensor = replace(one.tensors[second.output], name="other/current/0")
    used = replace(one, tensors=(*one.tensors, tensor), operators=(*one.operators, reader))
    assert with_joined_timesteps(used) is used and with_joined_timesteps(one) is not one


def test_timesteps_one_behind_the_other_are_brought_together(rng):
    one = images(rng, 2, padding=SAME)
    other = with_joined_timesteps(replace(one, operators=tuple(depth_first(one))))
    inputs = noise(rng, one)
    np.testing.assert_array_equal(other.run(inputs), one.run(inputs))
    assert len(convolutions(other, "conv2")) == 1
