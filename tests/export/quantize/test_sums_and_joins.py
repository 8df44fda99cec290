"""Branches in the integer program: shortcuts, sums, concatenations and copies, on every runtime."""

from dataclasses import replace

import numpy as np
import pytest

from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.certificate.text import operands
from keras_ternary_spike.export.network.nodes import (
    Add,
    Affine,
    Concatenate,
    ConvTranspose,
    Crop,
    Reshape,
    SumPool,
    TimeSum,
    Upsample,
    ZeroPad,
)
from keras_ternary_spike.export.quantize.current_grids import plan_currents
from keras_ternary_spike.export.quantize.to_program import quantize
from node_graphs import CHANNELS, SIZE, Chain, Graph, assert_exact, identity_block


@pytest.mark.parametrize("timesteps, decay", [(1, 0.25), (2, 0.25), (4, 0.9), (3, 0.0)])
@pytest.mark.parametrize("amplitude", [1.0, -0.6, 0.1])
def test_identity_shortcut_is_exact_and_brings_whole_steps(rng, amplitude, timesteps, decay):
    network = identity_block(rng, timesteps, amplitude, decay)
    _, trace = assert_exact(network, rng)
    grid = plan_currents(network)["add"]
    assert grid.proven
    steps = np.floor(amplitude * (2 * grid.quiet_steps + 1) + 0.5)
    for t in range(timesteps):
        total = at(trace, "conv1/current", t) + steps * at(trace, "lif0/spike", t)
        if timesteps > 1 and decay:
            np.testing.assert_array_equal(at(trace, "add/sum", t), np.clip(total, -128, 127))
        else:  # without a state the sum itself fires
            assert "add/sum/0" not in trace and "add/sum" not in trace
            np.testing.assert_array_equal(
                at(trace, "lif1/spike", t), np.sign(total) * (np.abs(total) > grid.quiet_steps)
            )


def test_sums_that_fire_are_proven_on_every_pair_of_summands(rng):
    program = quantize(identity_block(rng, 1, 0.4))
    proof = prove(program)[1]
    assert (proof.layer, proof.method, proof.cases, proof.holds) == ("lif1", "summands", 65536, True)
    assert operands(proof) == "65,536 pairs of summands: no state"
    assert not prove(with_steps(program, 203))[1].holds  # the threshold lies a step higher
    with pytest.raises(ValueError, match="tie"):  # with an even number of steps to the unit it lies on one
        prove(with_steps(program, 200))


def with_steps(program, steps):
    """The program with other grids of the summands: so many steps to the unit."""
    wrong = {"conv1/current", "shortcut/current"}
    grids = (replace(t, scale=np.float32(1 / steps)) if t.name in wrong else t for t in program.tensors)
    return replace(program, tensors=tuple(grids))


def test_the_last_of_several_sums_fires(rng):
    graph = Graph(rng, 1)
    spikes = graph.stem()
    summands = [graph.conv(name, spikes) for name in ("conv1", "conv2", "conv3")]
    network = graph.finish(graph.lif("lif1", graph.add(Add, "add", *summands)))
    _, trace = assert_exact(network, rng)
    first, second, third = (at(trace, f"{name}/current", 0) for name in summands)
    total = np.clip(first + second, -128, 127) + third
    expected = np.sign(total) * (np.abs(total) > plan_currents(network)["add"].quiet_steps)
    np.testing.assert_array_equal(at(trace, "lif1/spike", 0), expected)


def test_a_sum_of_a_current_and_itself_does_not_fire(rng):
    """It has one operand to try, not two."""
    graph = Graph(rng, 1)
    current = graph.conv("conv1", graph.stem())
    network = graph.finish(graph.lif("lif1", graph.add(Add, "add", current, current)))
    program, trace = assert_exact(network, rng)
    assert "add/sum" in trace and [proof.method for proof in prove(program)] == ["kernel", "currents"]
    assert all(proof.holds for proof in prove(program))


def at(trace, name, timestep):
    """The value of a tensor at a timestep; what is the same at all timesteps exists once."""
    return trace[f"{name}/{timestep}"] if f"{name}/{timestep}" in trace else trace.get(name, trace.get(f"{name}/0"))


def test_saturating_current_beats_the_most_contrary_shortcut_and_state(rng):
    for amplitude in (0.1, 0.5, 1.0, 2.0):
        network = identity_block(rng, 2, amplitude)
        quiet_steps, decay = plan_currents(network)["add"].quiet_steps, 16 / 63
        worst = 127 - np.floor(amplitude * (2 * quiet_steps + 1) + 0.5) - decay * quiet_steps
        assert worst >= quiet_steps + 0.5


