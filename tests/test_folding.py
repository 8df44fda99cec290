"""fold_network against the unfolded Keras model: spike for spike, in float64."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export.assemble import assemble
from keras_ternary_spike.export.describe import describe
from keras_ternary_spike.export.folding import check_folded, fold_network
from keras_ternary_spike.export.network import (
    LIF,
    Affine,
    AveragePool,
    Conv,
    Dense,
    Input,
    MaxPool,
    Network,
    Repeat,
    SumPool,
    TimeSum,
)
from keras_ternary_spike.export.network import (
    TimeAverage as TimeAverageNode,
)

T = 3
IMAGE = (9, 7, 2)
VECTOR = (6,)


def conv(filters=3, kernel=3, **options):
    return PerTimestep(layers.Conv2D(filters, kernel, **options))


def depthwise(kernel=3, **options):
    return PerTimestep(layers.DepthwiseConv2D(kernel, **options))


def max_pool(**options):
    return PerTimestep(layers.MaxPooling2D(**options))


def average_pool(size=2, **options):
    return PerTimestep(layers.AveragePooling2D(size, **options))


def flatten():
    return PerTimestep(layers.Flatten())


def head():
    return [PerTimestep(layers.GlobalAveragePooling2D()), layers.Dense(4), TimeAverage()]


def norm():
    return layers.BatchNormalization()


CHAINS = {
    "conv_norm_lif": lambda: [conv(padding="same"), norm(), TernaryLIF(), *head()],
    "norm_in_per_timestep": lambda: [conv(), PerTimestep(norm()), TernaryLIF(), *head()],
    "nested_block": lambda: [
        PerTimestep(keras.Sequential([layers.Conv2D(3, 3), norm(), layers.MaxPooling2D()])),
        TernaryLIF(),
        *head(),
    ],
    "norm_before_max_pool": lambda: [conv(), norm(), max_pool(), TernaryLIF(), *head()],
    "norm_behind_max_pool": lambda: [conv(), max_pool(), norm(), TernaryLIF(), conv(2, padding="same"), *head()],
    "norm_behind_average_pool": lambda: [conv(), average_pool(), norm(), TernaryLIF(), *head()],
    "norm_before_average_pool": lambda: [
        conv(padding="same"),
        norm(),
        average_pool((3, 2), strides=(2, 1)),
        TernaryLIF(),
        *head(),
    ],
    "strided_conv_average_pool": lambda: [
        conv(3, (3, 2), strides=2, padding="same"),
        average_pool(),
        TernaryLIF(),
        *head(),
    ],
    "dilated_conv_average_pool": lambda: [conv(3, 2, dilation_rate=(2, 1)), average_pool(), TernaryLIF(), *head()],
    "pointwise_conv_average_pool": lambda: [conv(), TernaryLIF(), conv(4, 1), average_pool(), TernaryLIF(), *head()],
    "depthwise_average_pool": lambda: [
        depthwise(depth_multiplier=2, padding="same"),
        norm(),
        average_pool((2, 3)),
        TernaryLIF(),
        *head(),
    ],
    "spikes_average_pool_conv": lambda: [
        conv(),
        TernaryLIF(),
        average_pool(),
        conv(2, 3, padding="same"),
        norm(),
        TernaryLIF(),
        *head(),
    ],
    "spikes_max_pool_conv": lambda: [conv(), TernaryLIF(), max_pool(padding="same"), conv(2, 2), TernaryLIF(), *head()],
    "spikes_norm_valid_conv": lambda: [conv(), TernaryLIF(), norm(), conv(2, 2), TernaryLIF(), *head()],
    "spikes_average_pool_spikes": lambda: [conv(), TernaryLIF(), average_pool(), norm(), TernaryLIF(), *head()],
    "spikes_spikes": lambda: [conv(), TernaryLIF(), TernaryLIF(threshold=0.2, decay=0.9), *head()],
    "input_spikes": lambda: [TernaryLIF(threshold=0.3), conv(), TernaryLIF(), *head()],
    "separable": lambda: [depthwise(), norm(), conv(3, 1), norm(), TernaryLIF(), *head()],
    "time_average_before_dense": lambda: [conv(), TernaryLIF(), TimeAverage(), layers.Flatten(), layers.Dense(4)],
    "dense_before_time_average": lambda: [conv(), TernaryLIF(), flatten(), layers.Dense(4), norm(), TimeAverage()],
    "max_pool_before_time_average": lambda: [
        conv(),
        TernaryLIF(),
        max_pool(),
        TimeAverage(),
        layers.Flatten(),
        layers.Dense(4),
    ],
    "conv_average_pool_time_average": lambda: [conv(), TernaryLIF(), conv(4, 2), average_pool(), TimeAverage()],
    "spikes_at_the_output": lambda: [conv(), norm(), TernaryLIF()],
    "norm_at_the_output": lambda: [conv(), TernaryLIF(), TimeAverage(), layers.Flatten(), norm()],
    "dropout_and_softmax": lambda: [conv(), TernaryLIF(), layers.Dropout(0.5), flatten(), layers.Dense(4)],
    "binary": lambda: [conv(), norm(), BinaryLIF(), average_pool(), conv(2, 2), BinaryLIF(threshold=0.1), *head()],
    "decay_0": lambda: [conv(), norm(), TernaryLIF(decay=0.0, threshold=1.0), *head()],
    "decay_1": lambda: [conv(), norm(), TernaryLIF(decay=1.0, threshold=0.3), *head()],
}
SHIFTED = {
    "valid": lambda: [layers.Rescaling(2.0, -0.7), DirectEncoding(T), conv(), TernaryLIF(), *head()],
    "padded": lambda: [layers.Rescaling(2.0, -0.7), DirectEncoding(T), conv(padding="same"), TernaryLIF(), *head()],
    "norm": lambda: [norm(), layers.Conv2D(3, 3, padding="same"), DirectEncoding(T), TernaryLIF(), *head()],
    "pooled": lambda: [
        *(layers.AveragePooling2D(2), layers.Rescaling(-2.0, 0.4), layers.Conv2D(3, 2, padding="same")),
        *(norm(), DirectEncoding(T), TernaryLIF(), *head()),
    ],
}
VECTORS = {
    "dense": lambda: [layers.Dense(5), norm(), TernaryLIF(threshold=0.7), layers.Dense(3), TimeAverage()],
    "two_dense": lambda: [layers.Dense(5), TernaryLIF(), layers.Dense(4), norm(), TernaryLIF(), layers.Dense(3)],
    "spikes_spikes": lambda: [layers.Dense(5), TernaryLIF(), norm(), TernaryLIF(), layers.Dense(3)],
}


def leaves(layer):
    """All layers, also those in PerTimestep and in nested models."""
    inner = [layer.layer] if isinstance(layer, PerTimestep) else getattr(layer, "layers", [])
    return [leaf for part in inner for leaf in leaves(part)] or [layer]


def randomized(model, rng):
    """Random weights; batch norm factors and amplitudes of both signs."""
    for layer in leaves(model):
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape
            gamma = rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size)
            layer.set_weights([gamma, rng.normal(0, 0.3, size), rng.normal(0, 0.3, size), rng.uniform(0.3, 2, size)])
        elif isinstance(layer, TernaryLIF | BinaryLIF):
            layer.amplitude.assign(rng.choice([-1, 1]) * rng.uniform(0.3, 1.7))
        elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0, 1.5 / np.sqrt(kernel[..., 0].size), kernel.shape), bias + 0.1])
    return model


def built(chain, shape, rng, dtype="float64"):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        return randomized(keras.Sequential([keras.Input(shape), *chain()]), rng)
    finally:
        keras.config.set_dtype_policy(previous)


def neurons(model):
    return [layer for layer in model.layers if isinstance(layer, TernaryLIF | BinaryLIF)]


def spikes_and_output(model, samples):
    """Output / amplitude of every neuron layer by name, and the model's output."""
    spiking = neurons(model)
    outputs = [layer.output for layer in spiking] + [model.outputs[0]]
    *spikes, output = keras.Model(model.inputs, outputs).predict(samples, verbose=0)
    amplitudes = [float(layer.amplitude.numpy()) for layer in spiking]
    named = zip(spiking, spikes, amplitudes, strict=True)
    return {layer.name: np.rint(spike / amplitude) for layer, spike, amplitude in named}, output


