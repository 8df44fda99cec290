"""What spikes cost downstream, against kernels and positions counted by hand."""

import keras
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, models
from keras_ternary_spike.training.fan_out import dense_additions


def test_spikes_of_a_convolution_cost_the_kernel_behind_them_at_every_position():
    model = models.tiny((8, 8, 1), 10, timesteps=3)
    assert dense_additions(model) == {
        "neuron1": 3 * 3 * 8 * 16 * 2 * 2,  # 4 x 4 pixels, stride 2
        "neuron2": 3 * 3 * 16 * 32,
        "neuron3": 32 * 10,  # behind pooling
    }


def test_spikes_that_are_concatenated_cost_their_own_channels_and_those_that_are_added_the_whole_kernel():
    image = keras.Input((3, 4, 4, 2))
    left, right = TernaryLIF(name="left")(image), TernaryLIF(name="right")(image[..., :1])
    joined = layers.Concatenate()([left, right])
    currents = PerTimestep(layers.Conv2D(5, 2, name="conv"))(joined)
    summed = layers.Add()([TernaryLIF(name="one")(currents), TernaryLIF(name="other")(currents)])
    flat = PerTimestep(layers.Flatten())(summed)
    model = keras.Model(image, TimeAverage()(PerTimestep(layers.Dense(7, name="dense"))(flat)))
    conv, dense = 2 * 2 * 3 * 5 * 3 * 3, 3 * 3 * 5 * 7
    assert dense_additions(model) == {"left": 2 * conv // 3, "right": conv // 3, "one": dense, "other": dense}


def test_a_layer_that_is_read_twice_costs_both_kernels_and_one_that_meets_no_kernel_nothing():
    inputs = keras.Input((6,))
    spikes = TernaryLIF(name="first")(PerTimestep(layers.Dense(4, name="in"))(DirectEncoding(2)(inputs)))
    branches = [PerTimestep(layers.Dense(units, name=f"dense{units}"))(spikes) for units in (3, 5)]
    model = keras.Model(inputs, [TernaryLIF(name="last")(branches[0]), branches[1]])
    assert dense_additions(model) == {"first": 4 * 3 + 4 * 5, "last": 0}


def test_other_kernels_and_unknown_sizes_are_refused_by_name():
    spikes = TernaryLIF()(image := keras.Input((2, 8, 3)))
    model = keras.Model(image, PerTimestep(layers.Conv1D(4, 3, name="strange"))(spikes))
    with pytest.raises(ValueError, match=r"Conv2D, DepthwiseConv2D, Dense.*'strange' .Conv1D. behind spikes"):
        dense_additions(model)
    spikes = TernaryLIF()(image := keras.Input((2, None, None, 3)))
    model = keras.Model(image, PerTimestep(layers.Conv2D(4, 3, name="open"))(spikes))
    with pytest.raises(ValueError, match=r"Every size must be known.*'open'"):
        dense_additions(model)
