"""assemble: Keras models out of Networks."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network.nodes import (
    NO_PADDING,
    Affine,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    Input,
    Linear,
    MaxPool,
    Network,
    SumPool,
    TimeSum,
)

LOAD = "import sys, keras, keras_ternary_spike, numpy as np; np.save(sys.argv[2], keras.saving.load_model(sys.argv[1])\
.predict(np.load(sys.argv[3]), verbose=0))"


def network(node, *, shape, temporal=False, timesteps=1):
    return Network("net", (Input(name="in", shape=shape, temporal=temporal), node), (node.name,), timesteps)


def common(shape, temporal=False):
    return {"name": "node", "inputs": ("in",), "shape": shape, "temporal": temporal}


def test_a_sum_pool_adds():
    node = SumPool(size=(2, 2), strides=(2, 2), **common((1, 1, 1)))
    model = assemble(network(node, shape=(2, 2, 1)))
    assert computed(model, np.array([[[[1], [2]], [[3], [-1]]]], "float32")).item() == 5.0


def test_a_time_sum_adds():
    model = assemble(network(TimeSum(**common((1,))), shape=(1,), temporal=True, timesteps=4))
    assert computed(model, np.array([[[1], [2], [3], [-1]]], "float32")).item() == 5.0


def test_an_affine_works_per_channel():
    node = Affine(scale=np.array([2.0, -1.0]), offset=np.array([0.5, 0.0]), **common((2,)))
    output = computed(assemble(network(node, shape=(2,)), dtype="float64"), np.array([[3.0, 4.0]]))
    assert output.tolist() == [[6.5, -4.0]]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (NO_PADDING, ["Conv2D"]),
        (((0, 1), (0, 1)), ["Conv2D"]),  # TensorFlow's "same" for 4 pixels, kernel 3, stride 2
        (((1, 0), (2, 0)), ["ZeroPadding2D", "Conv2D"]),
    ],
)
def test_a_padding_is_keras_own_where_there_is_one(padding, expected):
    height, width = ((4 + sum(sides) - 3) // 2 + 1 for sides in padding)
    node = Conv(
        kernel=np.arange(9.0).reshape(3, 3, 1, 1),
        bias=np.zeros(1),
        strides=(2, 2),
        padding=padding,
        **common((height, width, 1)),
    )
    model = assemble(network(node, shape=(4, 4, 1)), dtype="float64")
    assert [type(layer).__name__ for layer in model.layers[1:]] == expected
    image = np.arange(16.0).reshape(1, 4, 4, 1)
    padded = np.pad(image[0, ..., 0], padding)
    assert computed(model, image)[0, 0, 0, 0] == np.sum(padded[:3, :3] * np.arange(9).reshape(3, 3))


def test_a_depthwise_convolution_may_have_unequal_strides():
    kernel = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    node = DepthwiseConv(kernel=kernel, bias=np.zeros(4), strides=(1, 2), **common((1, 1, 4)))
    output = computed(assemble(network(node, shape=(1, 2, 2))), np.array([[[[1, 10], [0, 0]]]], "float32"))
    assert output.ravel().tolist() == [1.0, 2.0, 30.0, 40.0]


def test_a_transposed_convolution_is_cropped():
    node = ConvTranspose(
        kernel=np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1),
        bias=np.array([0.5]),
        strides=(1, 2),
        cropping=((0, 0), (1, 2)),
        **common((1, 2, 1)),
    )
    output = computed(assemble(network(node, shape=(1, 2, 1))), np.array([[[[1], [2]]]], "float32"))
    assert output.ravel().tolist() == [10.5, 102.5]  # of 1, 10, 100 + 2, 20, 200


def test_a_padding_that_no_keras_pooling_has_is_refused():
    node = MaxPool(size=(2, 2), strides=(2, 2), padding=((1, 1), (0, 0)), **common((3, 2, 1)))
    with pytest.raises(ValueError, match=r"padded as \"same\" or not at all.*'node'"):
        assemble(network(node, shape=(4, 4, 1)))


def small_model():
    return keras.Sequential(
        [
            keras.Input((6, 5, 1)),
            layers.Conv2D(3, 3, padding="same", name="first"),
            DirectEncoding(2),
            layers.BatchNormalization(),
            TernaryLIF(name="spikes", amplitude_initializer=keras.initializers.Constant(-0.6)),
            PerTimestep(layers.AveragePooling2D(2)),
            PerTimestep(layers.Flatten()),
            layers.Dense(4, name="head"),
            TimeAverage(),
        ]
    )


def test_describing_an_assembled_network_gives_its_linear_nodes_back():
    folded = fold_network(describe(small_model()))
    again = describe(assemble(folded, dtype="float64"))
    linear = [node for node in folded.nodes if isinstance(node, Linear)]
    assert [node.name for node in linear] == ["first", "head"]
    for node in linear:
        np.testing.assert_array_equal(again[node.name].kernel, node.kernel)
        np.testing.assert_array_equal(again[node.name].bias, node.bias)
    assert again["spikes"].amplitude == 1.0


def test_an_unfolded_network_keeps_its_amplitude(rng):
    model = small_model()
    samples = rng.normal(0, 1, (4, 6, 5, 1)).astype("float32")
    copy = assemble(describe(model))
    assert float(copy.get_layer("spikes").amplitude.numpy()) == np.float32(-0.6)
    np.testing.assert_allclose(computed(copy, samples), computed(model, samples), atol=1e-5)


def test_a_folded_model_loads_in_another_process(python, tmp_path, rng):
    folded = assemble(fold_network(describe(small_model())))
    samples = rng.normal(0, 1, (4, 6, 5, 1)).astype("float32")
    paths = [str(tmp_path / name) for name in ("model.keras", "output.npy", "samples.npy")]
    folded.save(paths[0])
    np.save(paths[2], samples)
    finished = python.run("-c", LOAD, *paths)
    assert finished.returncode == 0, finished.stderr
    np.testing.assert_allclose(np.load(paths[1]), computed(folded, samples), atol=1e-6)