def flips(spikes, expected):
    """1 or -1 per channel: whether the spikes of that channel all have the expected or the opposite sign."""
    agreement = (spikes * expected).reshape(-1, expected.shape[-1]).sum(0)
    return np.where(agreement < 0, -1, 1)


def check_equal(model, samples, *, atol):
    network = describe(model)
    folded = fold_network(network)
    expected_spikes, expected = spikes_and_output(model, samples)
    spikes, output = spikes_and_output(assemble(folded, dtype=keras.backend.standardize_dtype(expected.dtype)), samples)
    assert set(spikes) == set(expected_spikes)
    for name, values in expected_spikes.items():
        assert 0.02 < np.mean(np.abs(values)) < 0.98, f"{name} should spike sometimes"
        # The sign of a neuron may be turned, channel by channel, where a note says so.
        turned = flips(spikes[name], values) if any(repr(name) in note for note in folded.notes) else 1
        np.testing.assert_array_equal(spikes[name], turned * values, err_msg=name)
    np.testing.assert_allclose(output, expected, atol=atol, rtol=0)
    return folded


@pytest.mark.parametrize("name", CHAINS)
def test_folding_an_image_chain_changes_no_spike(name, rng):
    model = built(CHAINS[name], (T, *IMAGE), rng)
    check_equal(model, rng.normal(0, 1.3, (8, T, *IMAGE)), atol=1e-10)


