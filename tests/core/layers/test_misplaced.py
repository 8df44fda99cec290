"""Layers over time on images: a warning names the layer in front and the way out, and correct networks get none."""

import warnings

import keras
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, models

IMAGE = (8, 8, 3)


def image(*spatial):
    x = keras.Input(IMAGE)
    for layer in spatial:
        x = layer(x)
    return x


@pytest.mark.parametrize("put", [TernaryLIF, BinaryLIF, TimeAverage])
def test_a_layer_over_time_behind_a_convolution_is_warned_of(put):
    x = image(layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(), layers.Dropout(0.5))
    message = r"'odd' takes axis 1 for time, and behind Conv2D 'conv'.*\(None, 6, 6, 4\).*DirectEncoding.*PerTimestep"
    with pytest.warns(UserWarning, match=message):
        put(name="odd")(x)


def test_a_shortcut_and_a_pool_are_seen_through():
    x = image(layers.Conv2D(4, 1, name="conv"))
    x = layers.Add()([layers.MaxPooling2D(2, name="pool")(x), layers.AveragePooling2D(2)(x)])
    with pytest.warns(UserWarning, match="behind MaxPooling2D 'pool'"):
        TernaryLIF()(x)


def test_models_operations_and_any_layer_are_seen_through():
    inner = keras.Sequential([keras.Input(IMAGE), layers.Conv2D(4, 3, name="conv"), layers.LeakyReLU()], name="inner")
    value = inner(keras.Input(IMAGE))
    value = layers.GaussianNoise(0.1)(layers.Lambda(lambda x: 2 * x, output_shape=(6, 6, 4))(value + 0.5 * value))
    with pytest.warns(UserWarning, match="behind Conv2D 'conv'"):
        TernaryLIF()(value)


def test_cloning_with_spikes_for_activations_is_warned_of():
    def spiking(layer):
        return TernaryLIF(name="fire") if layer.name == "fire" else type(layer).from_config(layer.get_config())

    relu = keras.Sequential([keras.Input(IMAGE), layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="fire")])
    with pytest.warns(UserWarning, match="TernaryLIF 'fire'.*behind Conv2D 'conv'"):
        keras.models.clone_model(relu, clone_function=spiking)


@pytest.mark.filterwarnings("error")
def test_networks_with_a_time_axis_get_no_warning():
    models.resnet20((16, 16, 3), 10, width=1 / 32)
    TernaryLIF()(DirectEncoding(2)(image(layers.Conv2D(4, 3))))
    TernaryLIF()(keras.Input((5, 8, 3)))  # time, and two axes of features
    TernaryLIF()(layers.Reshape((2, 18, 4))(image(layers.Conv2D(4, 3))))
    TernaryLIF()(layers.Conv1D(4, 3)(keras.Input((10, 3))))
    TimeAverage()(PerTimestep(layers.GlobalAveragePooling2D())(keras.Input((2, *IMAGE))))


@pytest.mark.parametrize(
    ("layer", "shape"), [(layers.Conv2D(4, 3, name="inner"), IMAGE), (layers.MaxPooling2D(2, name="inner"), IMAGE)]
)
def test_per_timestep_on_an_image_names_the_way_out(layer, shape):
    with pytest.raises(ValueError, match=r"'inner' needs 3 axes of features\..*\(None, 8, 8, 3\).*DirectEncod"):
        PerTimestep(layer)(keras.Input(shape))


def test_following_the_advice_works():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoded = DirectEncoding(2)(keras.Input(IMAGE))
        assert TernaryLIF()(PerTimestep(layers.Conv2D(4, 3))(encoded)).shape == (None, 2, 6, 6, 4)
