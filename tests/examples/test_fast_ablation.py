"""The ablation's trainer in C against Keras: the same weights after some batches, whatever the network and neuron."""

import keras
import numpy as np
import pytest

from benchmarks.accuracy import fast_ablation as fast

CASES = (("plain", "trainable, channel", 3), ("residual", "graded", 2), ("residual", "binary", 1))


@pytest.fixture
def data(rng):
    """Bytes, as the trainer reads them; the last batch is smaller."""
    images = (rng.integers(0, 256, (108, 14, 14, 1)) / np.float32(255)).astype("float32")
    labels = rng.integers(0, 10, 108)
    return fast.Dataset("noise", images[:72], labels[:72], images[72:], labels[72:])


def by_keras(training, data):
    """The weights after the same epoch."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(training.seed)
    model = fast.ablation.build(training, data)
    before = flat(training, model)
    schedule = keras.optimizers.schedules.CosineDecay(fast.ablation.LEARNING_RATE, 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, jit_compile=False)
    model.fit(data.train_images, data.train_labels, batch_size=fast.ablation.BATCH, shuffle=False, verbose=0)
    return before, flat(training, model)


def flat(training, model):
    return np.concatenate([np.ravel(array) for array in fast.arrays(model, fast.LAYERS[training.network])])


@pytest.mark.extended
@pytest.mark.parametrize(("network", "arm", "timesteps"), CASES)
def test_the_trainer_learns_what_keras_learns(data, tmp_path, monkeypatch, network, arm, timesteps):
    monkeypatch.setattr(fast.ablation, "HALVED", ())
    setting = fast.ablation.Setting(0.25, "triangular", 2.0)
    training = fast.Training("test", network, arm, timesteps, 0, 1, len(data.train_labels), setting)
    found, weights = fast.trained(training, data, tmp_path, shuffled=0)
    before, expected = by_keras(training, data)
    # Adam's first steps are the signs of gradients: where rounding turns one, a weight moves 0.004 the other way.
    assert np.mean(np.abs(weights - expected) > 1e-4) < 0.02
    assert np.mean(np.abs(expected - before) > 1e-3) > 0.5
    assert 0 <= found["accuracy"] <= 1 and np.allclose([sum(layer) for layer in found["shares"]], 1)