@pytest.mark.parametrize("name", SHIFTED)
def test_folding_a_shifted_static_image_changes_no_spike(name, rng):
    model = built(SHIFTED[name], IMAGE, rng)
    check_equal(model, rng.uniform(0, 1.5, (8, *IMAGE)), atol=1e-10)


@pytest.mark.parametrize("name", VECTORS)
def test_folding_a_vector_chain_changes_no_spike(name, rng):
    model = built(VECTORS[name], (T, *VECTOR), rng)
    check_equal(model, rng.normal(0, 1.5, (32, T, *VECTOR)), atol=1e-10)


def test_folding_in_float32_keeps_the_outputs(rng):
    model = built(CHAINS["conv_norm_lif"], (T, *IMAGE), rng, dtype="float32")
    samples = rng.normal(0, 1.3, (8, T, *IMAGE)).astype("float32")
    folded = assemble(fold_network(describe(model)))
    np.testing.assert_allclose(folded.predict(samples, verbose=0), model.predict(samples, verbose=0), atol=1e-4)


def chain(*nodes, shape=(4, 4, 1), timesteps=2, temporal=True):
    """A Network of nodes given as (type, arguments), each reading the one before, named n1, n2, ..."""
    chained = [Input(name="n0", shape=shape, temporal=temporal)]
    for count, (kind, arguments) in enumerate(nodes, 1):
        common = {"name": f"n{count}", "inputs": (f"n{count - 1}",), "shape": chained[-1].shape, "temporal": temporal}
        chained.append(kind(**{**common, **arguments}))
    return Network(name="chain", nodes=tuple(chained), outputs=(chained[-1].name,), timesteps=timesteps)


def neuron(**arguments):
    return LIF, {"decay": 0.25, "threshold": 0.5, "amplitude": 1.0, **arguments}


def affine(scale, offset):
    return Affine, {"scale": np.asarray(scale, float), "offset": np.asarray(offset, float)}


def dense(weight, bias):
    return Dense, {"kernel": np.asarray([[weight]], float), "bias": np.asarray([bias], float)}


def conv_3x3():
    return Conv, {"kernel": np.ones((3, 3, 1, 1)), "bias": np.zeros(1), "padding": ((1, 1), (1, 1))}


def pool(kind, shape=(2, 2, 1)):
    return kind, {"size": (2, 2), "strides": (2, 2), "shape": shape}


def kinds(network):
    return [type(node) for node in network.nodes]


def test_threshold_and_amplitude_become_factors_of_the_kernels():
    folded = fold_network(chain(dense(3.0, 1.0), neuron(threshold=2.0, amplitude=-0.5), dense(4.0, 7.0), shape=(1,)))
    assert kinds(folded) == [Input, Dense, LIF, Dense]
    assert (folded["n1"].kernel.item(), folded["n1"].bias.item()) == (0.75, 0.25)  # divided by 2 * 2
    assert (folded["n2"].threshold, folded["n2"].amplitude) == (0.5, 1.0)
    assert (folded["n3"].kernel.item(), folded["n3"].bias.item()) == (-2.0, 7.0)


def test_the_classifier_runs_once_on_the_sum_over_time():
    average = TimeAverageNode, {"temporal": False}
    folded = fold_network(chain(dense(1.0, 0.0), neuron(), dense(6.0, 5.0), average, shape=(1,)))
    assert kinds(folded) == [Input, Dense, LIF, TimeSum, Dense]
    assert not folded["n3"].temporal
    assert (folded["n3"].kernel.item(), folded["n3"].bias.item()) == (3.0, 5.0)  # 6 / timesteps; 5 as it was


