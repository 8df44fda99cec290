"""Networks with shortcuts and branches: folded against unfolded, spike for spike, in float64."""

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
    Add,
    Affine,
    Concatenate,
    Conv,
    Dense,
    DepthwiseConv,
    Input,
    Network,
    Repeat,
    Reshape,
    SumPool,
    TimeSum,
    ZeroPad,
)

T = 3
IMAGE = (8, 6, 2)


def conv(filters=3, kernel=3, strides=1):
    return PerTimestep(layers.Conv2D(filters, kernel, strides=strides, padding="same"))


def conv_norm(x, filters=3, kernel=3, strides=1):
    return layers.BatchNormalization()(conv(filters, kernel, strides)(x))


def lif(x, **options):
    return TernaryLIF(**options)(x)


def pool(x):
    return PerTimestep(layers.AveragePooling2D(2))(x)


def head(x):
    x = PerTimestep(layers.GlobalAveragePooling2D())(x)
    return TimeAverage()(layers.Dense(4)(x))


def add(*values):
    return layers.Add()(list(values))


def post_add_identity(x):
    x = lif(conv_norm(x))
    for _ in range(2):
        x = lif(add(conv_norm(lif(conv_norm(x))), x))
    return head(x)


def post_add_projection(x):
    x = lif(conv_norm(x))
    x = lif(add(conv_norm(lif(conv_norm(x, 5, strides=2)), 5), conv_norm(pool(x), 5, 1)))
    return head(x)


def post_add_pooled_identity(x):
    x = lif(conv_norm(x))
    return head(lif(add(conv_norm(lif(conv_norm(x, strides=2))), pool(x))))


def norm_after_add(x):
    x = lif(conv_norm(x))
    return head(lif(layers.BatchNormalization()(add(conv(3)(lif(conv_norm(x))), x))))


def membrane_shortcut(x):
    x = conv_norm(x)
    for threshold in (0.5, 0.5, 0.8):
        x = add(conv_norm(lif(conv_norm(lif(x, threshold=threshold)))), x)
    return head(lif(x))


def membrane_shortcut_downsampled(x):
    x = conv_norm(x)
    x = add(conv_norm(lif(conv_norm(lif(x, threshold=1.0), 4, strides=2)), 4), conv_norm(pool(x), 4, 1))
    return head(lif(x, threshold=1.0))


def pre_activation(x):
    x = conv_norm(x)
    for _ in range(2):
        x = add(conv(3)(lif(layers.BatchNormalization()(x))), x)
    return head(lif(layers.BatchNormalization()(x)))


def spike_elementwise(x):
    x = lif(conv_norm(x))
    for _ in range(2):
        x = add(lif(conv_norm(lif(conv_norm(x)))), x)
    return head(x)


def spike_elementwise_depthwise(x):
    x = add(lif(conv_norm(x)), lif(conv_norm(x)))
    return head(lif(PerTimestep(layers.DepthwiseConv2D(3))(x)))


def spikes_added_then_norm(x):
    a, b = lif(conv_norm(x)), lif(conv_norm(x))
    return head(lif(layers.BatchNormalization()(add(a, b))))


def spikes_added_then_max_pool(x):
    a, b = lif(conv_norm(x)), lif(conv_norm(x))
    x = PerTimestep(layers.MaxPooling2D(2))(add(a, b))
    return head(lif(conv_norm(x)))


def concatenated(x):
    a = lif(conv_norm(x))
    b = lif(conv_norm(a, 4))
    x = layers.Concatenate()([a, b])
    return head(add(lif(conv_norm(x)), lif(conv_norm(x))))


def concatenated_currents(x):
    a = lif(conv_norm(x))
    x = layers.Concatenate()([conv(2)(a), a])
    return head(lif(layers.BatchNormalization()(x)))


def dense_block(x):
    x = conv_norm(x)
    for threshold in (0.5, 0.9):
        x = layers.Concatenate()([x, conv_norm(lif(x, threshold=threshold), 2)])
    return head(lif(x))


def two_neurons_on_one_current(x):
    x = conv_norm(x)
    return head(add(conv(3)(lif(x)), conv(3)(lif(x, threshold=0.3))))


def two_norms_on_one_current(x):
    x = conv(3)(x)
    a, b = lif(layers.BatchNormalization()(x)), lif(layers.BatchNormalization()(x))
    return head(lif(add(conv(3)(a), conv(3, 1)(b))))


def negative_amplitude_meets_max_pool(x):
    a = lif(conv_norm(x))
    b = PerTimestep(layers.MaxPooling2D(2))(a)
    return head(lif(add(conv_norm(b), conv_norm(a, strides=2))))


def binary_shortcut(x):
    x = BinaryLIF()(conv_norm(x))
    return head(BinaryLIF(threshold=0.3)(add(conv_norm(x), x)))


