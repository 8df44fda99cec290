"""Networks with shortcuts and branches: folded against unfolded, spike for spike, in float64."""

import numpy as np
import pytest

from branching_networks import BLOCKS, IMAGE, T, built
from keras_models import spikes_and_output
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network.nodes import Conv, Repeat


def check_equal(model, samples):
    folded = fold_network(describe(model))
    expected_spikes, expected = spikes_and_output(model, samples)
    spikes, output = spikes_and_output(assemble(folded, dtype="float64"), samples)
    assert set(spikes) == set(expected_spikes)
    for name, spike in expected_spikes.items():
        spikes[name] = spikes[name].reshape(spike.shape)  # a line may have become an image of one row
        assert 0.02 < np.mean(np.abs(spike)) < 0.98, f"{name} should spike sometimes"
        turned = -1 if any(repr(name) in note for note in folded.notes) else 1
        np.testing.assert_array_equal(spikes[name], turned * spike, err_msg=name)
    np.testing.assert_allclose(output, expected, atol=1e-10, rtol=0)
    return folded


@pytest.mark.parametrize("name", BLOCKS)
def test_folding_a_branching_network_changes_no_spike(name, rng):
    model = built(BLOCKS[name], rng)
    check_equal(model, rng.normal(0, 1.3, (8, T, *IMAGE)))


STATIC = ("post_add_identity", "membrane_shortcut", "pre_activation", "spike_elementwise", "dense_block")


@pytest.mark.parametrize("name", STATIC)
def test_folding_a_branching_network_of_a_static_image_changes_no_spike(name, rng):
    model = built(BLOCKS[name], rng, static=True)
    folded = check_equal(model, rng.uniform(0, 1.5, (8, *IMAGE)))
    repeats = [node for node in folded.nodes if isinstance(node, Repeat)]
    assert repeats
    assert not any(isinstance(reader, Conv) for node in repeats for reader in folded.consumers(node.name))
