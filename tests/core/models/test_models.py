"""The networks: their layouts, and what they refuse."""

from functools import cache

import keras
import numpy as np
import pytest

from keras_ternary_spike import BatchNormalization, BinaryLIF, DirectEncoding, TernaryLIF, models
from keras_ternary_spike.export import export_tflite, load
from small_networks import SMALL, build, layers_of

every_network = pytest.mark.parametrize("network, shape", SMALL.items(), ids=[network.__name__ for network in SMALL])
built = cache(build)  # for tests that leave the model as it is


@every_network
def test_every_network_makes_logits_of_images(network, shape, rng):
    model = build(network, shape, timesteps=3)
    assert model.input_shape == (None, *shape)
    assert model(rng.uniform(size=(2, *shape))).shape == (2, 4)
    assert model.name == network.__name__
    assert [layer.timesteps for layer in layers_of(model, DirectEncoding)] == [3]


@every_network
def test_neurons_and_their_arguments_are_free_to_choose(network, shape):
    model = build(network, shape, neuron=BinaryLIF, decay=0.75, threshold=2.0)
    neurons = layers_of(model, BinaryLIF)
    assert len(neurons) >= 3
    assert {(neuron.decay, neuron.threshold) for neuron in neurons} == {(0.75, 2.0)}
    assert not layers_of(model, TernaryLIF)


@every_network
def test_every_convolution_is_normalized_with_fast_statistics(network, shape):
    model = built(network, shape)
    convolutions = layers_of(model, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    norms = layers_of(model, keras.layers.BatchNormalization)
    bare = {"block2_shortcut", "block3_shortcut"} if network is models.resnet8 else set()  # as in its reference
    assert sorted(norm.name for norm in norms) == sorted(
        f"{layer.name}_norm" for layer in convolutions if layer.name not in bare
    )
    assert {norm.momentum for norm in norms} == {0.9}
    assert not any(layer.use_bias for layer in convolutions)


@every_network
def test_only_the_first_convolution_stands_in_front_of_the_encoding(network, shape):
    model = built(network, shape)
    in_front = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    names = {models.tiny: "conv1", models.vgg: "block1_conv1", models.wake_word: "block1_pointwise"}
    assert [layer.name for layer in in_front] == [names.get(network, "stem_conv1")]
    first = [keras.layers.DepthwiseConv2D, BatchNormalization] if network is models.wake_word else []
    kinds = [keras.layers.InputLayer, *first, keras.layers.Conv2D, BatchNormalization, DirectEncoding]
    assert [type(layer) for layer in model.layers[: len(kinds)]] == kinds


@every_network
def test_a_saved_network_is_the_same_network(network, shape, rng, tmp_path):
    model, images = built(network, shape), rng.uniform(size=(2, *shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), model(images))


@every_network
def test_every_network_exports(network, shape, rng):
    file = export_tflite(built(network, shape))
    assert load(file).predict(rng.uniform(size=(2, *shape)).astype("float32")).shape == (2, 4)


def test_a_training_step_reaches_the_first_kernel(rng):
    model = models.tiny((8, 8, 3), 4)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kernel = model.get_layer("conv1").kernel
    before = keras.ops.convert_to_numpy(kernel).copy()
    model.train_on_batch(rng.uniform(size=(8, 8, 8, 3)), rng.integers(0, 4, 8))
    assert np.any(before != keras.ops.convert_to_numpy(kernel))


@every_network
def test_an_input_without_channels_is_refused(network, shape):
    with pytest.raises(ValueError, match=r"`input_shape` must be \(height, width, channels\).*has one channel"):
        build(network, shape[:2])


@pytest.mark.parametrize("size", [None, 0, -3, 8.0])
def test_sizes_are_positive_integers(size):
    with pytest.raises(ValueError, match=r"`input_shape` must be .* three positive integers"):
        models.tiny((8, size, 1), 10)


@pytest.mark.parametrize("width", [0, -1.0, float("nan")])
def test_width_is_positive(width):
    with pytest.raises(ValueError, match=r"`width`, the factor of all channels, must be positive. Received: width="):
        models.tiny((8, 8, 1), 10, width=width)


@pytest.mark.parametrize("classes", [0, 2.0, True])
def test_classes_are_counted(classes):
    with pytest.raises(ValueError, match=r"`classes` must be an integer of at least 1\. Received: classes="):
        models.tiny((8, 8, 1), classes)


def test_numpy_integers_are_integers():
    assert models.tiny((np.int64(8), 8, 1), np.int64(3)).output_shape == (None, 3)


def test_an_odd_size_to_be_halved_is_named():
    with pytest.raises(ValueError, match=r"even wherever they are halved\. Received: 7x7 at 'block5_shortcut_pool'"):
        models.resnet20((28, 28, 1), 10, width=1 / 32)


def test_frames_that_no_window_of_a_wake_word_fits_are_refused():
    with pytest.raises(ValueError, match=r"at least 30 frames, .* Received: input_shape=\(29, 1, 40\)"):
        models.wake_word((29, 1, 40), 3)


@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF, keras.layers.ReLU])
def test_an_anomaly_detector_rebuilds_its_features(neuron, rng):
    model = models.anomaly_detector(20, width=1 / 16, neuron=neuron, timesteps=1)
    assert [layer.units for layer in layers_of(model, keras.layers.Dense)] == [8] * 4 + [1] + [8] * 4 + [20]
    assert len(layers_of(model, neuron)) == 9
    assert model(rng.uniform(size=(3, 20))).shape == (3, 20)
    with pytest.raises(ValueError, match=r"`features` must be an integer of at least 1\. Received: features=0"):
        models.anomaly_detector(0)


def test_an_anomaly_detector_exports(rng):
    file = export_tflite(models.anomaly_detector(20, width=1 / 16), output_range=(-4, 4))
    assert load(file).predict(rng.uniform(size=(2, 20)).astype("float32")).shape == (2, 20)


@pytest.mark.parametrize("network, shape", SMALL.items(), ids=[network.__name__ for network in SMALL])
def test_relu_in_the_place_of_neurons_makes_the_ordinary_network(network, shape, rng):
    model = build(network, shape, neuron=keras.layers.ReLU, timesteps=1)
    relu = layers_of(model, keras.layers.ReLU)
    assert len(relu) == len(layers_of(built(network, shape), TernaryLIF))
    assert model(rng.uniform(size=(2, *shape))).shape == (2, 4)


def test_an_image_that_a_vgg_would_pool_away_is_refused():
    with pytest.raises(ValueError, match=r"at least 16: .* Received: input_shape=\(8, 8, 1\).*take `tiny`"):
        models.vgg((8, 8, 1), 10, width=1 / 32)
