"""The training of a point: what is pruned, and how."""

import keras
import numpy as np
import pytest

from digits_sweep import CONFIG, own_network, write_config
from keras_ternary_spike.compression.kernels import find_kernels
from keras_ternary_spike.export.sweep import config as sweep_config
from keras_ternary_spike.export.sweep import data as sweep_data
from keras_ternary_spike.export.sweep import training as sweep_training
from keras_ternary_spike.export.sweep.points import Point, Pruning, pruning_of


def test_pruning_is_said_as_a_share_a_pattern_or_channels():
    assert pruning_of(0.0) is None
    assert pruning_of(0.8) == Pruning(0.8)
    assert pruning_of("2:4") == Pruning(0.5, (2, 4))
    assert pruning_of("1:4") == Pruning(0.25, (1, 4))
    assert pruning_of("channel") == Pruning(0.5, "channel")
    assert pruning_of("channel:0.25") == Pruning(0.25, "channel")


def trained(tmp_path, pruning, kernel_bits):
    """The kernels of one point, `(inputs, channels)`, after two epochs."""
    config = sweep_config.read_config(write_config(tmp_path, CONFIG.replace("epochs = 1", "epochs = 2")))
    keras.utils.set_random_seed(0)
    model = own_network((8, 8, 1), 10, timesteps=1, decay=0.25, width=1.0)
    sweep_training.train(model, Point(1, 0.25, 1.0, pruning, kernel_bits), config, sweep_data.load_data(config))
    return [kernel.numpy() for kernel in find_kernels(model)]


def test_a_share_of_the_weights_is_pruned(tmp_path):
    assert [np.mean(kernel == 0) for kernel in trained(tmp_path, 0.5, 8)] == [0.5, 0.5]


def test_two_of_four_weights_are_pruned(tmp_path):
    for kernel in trained(tmp_path, "2:4", 8):
        assert np.all(np.sum(kernel.T.reshape(-1, 4) == 0, axis=1) == 2)


def test_pruned_ternary_kernels_keep_their_zeros_and_have_one_size_a_channel(tmp_path):
    first, classifier = trained(tmp_path, 0.5, "ternary")
    assert np.mean(first == 0) == 0.5
    assert len(np.unique(np.abs(first))) > 10
    assert np.mean(classifier == 0) >= 0.5
    assert [len(np.unique(np.abs(channel[channel != 0]))) for channel in classifier.T] == [1] * 10


def test_pruning_in_a_single_batch_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"at least 2 batches\. Received: 1\. Raise `training\.epochs`"):
        sweep_training.pruned_gradually(Pruning(0.5), 1)
