"""The nodes of a folded network with branches: where factors, offsets and paddings end."""

import numpy as np
import pytest

from branching_networks import (
    T,
    borders,
    built,
    concatenated,
    lines,
    membrane_shortcut,
    membrane_shortcut_downsampled,
    post_add_identity,
    spike_elementwise,
    two_norms_on_one_current,
)
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import check_folded, fold_network
from keras_ternary_spike.export.network.nodes import (
    LIF,
    Add,
    Affine,
    Concatenate,
    Conv,
    Dense,
    DepthwiseConv,
    Input,
    Network,
    Reshape,
    SumPool,
    TimeSum,
    ZeroPad,
)


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
