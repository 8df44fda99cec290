"""Losses on every timestep, against NumPy; in `fit` with several outputs, weights and masks."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import (
    EarlyExitLoss,
    MetricOfMean,
    PerTimestep,
    PerTimestepLoss,
    TemporalEfficientTraining,
    TernaryLIF,
)

BATCH, TIMESTEPS, CLASSES = 5, 3, 4


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(BATCH, TIMESTEPS, CLASSES)).astype(np.float32)


@pytest.fixture
def labels():
    return np.array([0, 1, 2, 3, 1])


def crossentropy(labels, logits):
    """(batch,) of labels (batch,) and logits (batch, classes)."""
    exponentials = np.exp(logits.astype(np.float64))
    return -np.log(exponentials[np.arange(len(labels)), labels] / exponentials.sum(-1))


def per_timestep(labels, logits):
    return np.stack([crossentropy(labels, logits[:, t]) for t in range(logits.shape[1])], axis=1)


def test_every_timestep_has_the_loss(labels, logits):
    found = PerTimestepLoss(reduction=None)(labels, logits)
    np.testing.assert_allclose(found, per_timestep(labels, logits), rtol=1e-5)
    np.testing.assert_allclose(PerTimestepLoss()(labels, logits), per_timestep(labels, logits).mean(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(BATCH,), (BATCH, 1)])
def test_labels_may_be_a_column(labels, logits, shape):
    np.testing.assert_allclose(
        PerTimestepLoss()(labels.reshape(shape), logits), per_timestep(labels, logits).mean(), rtol=1e-5
    )


def test_any_loss_of_keras_is_taken(labels, logits):
    soft = PerTimestepLoss(keras.losses.CategoricalCrossentropy(from_logits=True))(np.eye(CLASSES)[labels], logits)
    np.testing.assert_allclose(soft, per_timestep(labels, logits).mean(), rtol=1e-5)
    targets = np.ones((BATCH, CLASSES))
    squared = PerTimestepLoss(keras.losses.MeanSquaredError())(targets, logits)
    np.testing.assert_allclose(squared, np.mean((logits - 1) ** 2), rtol=1e-5)


def test_tet_pulls_the_logits_towards_its_target(labels, logits):
    found = TemporalEfficientTraining(strength=0.25, target=2.0, reduction=None)(labels, logits)
    expected = 0.75 * per_timestep(labels, logits) + 0.25 * np.mean((logits - 2.0) ** 2, axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_early_exit_sees_what_a_step_runner_reads(labels, logits):
    found = EarlyExitLoss(reduction=None)(labels, logits)
    so_far = np.cumsum(logits, axis=1) / TIMESTEPS
    np.testing.assert_allclose(found, per_timestep(labels, so_far), rtol=1e-5)
    np.testing.assert_allclose(found[:, -1], crossentropy(labels, logits.mean(axis=1)), rtol=1e-5)


@pytest.mark.parametrize("kind", [PerTimestepLoss, TemporalEfficientTraining, EarlyExitLoss])
def test_weights_of_samples_and_of_timesteps_count_as_in_keras(kind, labels, logits):
    values, samples = np.asarray(kind(reduction=None)(labels, logits)), np.array([0.0, 1.0, 2.0, 0.5, 1.0])
    np.testing.assert_allclose(
        kind()(labels, logits, sample_weight=samples), np.mean(values * samples[:, None]), rtol=1e-5
    )
    steps = np.random.default_rng(1).uniform(size=(BATCH, TIMESTEPS))
    np.testing.assert_allclose(kind()(labels, logits, sample_weight=steps), np.mean(values * steps), rtol=1e-5)


def test_masked_timesteps_have_no_loss(labels, logits):
    inputs = np.copy(logits)
    inputs[:, 2] = 0
    masked = keras.layers.Masking()(keras.ops.convert_to_tensor(inputs))
    np.testing.assert_allclose(PerTimestepLoss()(labels, masked), per_timestep(labels, logits[:, :2]).mean(), rtol=1e-5)


def test_the_metric_is_of_the_mean(labels, logits):
    metric = MetricOfMean(keras.metrics.SparseCategoricalAccuracy())
    metric.update_state(labels, logits)
    assert float(metric.result()) == pytest.approx(np.mean(logits.mean(axis=1).argmax(-1) == labels))
    metric.reset_state()
    metric.update_state(labels, logits, sample_weight=np.array([1, 0, 0, 0, 0]))
    assert float(metric.result()) == float(logits[0].mean(axis=0).argmax() == 0)
    assert metric.name == "sparse_categorical_accuracy"


def test_a_network_of_two_outputs_learns_and_comes_back_from_its_file(tmp_path, labels):
    inputs = keras.Input((TIMESTEPS, 6))
    spikes = TernaryLIF()(PerTimestep(keras.layers.Dense(8))(inputs))
    outputs = {name: PerTimestep(keras.layers.Dense(CLASSES), name=name)(spikes) for name in ("one", "two")}
    model = keras.Model(inputs, outputs)
    losses = {"one": TemporalEfficientTraining(strength=0.1), "two": EarlyExitLoss()}
    metrics = {"one": [MetricOfMean(keras.metrics.SparseCategoricalAccuracy(name="right"))]}
    model.compile(keras.optimizers.Adam(0.05), losses, metrics=metrics)
    samples, targets = np.random.default_rng(0).normal(size=(BATCH, TIMESTEPS, 6)), {"one": labels, "two": labels}
    history = model.fit(
        samples, targets, sample_weight={name: np.ones(BATCH) for name in targets}, epochs=20, verbose=0
    )
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(samples, targets, verbose=0) == model.evaluate(samples, targets, verbose=0)


@pytest.mark.parametrize("loss", [TemporalEfficientTraining(strength=0.5, target=3.0), EarlyExitLoss(name="exit")])
def test_a_config_gives_the_same_loss(loss, labels, logits):
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert float(again(labels, logits)) == float(loss(labels, logits))
    assert keras.saving.serialize_keras_object(again) == config


def test_what_is_no_loss_is_refused(labels, logits):
    with pytest.raises(ValueError, match=r"must be an object of a keras\.losses\.Loss.*'mse'"):
        PerTimestepLoss("mse")
    with pytest.raises(ValueError, match=r"must be an object of a keras\.metrics\.Metric.*'accuracy'"):
        MetricOfMean("accuracy")
    with pytest.raises(ValueError, match=r"`strength` must be in \[0, 1\]. Received: strength=2"):
        TemporalEfficientTraining(strength=2)
    with pytest.raises(ValueError, match=r"end without TimeAverage. Received: y_pred of shape \(5, 4\)"):
        PerTimestepLoss()(labels, logits.mean(axis=1))
