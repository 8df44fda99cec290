"""The networks: their layouts, their sizes as the literature has them, and what they refuse."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, models
from keras_ternary_spike.export import export_tflite, load
from keras_ternary_spike.models.blocks import firing, normalized, scaled
from keras_ternary_spike.models.operations import multiply_accumulates
from keras_ternary_spike.models.resnet import membrane_block, residual_block, shortcut

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CIFAR = ((32, 32, 3), 10)
IMAGENET = ((224, 224, 3), 1000)
SMALL = {
    models.resnet19: (8, 8, 3),
    models.resnet20: (16, 16, 3),
    models.resnet18: (32, 32, 3),
    models.resnet34: (32, 32, 3),
    models.ms_resnet: (8, 8, 3),
    models.vgg: (16, 16, 1),
    models.keyword_spotter: (49, 10, 1),
    models.tiny: (9, 7, 1),
}
BATCH_NORM_EPSILON = 1e-3  # Keras's default

every_network = pytest.mark.parametrize("network, shape", SMALL.items(), ids=[network.__name__ for network in SMALL])


def build(network, shape, **options):
    return network(shape, 4, **{"width": 1 / 32 if network is not models.tiny else 0.5, **options})


def layers_of(model, kind):
    inner = (layer.layer if isinstance(layer, PerTimestep) else layer for layer in model.layers)
    return [layer for layer in inner if isinstance(layer, kind)]


def spikes_of(rng, *shape):
    return rng.integers(-1, 2, shape).astype("float32")


# Sizes. The figures of ResNet-19 and ResNet-20 are the paper's; those of ResNet-18 and ResNet-34 are torchvision's
# numbers of parameters less those of batch normalization and the classifier's 1,000 biases.


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


# Layouts.


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
    model = build(network, shape)
    convolutions = layers_of(model, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    norms = layers_of(model, keras.layers.BatchNormalization)
    assert sorted(norm.name for norm in norms) == sorted(f"{layer.name}_norm" for layer in convolutions)
    assert {norm.momentum for norm in norms} == {0.9}
    assert not any(layer.use_bias for layer in convolutions)


@every_network
def test_only_the_first_convolution_stands_in_front_of_the_encoding(network, shape):
    model = build(network, shape)
    in_front = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    names = {models.tiny: "conv1", models.vgg: "block1_conv1"}
    assert [layer.name for layer in in_front] == [names.get(network, "stem_conv1")]
    kinds = [type(layer) for layer in model.layers[:4]]
    assert kinds == [keras.layers.InputLayer, keras.layers.Conv2D, keras.layers.BatchNormalization, DirectEncoding]


@every_network
def test_a_saved_network_is_the_same_network(network, shape, rng, tmp_path):
    model, images = build(network, shape), rng.uniform(size=(2, *shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), model(images))


@every_network
def test_every_network_exports(network, shape, rng):
    file = export_tflite(build(network, shape))
    assert load(file).predict(rng.uniform(size=(2, *shape)).astype("float32")).shape == (2, 4)


def test_layers_are_named_by_block_and_role():
    names = [layer.name for layer in build(models.resnet19, (8, 8, 3)).layers]
    assert names[:5] == ["image", "stem_conv1", "stem_conv1_norm", "encoding", "stem_neuron1"]
    block4 = [name for name in names if name.startswith("block4_")]
    assert sorted(block4) == [
        *("block4_add", "block4_conv1", "block4_conv1_norm", "block4_conv2", "block4_conv2_norm"),
        *("block4_neuron1", "block4_neuron2", "block4_shortcut", "block4_shortcut_norm", "block4_shortcut_pool"),
    ]
    assert names[-3:] == ["pool", "classifier", "logits"]


def test_blocks_have_the_depth_in_their_names():
    """Convolutions of the main path and the classifier; ResNet-20 has one more in the stem, ResNet-19 none."""
    for network, depth in ((models.resnet18, 18), (models.resnet34, 34), (models.resnet20, 20), (models.ms_resnet, 18)):
        main_path = [
            layer
            for layer in layers_of(build(network, SMALL[network]), keras.layers.Conv2D)
            if "shortcut" not in layer.name
        ]
        assert len(main_path) + 1 == depth


def silenced_block(block, shape, channels, strides):
    """A block whose convolutions are silent: what comes out is its shortcut."""
    x = keras.Input(shape)
    model = keras.Model(x, block(x, channels, strides, "block", firing(TernaryLIF, {})))
    next(norm for norm in layers_of(model, keras.layers.BatchNormalization) if "conv2" in norm.name).gamma.assign(
        np.zeros(channels)
    )
    return model


def test_a_residual_block_fires_on_the_sum_with_its_own_input(rng):
    spikes = spikes_of(rng, 2, 3, 4, 4, 5)
    model = silenced_block(residual_block, spikes.shape[1:], channels=5, strides=1)
    np.testing.assert_array_equal(model(spikes), spikes)
    halved = silenced_block(residual_block, spikes.shape[1:], channels=5, strides=1)
    np.testing.assert_array_equal(halved(0.49 * spikes)[:, 0], np.zeros((2, 4, 4, 5)))  # below the threshold


def test_a_membrane_block_adds_to_the_current_itself(rng):
    current = rng.normal(0, 0.2, (2, 3, 4, 4, 5)).astype("float32")
    model = silenced_block(membrane_block, current.shape[1:], channels=5, strides=1)
    np.testing.assert_array_equal(model(current), current)


def test_a_projection_averages_before_its_1x1_convolution(rng):
    x = keras.Input((3, 4, 6, 2))
    model = keras.Model(x, shortcut(x, 7, 2, "block"))
    spikes = spikes_of(rng, 2, 3, 4, 6, 2)
    means = spikes.reshape(2, 3, 2, 2, 3, 2, 2).mean(axis=(3, 5))
    kernel = keras.ops.convert_to_numpy(layers_of(model, keras.layers.Conv2D)[0].kernel)[0, 0]
    expected = means @ kernel / np.sqrt(1 + BATCH_NORM_EPSILON)
    np.testing.assert_allclose(model(spikes), expected, atol=1e-6)


def test_the_stem_of_large_networks_averages_nine_pixels_at_the_border_too(rng):
    model = build(models.resnet18, (32, 32, 3), width=1 / 16)
    pool, neuron = (model.get_layer(name).output for name in ("stem_pool", "stem_neuron1"))
    spikes, means = keras.Model(model.input, [neuron, pool])(rng.normal(size=(1, 32, 32, 3)))
    corner = np.sum(np.asarray(spikes)[0, 0, :2, :2], axis=(0, 1)) / 9
    assert np.any(corner)
    np.testing.assert_allclose(means[0, 0, 0, 0], corner, atol=1e-6)


def test_static_and_repeated_images_are_normalized_alike(rng):
    conv = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name="conv")
    image, sequence = keras.Input((4, 4, 2)), keras.Input((2, 4, 4, 2))
    static, repeated = (keras.Model(x, normalized(conv, x)) for x in (image, sequence))
    images = rng.normal(size=(3, 4, 4, 2))
    for timestep in (0, 1):
        outputs = repeated(np.stack([images, images], axis=1))[:, timestep]
        np.testing.assert_allclose(outputs, static(images), atol=1e-6)


def test_width_is_a_factor_of_all_channels():
    model = models.resnet20((16, 16, 3), 10, width=0.125)
    assert [layer.filters for layer in layers_of(model, keras.layers.Conv2D)][:3] == [8, 8, 8]
    assert layers_of(model, keras.layers.Dense)[0].kernel.shape == (64, 10)
    assert [scaled(3, 0.5), scaled(64, 0.001)] == [2, 1]


def test_a_training_step_reaches_the_first_kernel(rng):
    model = models.tiny((8, 8, 3), 4)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kernel = model.get_layer("conv1").kernel
    before = keras.ops.convert_to_numpy(kernel).copy()
    model.train_on_batch(rng.uniform(size=(8, 8, 8, 3)), rng.integers(0, 4, 8))
    assert np.any(before != keras.ops.convert_to_numpy(kernel))


# Refusals.


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


def test_an_image_that_a_vgg_would_pool_away_is_refused():
    with pytest.raises(ValueError, match=r"at least 16: .* Received: input_shape=\(8, 8, 1\).*take `tiny`"):
        models.vgg((8, 8, 1), 10, width=1 / 32)


# The table of docs/models.md.


@pytest.fixture
def table(monkeypatch):
    return benchmark("models", monkeypatch)


def benchmark(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_shows_sizes(table):
    name, size, *numbers = table.row("tiny", 2)
    assert (name, size, *numbers[:4]) == ("tiny", "28x28x1", "10", "6,152", "144,608", "14,112")
    assert int(numbers[4].replace(",", "")) == len(export_tflite(models.tiny((28, 28, 1), 10)))


def test_the_table_says_why_a_network_is_not_exported(table):
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.LayerNormalization(name="norm")(image))
    assert table.exported(model).startswith("refused: Cannot export layer 'norm' (LayerNormalization).")


def test_the_table_lists_every_network(table):
    assert set(table.INPUTS) == {network.__name__ for network in SMALL}


# The settings of benchmarks/networks.py.


def test_every_network_meets_every_value_and_all_of_them_every_pair(monkeypatch):
    networks = benchmark("networks", monkeypatch)
    settings = {name: [tuple(one.values()) for one in networks.settings(name)] for name in networks.NETWORKS}
    for found in settings.values():
        timesteps, decays, thresholds = map(set, zip(*found, strict=True))
        assert timesteps == {1, 2, 3, 4, 8}
        assert decays == {0.0, 0.1, 0.25, 0.5, 0.9, 1.0}
        assert thresholds == {0.3, 0.5, 1.0, "per channel"}
    everywhere = [one for found in settings.values() for one in found]
    pairs = [{(one[a], one[b]) for one in everywhere} for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [len(found) for found in pairs] == [5 * 6, 5 * 4, 6 * 4]


def test_thresholds_per_channel_take_turns(monkeypatch):
    zoo = benchmark("zoo", monkeypatch)
    model = zoo.randomized("tiny", threshold=zoo.PER_CHANNEL, timesteps=1)
    np.testing.assert_allclose(model.get_layer("neuron1").threshold, [0.3, 0.5, 1.0, 0.3, 0.5, 1.0, 0.3, 0.5])