def operator_plus(x):
    x = lif(conv_norm(x))
    return head(lif(conv_norm(x) + x))


def added_twice(x):
    x = lif(conv_norm(x))
    return head(lif(add(x, conv_norm(x), x)))


def averaged_sum_of_classifiers(x):
    a = lif(conv_norm(x))
    b = lif(conv_norm(a))
    flat = PerTimestep(layers.Flatten())
    return TimeAverage()(add(layers.Dense(4)(flat(a)), layers.Dense(4)(flat(b))))


def each(layer, x):
    return PerTimestep(layer)(x)


def u_net(x):
    a = lif(conv_norm(x))
    b = lif(conv_norm(PerTimestep(layers.MaxPooling2D(2))(a), 4))
    up = layers.BatchNormalization()(each(layers.Conv2DTranspose(3, 3, strides=2, padding="same"), b))
    x = lif(conv_norm(layers.Concatenate()([lif(up), a])))
    return head(lif(conv_norm(layers.Concatenate()([each(layers.UpSampling2D(2), b), x]))))


def borders(x):
    a = lif(layers.BatchNormalization()(each(layers.Conv2D(3, 3), each(layers.ZeroPadding2D((1, 2)), x))))
    b = each(layers.Cropping2D(((1, 0), (0, 1))), a)
    c = each(layers.Conv2DTranspose(2, 2, strides=2), b)
    x = layers.BatchNormalization()(each(layers.Cropping2D(1), each(layers.UpSampling2D((1, 2)), c)))
    x = lif(x)
    return TimeAverage()(layers.Dense(3)(each(layers.GlobalMaxPooling2D(), x)))


def separable_and_grouped(x):
    a = lif(layers.BatchNormalization()(each(layers.SeparableConv2D(4, 3, padding="same"), x)))
    x = lif(add(layers.BatchNormalization()(each(layers.Conv2D(4, 3, groups=2, padding="same"), a)), a))
    return head(x)


def lines(x):
    x = each(layers.Reshape((48, 2)), x)
    x = lif(layers.BatchNormalization()(each(layers.Conv1D(4, 5, strides=2), x)))
    shortcut = x
    x = lif(layers.BatchNormalization()(each(layers.DepthwiseConv1D(3, padding="same"), x)))
    x = lif(add(layers.BatchNormalization()(each(layers.Conv1D(4, 3, padding="causal"), x)), shortcut))
    x = each(layers.MaxPooling1D(2), each(layers.SeparableConv1D(3, 3), each(layers.AveragePooling1D(2), x)))
    return TimeAverage()(layers.Dense(3)(each(layers.GlobalAveragePooling1D(), lif(x))))


def shared_convolution(x):
    conv_shared, norm_shared = conv(3), layers.BatchNormalization()
    x = lif(conv_norm(x))
    x = lif(norm_shared(conv_shared(x)))
    return head(lif(norm_shared(conv_shared(x))))


def nested_block(x):
    inner = keras.Input((*IMAGE[:2], 3))
    value = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(inner))
    block = keras.Model(inner, layers.Add()([value, layers.Conv2D(3, 1)(inner)]))
    return head(lif(PerTimestep(block)(lif(conv_norm(x)))))


def pooled_sum_of_currents(x):
    a = lif(conv_norm(x))
    return head(lif(pool(add(conv_norm(a), conv_norm(a, 3, 1)))))


BLOCKS = {
    block.__name__: block
    for block in (
        *(post_add_identity, post_add_projection, post_add_pooled_identity, norm_after_add),
        *(membrane_shortcut, membrane_shortcut_downsampled, pre_activation),
        *(spike_elementwise, spike_elementwise_depthwise, spikes_added_then_norm, spikes_added_then_max_pool),
        *(concatenated, concatenated_currents, dense_block),
        *(two_neurons_on_one_current, two_norms_on_one_current, negative_amplitude_meets_max_pool),
        *(binary_shortcut, operator_plus, added_twice, averaged_sum_of_classifiers, pooled_sum_of_currents),
        *(u_net, borders, separable_and_grouped, lines, shared_convolution, nested_block),
    )
}


