"""The neurons of a sweep's network, by name."""

import pytest

from keras_ternary_spike import BinaryLIF, MultiLevelLIF
from keras_ternary_spike.export.sweep.network import builder, network_options


def test_a_neuron_is_named_and_its_options_stand_beside_it():
    options = network_options(
        {"name": "tiny", "options": {"neuron": "MultiLevelLIF", "levels": 4, "signed": False, "threshold": 0.25}}
    )
    layer = builder("tiny")((8, 8, 1), 3, timesteps=1, **options).get_layer("neuron2")
    assert type(layer) is MultiLevelLIF
    assert (layer.cell.levels, layer.cell.dynamics.signed, layer.threshold) == (4, False, 0.25)
    assert network_options({"name": "tiny", "options": {"neuron": "BinaryLIF"}}) == {"neuron": BinaryLIF}


def test_a_neuron_that_is_not_known_is_refused_and_those_of_own_networks_are_theirs():
    with pytest.raises(ValueError, match=r"`network.options.neuron` must be one of TernaryLIF, .*Received: 'LIF'"):
        network_options({"name": "tiny", "options": {"neuron": "LIF"}})
    assert network_options({"name": "own:network", "options": {"neuron": "LIF"}}) == {"neuron": "LIF"}
