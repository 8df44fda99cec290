"""Dead channels go, the outputs stay: against the whole network, in float64 and in integers."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.compression.kernels import find_kernels
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding import passes as folding
from keras_ternary_spike.export.folding.dead_channels import drop_dead_channels
from keras_ternary_spike.export.network.nodes import LIF
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite.flatbuffer import read

PASSES = folding.PASSES
BELOW_THRESHOLD = 0.3  # decay 0.25: the membrane stays below 0.3 / 0.75 = 0.4, threshold 0.5


def conv(filters, name, **options):
    return PerTimestep(layers.Conv2D(filters, 3, name=name, **options))


def chain(*between, units=3):
    """Conv "a" of 5 channels, neurons, `between`, Dense "c"."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            DirectEncoding(2),
            conv(5, "a"),
            TernaryLIF(name="lif"),
            *between,
            PerTimestep(layers.Flatten()),
            PerTimestep(layers.Dense(units, name="c")),
            TimeAverage(),
        ]
    )


def find(model, name):
    return next(kernel.layer for kernel in find_kernels(model, [name]))


def silence(model, name, channels, bias=BELOW_THRESHOLD):
    layer = find(model, name)
    kernel, biases = layer.get_weights()
    kernel[..., channels] = 0
    biases[channels] = bias
    layer.set_weights([kernel, biases])


def folded(model, monkeypatch, *, whole=False):
    passes = tuple(step for step in PASSES if not whole or step is not drop_dead_channels)
    monkeypatch.setattr(folding, "PASSES", passes)
    return folding.fold_network(describe(model))


def assert_same_outputs(model, monkeypatch, rng, reader="a", rows=()):
    """In float64 as the model is; in integers once the weights `rows` of `reader`, on dead channels, are 0.

    (They are multiplied by 0, but may be the largest of their kernel and so set the step of the others.)
    """
    whole, smaller = folded(model, monkeypatch, whole=True), folded(model, monkeypatch)
    images = rng.uniform(0, 1, (20, *model.input_shape[1:]))
    outputs = [computed(assemble(network, dtype="float64"), images) for network in (whole, smaller)]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=0, atol=1e-13)  # sums in another order
    kernel, bias = find(model, reader).get_weights()
    kernel[..., list(rows), :] = 0
    find(model, reader).set_weights([kernel, bias])
    programs = [quantize(folded(model, monkeypatch, whole=True)), quantize(smaller)]
    samples = rng.integers(-128, 128, (20, 6, 6, 1), np.int8)
    results = [program.run(samples) for program in programs]
    np.testing.assert_array_equal(*results)
    assert len(np.unique(results[0])) > 1
    return smaller


def test_silent_channels_go_with_the_weights_that_read_them(monkeypatch, rng):
    model = chain(conv(4, "b", padding="same"), TernaryLIF(name="lif_b"))
    silence(model, "a", [1, 4])
    network = assert_same_outputs(model, monkeypatch, rng, "b", [1, 4])
    assert network["a"].kernel.shape == (3, 3, 1, 3)
    assert network["b"].kernel.shape == (3, 3, 3, 4)
    assert network["lif"].shape == (4, 4, 3)
    assert network.notes == ("2 of 5 channels of 'lif' are left out: they never spike, or nothing reads them.",)


@pytest.mark.parametrize("pooling", [None, layers.AveragePooling2D, layers.MaxPooling2D])
def test_flattened_channels_go_at_every_pixel(pooling, monkeypatch, rng):
    model = chain(*([PerTimestep(pooling(2))] if pooling else []))
    silence(model, "a", [0, 2], bias=-BELOW_THRESHOLD)
    pixels = 4 if pooling else 16
    dead = [5 * pixel + channel for pixel in range(pixels) for channel in (0, 2)]
    network = assert_same_outputs(model, monkeypatch, rng, "c", dead)
    assert network["c"].kernel.shape == (3 * pixels, 3)


def test_channels_that_nothing_reads_go_and_take_theirs_along(monkeypatch, rng):
    """Channel 3 of b is unread; without it channel 1 of a is."""
    model = chain(conv(4, "b"), TernaryLIF(name="lif_b"))
    b, c = find(model, "b"), find(model, "c")
    kernel, bias = b.get_weights()
    kernel[:, :, 1, :3] = 0
    b.set_weights([kernel, bias])
    kernel, bias = c.get_weights()
    kernel[3::4] = 0
    c.set_weights([kernel, bias])
    network = assert_same_outputs(model, monkeypatch, rng)
    assert network["a"].kernel.shape == (3, 3, 1, 4)
    assert network["b"].kernel.shape == (3, 3, 4, 3)