def built(block, rng, *, static=False, amplitudes=None):
    """A model in float64 with random weights; amplitudes random unless given."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        inputs = keras.Input(IMAGE if static else (T, *IMAGE))
        value = layers.Rescaling(1.5, -0.3)(inputs)
        model = keras.Model(inputs, block(DirectEncoding(T)(value) if static else value))
    finally:
        keras.config.set_dtype_policy(previous)
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        for part in getattr(inner, "layers", [inner]):
            randomize(part, rng)
    for layer, amplitude in zip(neurons(model), amplitudes or (), strict=False):
        layer.set_weights([np.asarray(amplitude)])
    return model


def randomize(layer, rng):
    if isinstance(layer, layers.BatchNormalization):
        size = layer.gamma.shape[0]
        gamma = rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size)
        layer.set_weights([gamma, rng.normal(0, 0.3, size), rng.normal(0, 0.3, size), rng.uniform(0.5, 2, size)])
    elif isinstance(layer, TernaryLIF | BinaryLIF):
        layer.set_weights([np.asarray(rng.uniform(0.4, 1.7) * (rng.choice([-1, 1])))])
    elif layer.weights:
        *kernels, bias = layer.get_weights()
        layer.set_weights([*(rng.normal(0, 1.5 / np.sqrt(k[..., 0].size), k.shape) for k in kernels), bias + 0.1])


def neurons(model):
    return [layer for layer in model.layers if isinstance(layer, TernaryLIF | BinaryLIF)]


def values(model, samples):
    """Output / amplitude of every neuron by name, and the model's output."""
    spiking = neurons(model)
    *outputs, last = keras.Model(model.inputs, [n.output for n in spiking] + model.outputs).predict(samples, verbose=0)
    amplitudes = [float(layer.amplitude.numpy()) for layer in spiking]
    return {n.name: np.rint(x / a) for n, x, a in zip(spiking, outputs, amplitudes, strict=True)}, last


def check_equal(model, samples):
    folded = fold_network(describe(model))
    expected_spikes, expected = values(model, samples)
    spikes, output = values(assemble(folded, dtype="float64"), samples)
    assert set(spikes) == set(expected_spikes)
    for name, spike in expected_spikes.items():
        spikes[name] = spikes[name].reshape(spike.shape)  # a line may have become an image of one row
        assert 0.02 < np.mean(np.abs(spike)) < 0.98, f"{name} should spike sometimes"
        turned = -1 if any(repr(name) in note for note in folded.notes) else 1
        np.testing.assert_array_equal(spikes[name], turned * spike, err_msg=name)
    np.testing.assert_allclose(output, expected, atol=1e-10, rtol=0)
    return folded


@pytest.mark.parametrize("name", BLOCKS)
def test_folding_a_branching_network_changes_no_spike(name, rng):
    model = built(BLOCKS[name], rng)
    check_equal(model, rng.normal(0, 1.3, (8, T, *IMAGE)))


STATIC = ("post_add_identity", "membrane_shortcut", "pre_activation", "spike_elementwise", "dense_block")


@pytest.mark.parametrize("name", STATIC)
def test_folding_a_branching_network_of_a_static_image_changes_no_spike(name, rng):
    model = built(BLOCKS[name], rng, static=True)
    folded = check_equal(model, rng.uniform(0, 1.5, (8, *IMAGE)))
    repeats = [node for node in folded.nodes if isinstance(node, Repeat)]
    assert repeats
    assert not any(isinstance(reader, Conv) for node in repeats for reader in folded.consumers(node.name))


def kinds(network):
    return [type(node) for node in network.nodes]


CLASSIFIER = [TimeSum, SumPool, Reshape, Dense]


def test_an_identity_shortcut_keeps_its_factor_in_front_of_the_sum(rng):
    folded = fold_network(describe(built(post_add_identity, rng, amplitudes=[-1.2, 0.5, 0.8])))
    block = [Conv, LIF, Conv, Affine, Add, LIF]
    assert kinds(folded) == [Input, Affine, Conv, LIF, *block, *block, *CLASSIFIER]
    factors = [node for node in folded.nodes if isinstance(node, Affine)][1:]
    assert [(float(node.scale), float(node.offset)) for node in factors] == [(-1.2, 0.0), (0.8, 0.0)]
    assert all(isinstance(folded[node.inputs[0]], LIF) for node in factors)


def test_a_sum_that_neurons_and_sums_read_needs_no_factor(rng):
    """The thresholds are equal, so all sums are in the neurons' unit; another threshold needs a factor of its own."""
    folded = fold_network(describe(built(membrane_shortcut, rng)))
    first, other, last = [Conv, LIF, Conv, Add, LIF], [Conv, LIF, Conv, Add, DepthwiseConv, LIF], [Conv, LIF, Conv, Add]
    assert kinds(folded) == [Input, Affine, Conv, LIF, *first, *other, *last, LIF, *CLASSIFIER]
    factor = next(node for node in folded.nodes if isinstance(node, DepthwiseConv))
    np.testing.assert_allclose(factor.kernel.ravel(), [0.5 / 0.8] * 3, rtol=1e-15)