def test_a_current_that_a_kernel_reads_too_does_not_saturate_at_the_threshold(rng):
    """A block of another shape begins with it: neurons on one side, a projection on the other."""
    graph = Graph(rng, 1)
    current = graph.conv("conv1", graph.stem())
    branch = graph.conv("conv2", graph.lif("lif1", current))
    total = graph.add(Add, "add", branch, graph.conv("projection", current))
    network = graph.finish(graph.lif("lif2", total))
    assert_exact(network, rng)
    grids = plan_currents(network)
    assert grids["conv1"] == grids["add"] and not grids["conv1"].proven
    assert 127 * grids["conv1"].grid.scale > 3  # units of twice the threshold, which a stream may reach


def test_shortcut_per_channel_is_exact(rng):
    network = identity_block(rng, 2, 1.0)
    scale = np.linspace(-1, 1, CHANNELS)
    nodes = [Affine(**{**vars(n), "scale": scale}) if n.name == "shortcut" else n for n in network.nodes]
    _, trace = assert_exact(network.with_nodes(nodes), rng)
    assert {1, -1} <= set(np.unique(trace["lif1/spike/1"]))


def test_bare_spikes_in_a_sum_of_currents_are_a_shortcut_of_scale_one(rng):
    named = identity_block(rng, 2, 1.0)
    nodes = [n for n in named.nodes if n.name != "shortcut"]
    bare = [Add(**{**vars(n), "inputs": ("conv1", "lif0")}) if n.name == "add" else n for n in nodes]
    first, second = (quantize(network) for network in (named, named.with_nodes(bare)))
    image = rng.integers(-128, 128, (4, SIZE, SIZE, 2)).astype(np.int8)
    np.testing.assert_array_equal(first.run(image), second.run(image))
    assert_exact(named.with_nodes(bare), rng)


def test_sum_of_two_convolutions_states_its_saturation(rng):
    graph = Graph(rng, 2)
    spikes = graph.stem()
    total = graph.add(Add, "add", graph.conv("conv1", spikes), graph.conv("conv2", spikes, size=1))
    program, _ = assert_exact(graph.finish(graph.lif("lif1", total)), rng)
    assert program.metadata["notes"] == ["currents of 'lif1' saturate at 3.10 times twice the threshold"]


def test_residual_stream_of_currents_is_exact(rng):
    graph = Graph(rng, 3)
    graph.stem()
    stream = graph.conv("conv0", "lif0")
    for block in (1, 2):
        spikes = graph.lif(f"lif{block}", stream)
        stream = graph.add(Add, f"add{block}", stream, graph.conv(f"conv{block}", spikes))
    assert_exact(graph.finish(graph.lif("last", stream)), rng)


def test_spikes_added_to_spikes_are_integers(rng):
    graph = Graph(rng, 2)
    first = graph.stem()
    second = graph.lif("lif1", graph.conv("conv1", first))
    total = graph.add(Add, "add", first, second)
    _, trace = assert_exact(graph.finish(graph.lif("lif2", graph.conv("conv2", total))), rng)
    assert {-2, 2} <= set(np.unique([trace[name] for name in trace if name.startswith("add/sum")]))


def test_concatenated_spikes_are_exact(rng):
    graph = Graph(rng, 2)
    first = graph.stem()
    second = graph.lif("lif1", graph.conv("conv1", first))
    both = graph.add(Concatenate, "both", first, second, shape=(SIZE, SIZE, 2 * CHANNELS))
    total = graph.conv("conv2", both, fan_in=2 * CHANNELS)
    _, trace = assert_exact(graph.finish(graph.lif("lif2", total)), rng)
    np.testing.assert_array_equal(trace["both/joined/1"][..., CHANNELS:], trace["lif1/spike/1"])


def test_more_branches_than_tflite_micro_joins_are_joined_group_by_group(rng):
    graph = Graph(rng, 2)
    spikes = graph.stem()
    branches = [graph.lif(f"lif{n}", graph.conv(f"conv{n}", spikes)) for n in range(1, 13)]
    joined = graph.add(Concatenate, "joined", *branches, shape=(SIZE, SIZE, 12 * CHANNELS))
    total = graph.conv("last", joined, fan_in=12 * CHANNELS)
    program, trace = assert_exact(graph.finish(graph.lif("lif13", total)), rng, samples=2)
    joins = [operator for operator in program.operators if operator.kind == "CONCATENATION"]
    assert sorted(len(operator.inputs) for operator in joins) == [2, 2, 2, 2, 10, 10]
    expected = np.concatenate([trace[f"lif{n}/spike/1"] for n in range(1, 13)], axis=-1)
    np.testing.assert_array_equal(trace["joined/joined/1"], expected)


@pytest.mark.parametrize("rows, columns, window", [(3, 2, 2), (2, 3, 2), (9, 13, 8), (13, 7, 7)])
def test_one_pooled_pixel_leaves_out_the_rows_and_columns_beyond_it(rng, rows, columns, window):
    chain = Chain(rng, 1, (rows, columns, 2)).repeat().conv("conv", 3, size=1).lif("lif")
    chain.add(TimeSum, "time", temporal=False)
    chain.add(SumPool, "sum", (1, 1, 3), size=(window, window), strides=(window, window))
    _, trace = assert_exact(chain.add(Reshape, "flat", (3,)).dense("dense", 4).network(), rng)
    expected = trace["lif/spike/0"][:, :window, :window].sum(axis=(1, 2))
    np.testing.assert_array_equal(trace["sum/sum"].reshape(expected.shape), expected)


