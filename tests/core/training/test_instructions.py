"""Estimates of instructions, against windows, looks and events counted by hand."""

import keras
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.training import instructions as room
from keras_ternary_spike.training.instructions import CORES, Core, Costs, instructions

P = PerTimestep


@pytest.fixture(autouse=True)
def primes(monkeypatch):
    """A core whose every cost is another prime, so that no two can be mistaken for one another."""
    core = Core(
        image=Costs(2, 3, 0, 5, 7),
        spikes=Costs(11, 13, 17, 19, 23),
        levels=Costs(29, 31, 37, 41, 43),
        depthwise=Costs(47, 53, 59, 0, 61),
        depthwise_levels=Costs(67, 71, 73, 0, 79),
    )
    monkeypatch.setattr(room, "CORES", {**CORES, "primes": core})


def convolutions(neuron, timesteps):
    """8 x 8 pixels, 20 channels of spikes, then 4 x 4 of 24; and a product of 384 with 5."""
    image = keras.Input((8, 8, 3))
    spikes = neuron(name="one")(P(layers.Conv2D(20, 3, padding="same"))(DirectEncoding(timesteps)(image)))
    spikes = neuron(name="two")(P(layers.Conv2D(24, 3, strides=2, padding="same"))(spikes))
    return keras.Model(image, TimeAverage()(P(layers.Dense(5))(P(layers.Flatten())(spikes))))


INSIDE = (3 * 3 + 2) ** 2  # of 4 windows of 3 on 8 pixels, stride 2, the last one hangs over by one
IMAGE = 64 * (2 + 7 * 2) + 3 * (64 * 9) * 3 + 5 * ((2 + 6 * 3 + 2) ** 2 * 3) * 2


@pytest.mark.parametrize("timesteps", [1, 3])
def test_spikes_are_looked_at_in_words_and_added_in_blocks_of_channels(timesteps):
    found = instructions(convolutions(TernaryLIF, timesteps), "primes")
    conv = 16 * (11 + 23 * 2) + 13 * (16 * 9) * 2
    dense = 11 + 23 + 13 * (384 / 16)
    assert found.silent == IMAGE + timesteps * (conv + dense)  # the first current stays, and is computed once
    assert found.spikes == {
        "one": timesteps * INSIDE * 20 * (17 + 19 * 2),
        "two": timesteps * 384 * (17 + 19),
    }


def test_levels_are_looked_at_in_words_too():
    found = instructions(convolutions(lambda name: MultiLevelLIF(4, signed=False, name=name), 1), "primes")
    assert found.silent == IMAGE + 16 * (29 + 43 * 2) + 31 * (16 * 9) * 2 + 29 + 43 + 31 * (384 / 16)
    assert found.spikes == {"one": INSIDE * 20 * (37 + 41 * 2), "two": 384 * (37 + 41)}


@pytest.mark.parametrize(
    ("neuron", "costs"),
    [(BinaryLIF, (47, 53, 59, 61)), (lambda name: MultiLevelLIF(4, signed=False, name=name), (67, 71, 73, 79))],
)
def test_in_front_of_a_depthwise_layer_every_tap_is_an_event(neuron, costs):
    image = keras.Input((2, 6, 6, 32))
    current = P(layers.DepthwiseConv2D(3))(neuron(name="spikes")(image))
    found, (pixel, look, event, block) = (
        instructions(keras.Model(image, TernaryLIF(name="last")(current)), "primes"),
        costs,
    )
    assert found.silent == 2 * (16 * (pixel + block * 2) + look * (16 * 9) * 2)
    assert found.spikes == {"spikes": 2 * 16 * 9 * 32 * event, "last": 0}


def test_what_is_not_known_is_refused_by_name():
    image = keras.Input((1, 6, 6, 8))
    model = keras.Model(image, TernaryLIF()(P(layers.DepthwiseConv2D(3, name="apart"))(image)))
    with pytest.raises(ValueError, match=r"it reads spikes. Received: layer 'apart'.*budget in additions"):
        instructions(model, "cortex-m4")
    with pytest.raises(ValueError, match=r"`core` must be one of cortex-m.*Received: core='z80'"):
        instructions(model, "z80")


@pytest.mark.parametrize("core", CORES)
def test_every_core_costs_more_for_more_spikes(core):
    found = instructions(convolutions(TernaryLIF, 2), core)
    assert found.silent > 0 and min(found.spikes.values()) > 0
