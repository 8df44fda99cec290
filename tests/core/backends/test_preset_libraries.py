"""Presets against the libraries that they are named after: spikes and gradients. With extras of their names only."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import BinaryLIF, TernaryLIF

SHAPE = (3, 12, 7)  # batch, timesteps, features


def ours(layer, currents, upstream):
    """Spikes, and the gradient of the currents, by the backend that Keras runs on."""
    if keras.backend.backend() == "torch":
        import torch

        tensor = torch.tensor(currents, requires_grad=True)
        return theirs(tensor, layer(tensor, training=True), upstream)
    import tensorflow as tf

    tensor = tf.constant(currents)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        outputs = layer(tensor, training=True)
    return outputs.numpy(), tape.gradient(outputs, tensor, output_gradients=tf.constant(upstream)).numpy()


def theirs(tensor, outputs, upstream):
    import torch

    outputs.backward(torch.tensor(upstream))
    return outputs.detach().numpy(), tensor.grad.numpy()


def assert_equal(layer, run, rng):
    torch = pytest.importorskip("torch")
    currents, upstream = rng.normal(0, 3, SHAPE).astype("float32"), rng.normal(size=SHAPE).astype("float32")
    tensor = torch.tensor(currents, requires_grad=True)
    spikes, gradient = theirs(tensor, run(tensor), upstream)
    found_spikes, found_gradient = ours(layer, currents, upstream)
    assert 0.05 < np.abs(spikes).mean() < 0.7
    np.testing.assert_array_equal(found_spikes, spikes)
    np.testing.assert_allclose(found_gradient, gradient, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("tau", [2.0, 4.0])
@pytest.mark.parametrize("neuron, node", [(BinaryLIF, "LIFNode"), (TernaryLIF, "TernaryLIFNode")])
def test_spikingjelly_fires_and_learns_alike(rng, neuron, node, tau, reset, detach_reset):
    library = pytest.importorskip("spikingjelly.activation_based.neuron", reason="needs the extra [spikingjelly]")
    options = {"detach_reset": detach_reset, "v_reset": 0.0 if reset == "zero" else None}
    reference = getattr(library, node)(tau=tau, step_mode="m", **options)
    layer = neuron.from_preset("spikingjelly", decay=1 - 1 / tau, reset=reset, detach_reset=detach_reset)
    assert_equal(layer, lambda tensor: reference(tensor.transpose(0, 1)).transpose(0, 1), rng)


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_snntorch_fires_and_learns_alike(rng, beta):
    library = pytest.importorskip("snntorch", reason="needs the extra [snntorch]")
    cell = library.Leaky(beta=beta)

    def run(tensor):
        import torch

        membrane, spikes = cell.reset_mem(), []
        for t in range(SHAPE[1]):
            spike, membrane = cell(tensor[:, t], membrane)
            spikes.append(spike)
        return torch.stack(spikes, dim=1)

    assert_equal(BinaryLIF.from_preset("snntorch", decay=beta), run, rng)