def test_a_static_image_is_convolved_once():
    model = keras.Sequential([keras.Input(IMAGE), DirectEncoding(T), conv(), norm(), max_pool(), TernaryLIF()])
    assert kinds(fold_network(describe(model))) == [Input, Conv, MaxPool, Repeat, LIF]


def test_average_pooling_of_currents_becomes_one_strided_kernel():
    folded = fold_network(chain(conv_3x3(), pool(AveragePool), neuron()))
    assert kinds(folded) == [Input, Conv, LIF]
    merged = folded["n1"]
    assert (merged.strides, merged.padding, merged.shape) == ((2, 2), ((1, 1), (1, 1)), (2, 2, 1))
    expected = np.outer([1, 2, 2, 1], [1, 2, 2, 1]) / 4  # two windows of three, one pixel apart
    np.testing.assert_array_equal(merged.kernel[..., 0, 0], expected)


def test_average_pooling_of_spikes_becomes_a_sum():
    folded = fold_network(chain(dense(1.0, 0.0), neuron(), pool(AveragePool), (dense(8.0, 1.0))))
    assert kinds(folded)[-2:] == [SumPool, Dense]
    assert (folded["n4"].kernel.item(), folded["n4"].bias.item()) == (2.0, 1.0)


def test_an_offset_before_padding_stays_at_the_input():
    folded = fold_network(chain(affine(4.0, 2.0), conv_3x3(), neuron()))
    assert kinds(folded) == [Input, Affine, Conv, LIF]
    assert (folded["n1"].scale, folded["n1"].offset) == (1.0, 0.5)
    assert np.all(folded["n2"].kernel == 4.0)


def test_a_negative_amplitude_before_max_pooling_goes_in_front_of_the_neuron():
    folded = fold_network(chain(dense(3.0, 1.0), neuron(amplitude=-0.5), pool(MaxPool), dense(4.0, 0.0)))
    assert (folded["n1"].kernel.item(), folded["n1"].bias.item()) == (-3.0, -1.0)
    assert folded["n4"].kernel.item() == 2.0
    assert "'n2' spike with the opposite sign" in folded.notes[0]


def test_a_negative_factor_behind_max_pooling_goes_through_the_neuron():
    folded = fold_network(chain(dense(3.0, 1.0), pool(MaxPool), affine([-2.0], [0.5]), neuron(), dense(4.0, 0.0)))
    assert (folded["n1"].kernel.item(), folded["n1"].bias.item()) == (6.0, 1.5)  # |-2| * 3, |-2| * 1 - 0.5
    assert folded["n5"].kernel.item() == -4.0


def test_a_factor_at_the_output_stays_an_affine():
    folded = fold_network(chain(dense(1.0, 0.0), neuron(amplitude=3.0), shape=(1,)))
    assert kinds(folded) == [Input, Dense, LIF, Affine]
    assert folded[folded.outputs[0]].scale == 3.0


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [dense(1.0, 0.0), neuron(), affine([2.0], [1.0]), conv_3x3()],
            r"offset in front of a zero-padded convolution.*'n3'.*'n4'.*padding=\"valid\"",
        ),
        (
            [dense(1.0, 0.0), pool(MaxPool), affine([-2.0], [0.0]), neuron(signed=False)],
            "negative factor.*cannot pass a maximum.*'n3'.*before MaxPooling2D",
        ),
        (
            [dense(1.0, 0.0), neuron(), affine([-2.0], [0.0]), pool(MaxPool), dense(1.0, 0.0)],
            "negative factor.*cannot pass a maximum.*'n3'.*before MaxPooling2D",
        ),
        (
            [dense(1.0, 0.0), neuron(signed=False, amplitude=-2.0), pool(MaxPool)],
            "negative amplitude.*binary neuron.*'n2'.*-2.*TernaryLIF",
        ),
    ],
)
def test_what_cannot_be_folded_is_refused_by_name(nodes, message):
    with pytest.raises(ValueError, match=message):
        fold_network(chain(*nodes))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([dense(1.0, 0.0), neuron(threshold=0.7)], "threshold 0.5 and amplitude 1.*'n2'.*0.7"),
        ([neuron()], "Linear node above it.*'n1'"),
        ([pool(AveragePool)], "sums only.*AveragePool 'n1'"),
        ([affine(2.0, 0.0), dense(1.0, 0.0)], "Only a factor next to|offset in front|Received: 'n1'"),
    ],
)
def test_a_network_that_is_not_folded_is_found_out(nodes, message):
    with pytest.raises(ValueError, match=message):
        check_folded(chain(*nodes))
