"""The operations of the networks: their sizes as the literature has them.

The figures of ResNet-19 and ResNet-20 are the paper's; those of ResNet-18 and ResNet-34 are torchvision's numbers of
parameters less those of batch normalization and the classifier's 1,000 biases.
"""

import keras
import numpy as np
import pytest

from keras_ternary_spike import models
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.models.operations import multiply_accumulates

CIFAR = ((32, 32, 3), 10)
IMAGENET = ((224, 224, 3), 1000)


@pytest.mark.parametrize(
    "network, task, weights, per_timestep",
    [
        (models.resnet20, CIFAR, 11_238_080, 215_684_096),
        (models.resnet19, CIFAR, 12_558_720, 2_285_245_440),
        (models.resnet18, IMAGENET, 11_689_512 - 9_600 - 1_000, 1_814_073_344),
        (models.resnet34, IMAGENET, 21_797_672 - 17_024 - 1_000, 3_663_761_408),
    ],
    ids=["resnet20", "resnet19", "resnet18", "resnet34"],
)
def test_residual_networks_have_the_published_sizes(network, task, weights, per_timestep):
    counts = models.count_operations(network(*task))
    assert (counts.weights, counts.per_timestep) == (weights, per_timestep)


@pytest.mark.parametrize(
    "build, millions",
    [
        (lambda: models.keyword_spotter((49, 10, 1), 12), "2.66"),
        (lambda: models.visual_wake_words((96, 96, 3), 2), "7.49"),
        (lambda: models.resnet8((32, 32, 3), 10), "12.5"),
        (lambda: models.resnet8((32, 32, 3), 10, width=2.5), "76.5"),
        (lambda: models.wake_word((30, 1, 40), 3), "0.826"),
        (lambda: models.anomaly_detector(), "0.264"),
    ],
    ids=["keyword spotting", "visual wake words", "image classification", "wider", "wake word", "anomaly detection"],
)
def test_networks_of_mlperf_tiny_multiply_as_often_as_their_reference_models(build, millions):
    assert f"{models.count_operations(build()).per_timestep / 1e6:.3g}" == millions


def test_the_keyword_spotter_has_the_size_of_the_small_ds_cnn():
    counts = models.count_operations(models.keyword_spotter((49, 10, 1), 12))
    assert counts.weights == 10 * 4 * 64 + 4 * (3 * 3 * 64 + 64 * 64) + 64 * 12
    assert counts.constant == 10 * 4 * 64 * 25 * 5  # the first convolution, once
    assert counts.per_timestep == 10 * 4 * 64 * 125 + 4 * (9 * 64 + 64 * 64) * 125 + 64 * 12


def test_the_first_convolution_counts_once_an_image():
    counts = models.count_operations(models.tiny((8, 8, 1), 10, timesteps=4))
    first, others = 9 * 8 * 4 * 4, 9 * 8 * 16 * 2 * 2 + 9 * 16 * 32 * 1 * 1 + 32 * 10
    assert (counts.constant, counts.per_timestep) == (first, first + others)
    assert counts.per_image(4) == first + 4 * others


@pytest.mark.parametrize("strides", [1, 2])
def test_a_convolution_of_ones_counts_its_own_products(strides):
    """Without padding, every output of ones times ones is the number of its products."""
    layer = keras.layers.Conv2D(5, (3, 2), strides=strides, use_bias=False, kernel_initializer="ones")
    outputs = layer(np.ones((1, 8, 7, 4), "float32"))
    assert multiply_accumulates(layer.kernel.shape, outputs.shape[1:3]) == np.sum(outputs)


def test_a_depthwise_convolution_of_ones_counts_its_own_products():
    layer = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, depthwise_initializer="ones")
    outputs = layer(np.ones((1, 8, 7, 4), "float32"))
    assert multiply_accumulates(layer.kernel.shape, outputs.shape[1:3]) == np.sum(outputs)


def test_a_layer_that_cannot_be_counted_is_named():
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.Conv2DTranspose(3, 2, name="up")(image))
    with pytest.raises(ValueError, match=r"Cannot count layer 'up' \(Conv2DTranspose\)\. Supported: Conv2D, "):
        models.count_operations(model)


def test_operations_need_known_sizes():
    image = keras.Input((None, None, 2))
    model = keras.Model(image, keras.layers.Conv2D(3, 2, name="open")(image))
    with pytest.raises(ValueError, match=r"Every size must be known.*\(None, None\) at 'open'"):
        models.count_operations(model)


@pytest.mark.parametrize(
    "network, shape, limit", [(models.tiny, (28, 28, 1), 20_000), (models.keyword_spotter, (49, 10, 1), 60_000)]
)
def test_networks_for_microcontrollers_are_small_files(network, shape, limit):
    assert len(export_tflite(network(shape, 12))) < limit
