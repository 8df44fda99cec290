"""The nodes of a folded chain: where thresholds, amplitudes, averages and offsets end, and what is refused."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import check_folded, fold_network
from keras_ternary_spike.export.network.nodes import (
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
from keras_ternary_spike.export.network.nodes import TimeAverage as TimeAverageNode


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
    current = [layers.Conv2D(3, 3), layers.BatchNormalization(), layers.MaxPooling2D()]
    chained = [keras.Input((9, 7, 2)), DirectEncoding(3), *map(PerTimestep, current), TernaryLIF()]
    assert kinds(fold_network(describe(keras.Sequential(chained)))) == [Input, Conv, MaxPool, Repeat, LIF]


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
