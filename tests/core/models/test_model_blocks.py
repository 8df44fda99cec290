"""The blocks of the networks: what a shortcut adds, what is averaged, how deep and wide they are."""

import keras
import numpy as np

from keras_ternary_spike import TernaryLIF, models
from keras_ternary_spike.models.blocks import firing, normalized, scaled
from keras_ternary_spike.models.resnet import membrane_block, residual_block, shortcut
from small_networks import SMALL, build, layers_of

BATCH_NORM_EPSILON = 1e-3  # Keras's default


def spikes_of(rng, *shape):
    return rng.integers(-1, 2, shape).astype("float32")


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