@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (2, 1)])
def test_upsampled_spikes_are_repeated(rng, factors):
    graph = Graph(rng, 2)
    shape = (SIZE * factors[0], SIZE * factors[1], CHANNELS)
    large = graph.add(Upsample, "up", graph.stem(), factors=factors, shape=shape)
    spikes = graph.lif("lif1", graph.conv("conv1", large, shape=shape), shape=shape)
    _, trace = assert_exact(graph.finish(spikes, shape), rng)
    expected = trace["lif0/spike/1"].repeat(factors[0], axis=1).repeat(factors[1], axis=2)
    np.testing.assert_array_equal(trace["up/upsampled/1"], expected)


def test_padded_and_cropped_spikes_are_moved(rng):
    graph = Graph(rng, 2)
    padded = graph.add(ZeroPad, "pad", graph.stem(), padding=((2, 1), (0, 3)), shape=(SIZE + 3, SIZE + 3, CHANNELS))
    cropped = graph.add(Crop, "crop", padded, cropping=((1, 2), (1, 2)))
    _, trace = assert_exact(graph.finish(graph.lif("lif1", graph.conv("conv1", cropped))), rng)
    expected = np.pad(trace["lif0/spike/0"], [(0, 0), (1, 0), (0, 1), (0, 0)])[:, :SIZE, 1 : SIZE + 1]
    np.testing.assert_array_equal(trace["crop/cropped/0"], expected)


def transposed(rng, timesteps, size, strides, cropping):
    """A transposed convolution between two neurons, and the shape that it leaves."""
    graph = Graph(rng, timesteps)
    spikes = graph.stem()
    full = [(SIZE - 1) * stride + taps for stride, taps in zip(strides, size, strict=True)]
    shape = (*(n - sum(crop) for n, crop in zip(full, cropping, strict=True)), CHANNELS)
    kernel = rng.normal(0, 0.3, (*size, CHANNELS, CHANNELS))
    options = {"kernel": kernel, "bias": rng.normal(0, 0.1, CHANNELS), "strides": strides, "cropping": cropping}
    current = graph.add(ConvTranspose, "up", spikes, shape=shape, **options)
    return graph.finish(graph.lif("lif1", current, shape=shape), shape)


@pytest.mark.parametrize("timesteps", [1, 2])
@pytest.mark.parametrize(
    "size, strides, cropping",
    [
        ((2, 2), (2, 2), ((0, 0), (0, 0))),
        ((3, 3), (2, 2), ((0, 1), (0, 1))),
        ((4, 3), (2, 2), ((1, 1), (1, 1))),
        ((3, 3), (2, 2), ((2, 0), (1, 2))),
    ],
)
def test_transposed_convolution_is_exact_and_scatters_its_kernel(rng, size, strides, cropping, timesteps):
    network = transposed(rng, timesteps, size, strides, cropping)
    program, trace = assert_exact(network, rng, samples=2)
    kernel = next(tensor for tensor in program.tensors if tensor.name == "up/kernel")
    bias = next(tensor for tensor in program.tensors if tensor.name == "up/bias")
    spikes, current = at(trace, "lif0/spike", timesteps - 1), at(trace, "up/current", timesteps - 1)
    full = np.zeros((2, *((SIZE - 1) * s + k for s, k in zip(strides, size, strict=True)), CHANNELS))
    for row, column in np.ndindex(SIZE, SIZE):
        patch = np.einsum("nc,oijc->nijo", spikes[:, row, column], kernel.data.astype(int))
        top, left = row * strides[0], column * strides[1]
        full[:, top : top + size[0], left : left + size[1]] += patch
    (top, bottom), (left, right) = cropping
    full = full[:, top : full.shape[1] - bottom, left : full.shape[2] - right] + bias.data
    step = plan_currents(network)["up"].grid.scale
    np.testing.assert_array_equal(current, np.clip(np.rint(full * kernel.scale / step), -128, 127))


def test_shortcut_beyond_int8_is_refused_by_name(rng):
    with pytest.raises(ValueError, match=r"'add': its shortcuts bring 80 times twice the threshold"):
        quantize(identity_block(rng, 2, 80.0))


def test_concatenation_of_spikes_and_currents_is_refused_by_name(rng):
    graph = Graph(rng, 2)
    spikes = graph.stem()
    both = graph.add(Concatenate, "both", spikes, graph.conv("conv1", spikes), shape=(SIZE, SIZE, 2 * CHANNELS))
    network = graph.finish(graph.lif("lif1", both, shape=(SIZE, SIZE, 2 * CHANNELS)), (SIZE, SIZE, 2 * CHANNELS))
    with pytest.raises(ValueError, match=r"'both': its inputs lie on different grids"):
        quantize(network)