def test_spikes_with_one_amplitude_are_added_as_whole_numbers(rng):
    folded = fold_network(describe(built(spike_elementwise, rng, amplitudes=[0.7] * 5)))
    block = [Conv, LIF, Conv, LIF, Add]
    assert kinds(folded) == [Input, Affine, Conv, LIF, *block, *block, *CLASSIFIER]
    sums = [node for node in folded.nodes if isinstance(node, Add)]
    assert [type(folded[name]) for node in sums for name in node.inputs] == [LIF, LIF, LIF, Add]


def test_spikes_with_two_amplitudes_meet_in_one_kernel(rng):
    folded = fold_network(describe(built(spike_elementwise, rng, amplitudes=[0.7, 1.0, 0.9, 1.0, 0.9])))
    wide = next(node for node in folded.nodes if isinstance(node, Concatenate))
    (conv,) = folded.consumers(wide.name)
    assert [type(folded[name]) for name in wide.inputs] == [LIF, LIF]
    np.testing.assert_allclose(conv.kernel[:, :, :3] * 0.7, conv.kernel[:, :, 3:] * 0.9, rtol=1e-12)
    assert not any(isinstance(node, Add) and isinstance(folded[node.inputs[0]], Affine) for node in folded.nodes)


def test_amplitudes_meet_in_the_kernels_behind_a_concatenation(rng):
    folded = fold_network(describe(built(concatenated, rng)))
    joined = next(node for node in folded.nodes if isinstance(node, Concatenate))
    assert [type(folded[name]) for name in joined.inputs] == [LIF, LIF]
    assert [type(node) for node in folded.consumers(joined.name)] == [Conv, Conv]


def test_a_current_that_two_neurons_read_in_two_units_is_computed_twice(rng):
    folded = fold_network(describe(built(two_norms_on_one_current, rng)))
    assert kinds(folded)[:4] == [Input, Affine, Conv, Conv]


def test_pooled_currents_of_a_shortcut_end_in_the_kernel_behind_them(rng):
    folded = fold_network(describe(built(membrane_shortcut_downsampled, rng)))
    assert not any(isinstance(node, SumPool) for node in folded.nodes[:-4])
    assert (2, 2, 3, 4) in [node.kernel.shape for node in folded.nodes if isinstance(node, Conv)]


def graph(*nodes, outputs=("sum",)):
    inputs = Input(name="in", shape=(2,), temporal=True)
    return Network(name="net", nodes=(inputs, *nodes), outputs=outputs, timesteps=T)


def node(kind, name, *inputs, **arguments):
    return kind(name=name, inputs=inputs, shape=(2,), temporal=True, **arguments)


def dense(name, source):
    return node(Dense, name, source, kernel=np.eye(2), bias=np.zeros(2))


def factor(name, source, scale, offset=0.0):
    return node(Affine, name, source, scale=np.asarray(scale), offset=np.asarray(offset))


def test_an_offset_or_a_scaled_current_in_front_of_a_sum_is_found_out():
    neuron = node(LIF, "lif", "dense", decay=0.5, threshold=0.5, amplitude=1.0)
    scaled = graph(dense("dense", "in"), neuron, factor("f", "lif", 2.0, 1.0), node(Add, "sum", "f", "dense"))
    with pytest.raises(ValueError, match=r"Only a factor.*'f' between 'lif' and 'sum'"):
        check_folded(scaled)
    current = graph(dense("dense", "in"), neuron, factor("f", "dense", 2.0), node(Add, "sum", "f", "lif"))
    with pytest.raises(ValueError, match=r"Only a factor.*'f' between 'dense' and 'sum'"):
        check_folded(current)


def test_an_offset_on_added_spikes_moves_into_the_kernel_beside_them():
    neuron = node(LIF, "lif", "dense", decay=0.5, threshold=0.5, amplitude=1.0)
    shifted = factor("f", "lif", 2.0, 3.0)
    beside = dense("beside", "lif")
    folded = fold_network(graph(dense("dense", "in"), neuron, shifted, beside, node(Add, "sum", "f", "beside")))
    assert kinds(folded) == [Input, Dense, LIF, Affine, Dense, Add]
    assert (float(folded["f"].scale), folded["beside"].bias.tolist()) == (2.0, [3.0, 3.0])


def test_lines_of_pixels_are_images_of_one_row_from_end_to_end(rng):
    folded = fold_network(describe(built(lines, rng)))
    reshapes = [node for node in folded.nodes if isinstance(node, Reshape)]
    assert len(reshapes) == 2
    assert [node.shape for node in reshapes] == [(1, 48, 2), (3,)]


def test_zeros_around_an_image_are_the_padding_of_the_convolution(rng):
    folded = fold_network(describe(built(borders, rng)))
    first = next(node for node in folded.nodes if isinstance(node, Conv))
    assert first.padding == ((1, 1), (2, 2))
    assert not any(isinstance(node, ZeroPad) for node in folded.nodes)
