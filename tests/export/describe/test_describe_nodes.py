"""The nodes of a described network: their names, axes, paddings and sums."""

import keras
import pytest
from keras import layers

from keras_models import in_float64
from keras_ternary_spike import DirectEncoding, TernaryLIF
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.network import nodes

T, IMAGE = 2, (7, 6, 2)


def test_a_part_of_a_layer_takes_no_name_of_another_layer():
    chain = [layers.Dense(2, name="pool_flatten"), layers.GlobalAveragePooling2D(name="pool"), layers.Dense(1)]
    names = [node.name for node in describe(keras.Sequential([keras.Input((3, 3, 1)), *chain])).nodes]
    assert names[1:4] == ["pool_flatten", "pool", "pool_flatten_1"]


def test_nodes_are_named_after_layers():
    model = keras.Sequential(
        [keras.Input(IMAGE, name="image"), layers.Conv2D(2, 3, name="conv"), DirectEncoding(T), TernaryLIF(name="lif")]
    )
    names = [node.name for node in describe(model).nodes]
    assert (names[0], names[1], names[-1]) == ("image", "conv", "lif")


def test_same_padding_is_spelt_out():
    model = keras.Sequential([keras.Input((6, 5, 1)), layers.Conv2D(1, (3, 4), strides=2, padding="same", name="conv")])
    conv = describe(model)["conv"]
    assert conv.padding == ((0, 1), (1, 2))  # height: 2*2 + 3 - 6 = 1; width: 2*2 + 4 - 5 = 3
    assert conv.shape == (3, 3, 1)


def test_an_input_is_temporal_if_its_time_axis_is_used():
    sequence = keras.Sequential([keras.Input((T, 5)), layers.Dense(3), TernaryLIF()])
    static = keras.Sequential([keras.Input((T, 5)), layers.Dense(3), DirectEncoding(3), TernaryLIF()])
    temporal, constant = describe(sequence), describe(static)
    assert (temporal.nodes[0].temporal, temporal.nodes[0].shape, temporal.timesteps) == (True, (5,), 2)
    assert (constant.nodes[0].temporal, constant.nodes[0].shape, constant.timesteps) == (False, (2, 5), 3)


@pytest.mark.parametrize(
    "ending",
    [
        lambda: [layers.Dense(3, activation="softmax")],
        lambda: [layers.Dense(3), layers.Softmax()],
        lambda: [layers.Dense(3), layers.Activation("softmax")],
        lambda: [layers.Dense(3), layers.Softmax(), layers.Activation("linear")],
    ],
)
def test_a_softmax_at_the_end_is_left_out_with_a_note(ending):
    network = describe(keras.Sequential([keras.Input((4,)), *ending()]))
    assert [type(node) for node in network.nodes] == [nodes.Input, nodes.Dense]
    assert network.notes == ("softmax left out: the file's outputs are logits",)


def values_meeting(merge):
    """A value without time axis, and the same repeated, in one merging layer."""

    def build():
        inputs = keras.Input((4,))
        value = layers.Dense(3)(inputs)
        return keras.Model(inputs, TernaryLIF()(merge([TernaryLIF()(DirectEncoding(T)(value)), value])))

    return build


def test_a_value_without_time_axis_is_repeated_where_it_is_added_to_one_with_it(rng):
    model = in_float64(values_meeting(layers.Add(name="sum")))
    network = describe(model)
    assert [network[name].temporal for name in network["sum"].inputs] == [True, True]
    repeat = network[network["sum"].inputs[1]]
    assert (type(repeat), network.nodes[0].temporal) == (nodes.Repeat, False)


def test_x_plus_y_is_an_add():
    inputs = keras.Input((4,))
    dense = layers.Dense(4)
    network = describe(keras.Model(inputs, dense(inputs) + inputs))
    assert [type(node) for node in network.nodes] == [nodes.Input, nodes.Dense, nodes.Add]


def test_a_value_that_is_added_twice_counts_twice():
    inputs = keras.Input((4,))
    value = layers.Dense(4)(inputs)
    network = describe(keras.Model(inputs, layers.Add(name="sum")([value, value])))
    assert (type(network["sum"]), float(network["sum"].scale)) == (nodes.Affine, 2.0)
