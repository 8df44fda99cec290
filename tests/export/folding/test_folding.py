"""fold_network against the unfolded Keras model: spike for spike, in float64."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed, in_float64, spikes_and_output
from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network

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
    "pools_in_a_row": lambda: [
        *(conv(), TernaryLIF(), average_pool((2, 1)), average_pool((1, 2)), conv(2, 1)),
        *(TernaryLIF(threshold=0.1), *head()),
    ],
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


def built(chain, shape, rng):
    return in_float64(lambda: randomized(keras.Sequential([keras.Input(shape), *chain()]), rng))


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


def test_a_neuron_behind_a_neuron_reads_its_amplitude(rng):
    first, second = TernaryLIF(name="first"), TernaryLIF(decay=0.9, name="second")
    model = built(lambda: [layers.Dense(5), first, second, layers.Dense(3)], (T, *VECTOR), rng)
    first.amplitude.assign(0.4)  # two spikes make one
    check_equal(model, rng.normal(0, 3, (32, T, *VECTOR)), atol=1e-10)


def test_folding_in_float32_keeps_the_outputs(rng):
    model = randomized(keras.Sequential([keras.Input((T, *IMAGE)), *CHAINS["conv_norm_lif"]()]), rng)
    samples = rng.normal(0, 1.3, (8, T, *IMAGE)).astype("float32")
    folded = assemble(fold_network(describe(model)))
    np.testing.assert_allclose(computed(folded, samples), computed(model, samples), atol=1e-4)
