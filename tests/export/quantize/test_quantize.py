"""Folded networks to programs: exact on every runtime, and close to the float network."""

import re
from dataclasses import replace

import numpy as np
import pytest

from keras_ternary_spike.export.network.nodes import (
    NO_PADDING,
    Affine,
    MaxPool,
    SumPool,
    TimeSum,
)
from keras_ternary_spike.export.quantize.prepare import longest_run, split_sums
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from node_graphs import SAME, Chain, assert_exact


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_are_exact_on_every_runtime(seed):
    rng = np.random.default_rng(seed)
    timesteps, decay = int(rng.integers(1, 6)), float(rng.choice([0, 0.1, 0.25, 0.5, 0.9, 1]))
    height, width = rng.integers(9, 14, 2).tolist()
    chain = Chain(rng, timesteps, (height, width, int(rng.integers(1, 5))))
    chain.conv("conv0", int(rng.integers(3, 20)), padding=SAME, gain=3.0).repeat()
    chain.lif("lif0", decay, signed=bool(rng.integers(2)))
    for layer in range(1, 4):
        options = {
            "strides": (1, 2) if rng.integers(2) else (1, 1),
            "padding": [NO_PADDING, SAME, ((1, 0), (2, 1))][rng.integers(3) if min(chain.shape[:2]) > 4 else 1],
        }
        if rng.integers(3) == 0:
            options["strides"] = (1, 1)
            chain.conv(f"conv{layer}", 1 + int(rng.integers(2)), depthwise=True, **options)
        else:
            chain.conv(f"conv{layer}", int(rng.integers(3, 20)), **options)
        if rng.integers(3) == 0 and min(chain.shape[:2]) >= 2:
            rows, columns, channels = chain.shape
            chain.add(MaxPool, f"max{layer}", (rows // 2, columns // 2, channels), size=(2, 2), strides=(2, 2))
        chain.lif(f"lif{layer}", decay, signed=bool(rng.integers(2)))
    _, trace = assert_exact(chain.head().network(), rng)
    rates = [np.abs(values).mean() for name, values in trace.items() if "/spike/" in name]
    assert max(rates) > 0.05


def test_sequences_of_vectors_are_exact(rng):
    chain = Chain(rng, 4, (13,), temporal=True).dense("dense0", 24, 2.0).lif("lif0").dense("dense1", 16, 2.0)
    chain.lif("lif1", 0.9).add(TimeSum, "time", temporal=False).dense("logits", 3)
    assert_exact(chain.network(), rng, input_range=(-1.0, 1.0))


def test_spike_sequences_can_leave_the_network(rng):
    chain = Chain(rng, 3, (6, 5, 2), temporal=True).conv("conv0", 4, gain=4.0).lif("lif0")
    program, trace = assert_exact(chain.network(), rng)
    assert program.tensors[program.outputs[0]].shape == (1, 3, 4, 3, 4)
    np.testing.assert_array_equal(trace["lif0/sequence"][:, 1], trace["lif0/spike/1"])


def test_firing_rates_can_leave_the_network_under_their_scale(rng):
    chain = Chain(rng, 5, (9,)).dense("dense0", 8, 4.0).repeat().lif("lif0").add(TimeSum, "time", temporal=False)
    chain.add(Affine, "rate", scale=np.array(-0.14), offset=np.array(0.0))
    program, trace = assert_exact(chain.network(), rng)
    assert program.tensors[program.outputs[0]].scale == np.float32(0.14)
    np.testing.assert_array_equal(trace["rate/scaled"], -trace["time/sum/4"])


@pytest.mark.parametrize("timesteps, decay", [(1, 0.25), (3, 0.0), (3, 0.25), (7, 0.05), (16, 1.0)])
def test_spikes_are_named_by_layer_and_timestep(rng, timesteps, decay):
    chain = Chain(rng, timesteps, (6, 6, 1)).conv("conv0", 4, gain=4.0).repeat().lif("lif0", decay)
    chain.conv("conv1", 4).lif("lif1", decay).head()
    program = quantize(chain.network())
    names = {tensor.name for tensor in program.tensors}
    assert {f"lif1/spike/{t}" for t in range(timesteps)} <= names or (decay == 0 and "lif1/spike/0" in names)
    assert "lif0/spike/0" in names
    assert not any(re.fullmatch(r".*/spike/\d+/\d+", name) for name in names)


def test_constant_layers_are_computed_once(rng):
    chain = Chain(rng, 4, (8, 8, 1)).repeat().conv("conv0", 4, padding=SAME).lif("lif0").head()
    kinds = [operator.kind for operator in quantize(chain.network()).operators]
    assert kinds.count("CONV_2D") == 1


def test_offset_before_zero_padding_is_exact(rng):
    chain = Chain(rng, 2, (6, 6, 1))
    chain.add(Affine, "rescaling", scale=np.array(1.0), offset=np.array(-127.5))
    chain.conv("conv0", 4, padding=SAME, gain=0.02).repeat().lif("lif0").head()
    program, _ = assert_exact(chain.network(), rng, input_range=(0, 255))
    tensors = {tensor.name: tensor for tensor in program.tensors}
    image, shifted = tensors["image"], tensors["rescaling/shifted"]
    offset = shifted.scale * (np.arange(3) - shifted.zero_point) - image.scale * (np.arange(3) - image.zero_point)
    np.testing.assert_allclose(offset, -127.5, rtol=1e-6)


@pytest.mark.parametrize("pixels, bound, run", [(62, 3, 31), (196, 4, 14), (169, 1, 13), (144, 2, 24), (7, 64, 1)])
def test_runs_are_as_long_as_int8_and_one_pass_of_xnnpack_allow(pixels, bound, run):
    assert longest_run(pixels, bound) == run


def test_large_global_sums_are_split_without_changing_the_sum(rng):
    chain = Chain(rng, 4, (13, 11, 2)).conv("conv0", 6, padding=SAME, gain=4.0).repeat().lif("lif0").head()
    network = chain.network()
    kernel, tiled = network["logits"].kernel, split_sums(network)["logits"].kernel
    np.testing.assert_array_equal(tiled.reshape(-1, *kernel.shape), np.broadcast_to(kernel, (11, *kernel.shape)))
    _, trace = assert_exact(network, rng)
    spikes = sum(trace[f"lif0/spike/{t}"].astype(int) for t in range(4))
    sums = trace["sum/sum"].astype(int).sum(axis=(1, 2))
    np.testing.assert_array_equal(sums, spikes.sum(axis=(1, 2)))


def test_a_large_sum_that_leaves_the_network_is_not_split(rng):
    chain = Chain(rng, 4, (13, 11, 2)).conv("conv0", 6, padding=SAME, gain=4.0).repeat().lif("lif0").head()
    network = replace(chain.network(), outputs=("sum", "logits"))
    assert split_sums(network) is network


def test_logits_are_close_to_the_matrix_product_of_their_inputs(rng):
    chain = Chain(rng, 2, (7, 7, 1)).conv("conv0", 16, padding=SAME, gain=4.0).repeat().lif("lif0").head()
    program, trace = assert_exact(chain.network(), rng, samples=20)
    node, scale = chain.nodes[-1], float(program.tensors[program.outputs[0]].scale)
    inputs = trace["flat/reshaped"].astype(float)
    expected = inputs @ node.kernel + node.bias
    step = np.abs(node.kernel).max() / 124 * 4  # kernel integers are multiples of 4
    tolerance = 0.5 * scale + step * np.abs(inputs).sum(axis=1, keepdims=True) + 2 * step
    assert np.all(np.abs(trace["logits/current"] * scale - expected) <= tolerance)


@pytest.mark.parametrize("spread, scales", [(6.0, 1), (12.0, 9), (400.0, 9)])
def test_a_dense_layer_has_a_scale_for_each_unit_where_their_kernels_lie_apart(rng, spread, scales):
    chain = Chain(rng, 2, (30,)).repeat().dense("first", 9).lif("lif0").dense("second", 9).lif("lif1").dense("third", 4)
    factors = np.geomspace(1, spread, 9)
    apart = []
    for node in chain.nodes:
        if node.name in ("first", "second"):
            kernel = np.sign(node.kernel) * rng.uniform(0.5, 1, node.kernel.shape)
            kernel[0] = 1  # the largest of every unit
            node = replace(node, kernel=kernel * factors * 0.03)
        apart.append(node)
    program, _ = assert_exact(chain.network().with_nodes(apart), rng)
    kernels = {tensor.name: tensor for tensor in program.tensors if tensor.name in ("first/kernel", "second/kernel")}
    assert [kernel.scale.size for kernel in kernels.values()] == [scales, scales]
    if scales > 1:  # no unit has less than 32 of the 127 integers
        assert all(np.abs(kernel.data).max(axis=1).min() >= 32 for kernel in kernels.values())


def test_same_network_gives_the_same_bytes(rng):
    network = Chain(rng, 2, (8, 8, 1)).conv("conv0", 4).repeat().lif("lif0").head().network()
    assert flatbuffer.write(quantize(network)) == flatbuffer.write(quantize(network))


@pytest.mark.parametrize("input_range", [(1.0, 0.0), (0.0, 0.0), (0.0, np.inf), (np.nan, 1.0)])
def test_input_range_must_ascend(rng, input_range):
    network = Chain(rng, 1, (4,)).dense("logits", 2).network()
    with pytest.raises(ValueError, match=r"`input_range` must be \(low, high\) with low < high"):
        quantize(network, input_range=input_range)


def test_window_sum_beyond_int8_is_refused_by_name(rng):
    chain = Chain(rng, 1, (24, 24, 1)).conv("conv0", 4, gain=4.0).lif("lif0")
    chain.add(SumPool, "wide", (2, 2, 4), size=(12, 12), strides=(10, 10)).conv("conv1", 3, size=2)
    with pytest.raises(ValueError, match=r"'wide'.*may reach 144, beyond int8's 127"):
        quantize(chain.network())