@pytest.mark.parametrize("bias", [0.5, 0.35, -0.6])
def test_a_channel_whose_bias_may_fire_stays(bias, monkeypatch):
    """0.35 / 0.75 = 0.467 is below the threshold, but by less than a tenth."""
    model = chain()
    silence(model, "a", [1], bias=bias)
    assert folded(model, monkeypatch)["lif"].shape == (4, 4, 5)


def test_a_layer_that_never_spikes_is_refused_by_name(monkeypatch):
    model = chain(conv(4, "b"), TernaryLIF(name="lif_b"))
    silence(model, "b", slice(None))
    with pytest.raises(ValueError, match=r"'lif_b': none of its neurons ever spikes.*'b' are 0. Prune less"):
        export_tflite(model)


def test_of_a_layer_that_nothing_reads_one_channel_stays(monkeypatch):
    """Its reader has biases alone, and fires."""
    model = chain(conv(4, "b"), TernaryLIF(name="lif_b"))
    silence(model, "b", slice(None), bias=0.6)
    network = folded(model, monkeypatch)
    assert (network["lif"].shape, network["lif_b"].shape) == ((4, 4, 1), (2, 2, 4))
    assert network.notes == ("4 of 5 channels of 'lif' are left out: they never spike, or nothing reads them.",)


def branching(join):
    x = inputs = keras.Input((6, 6, 2))
    x = spikes = TernaryLIF(name="lif")(conv(4, "a", padding="same")(DirectEncoding(2)(x)))
    x = TernaryLIF()(conv(4, "b", padding="same")(x))
    x = join(spikes, x)
    x = PerTimestep(layers.GlobalAveragePooling2D())(x)
    return keras.Model(inputs, TimeAverage()(PerTimestep(layers.Dense(3))(x)))


JOINS = {
    "add": lambda spikes, x: layers.Add()([spikes, x]),
    "concatenate": lambda spikes, x: layers.Concatenate()([spikes, x]),
    "depthwise": lambda spikes, x: layers.Add()(
        [TernaryLIF()(PerTimestep(layers.DepthwiseConv2D(3, padding="same"))(spikes)), x]
    ),
}


@pytest.mark.parametrize("name", JOINS)
def test_where_a_way_down_needs_all_channels_they_stay(name, monkeypatch):
    model = branching(JOINS[name])
    silence(model, "a", [1])
    network = folded(model, monkeypatch)
    assert network["lif"].shape == (6, 6, 4)


def test_spikes_that_leave_the_network_stay(monkeypatch):
    model = chain()
    silence(model, "a", [1])
    network = folded(model, monkeypatch, whole=True)
    assert drop_dead_channels(network)["lif"].shape == (4, 4, 4)
    assert drop_dead_channels(replace(network, outputs=("lif", *network.outputs)))["lif"].shape == (4, 4, 5)


def test_arrays_of_a_neuron_lose_the_channels_too(monkeypatch):
    model = chain()
    silence(model, "a", [1])
    network = folded(model, monkeypatch, whole=True)
    decays = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    slow = network.with_nodes(
        tuple(replace(node, decay=decays) if isinstance(node, LIF) else node for node in network.nodes)
    )
    np.testing.assert_array_equal(drop_dead_channels(slow)["lif"].decay, [0.1, 0.3, 0.4, 0.5])


def test_zeros_of_a_kernel_are_zeros_in_the_file():
    model = chain(conv(4, "b"), TernaryLIF(name="lif_b"))
    rng = np.random.default_rng(1)
    masks = {}
    for name in ("a", "b", "c"):
        kernel, bias = find(model, name).get_weights()
        masks[name] = rng.random(kernel.shape) < 0.5
        find(model, name).set_weights([kernel * masks[name], bias])
    program = read(export_tflite(model))
    for name, mask in masks.items():
        stored = next(tensor.data for tensor in program.tensors if tensor.name == f"{name}/kernel")
        ours = mask.T if name == "c" else mask.transpose(3, 0, 1, 2)
        assert not stored[~ours].any() and stored.any()
