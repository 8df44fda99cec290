"""tdBN and TEBN against NumPy, as Keras layers."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import (
    TemporalEffectiveBatchNormalization,
    ThresholdDependentBatchNormalization,
    TimestepAffine,
)

EPSILON = 1e-3
SHAPES = {"vectors": (8, 3, 5), "lines": (8, 3, 4, 2), "images": (8, 3, 4, 5, 2)}
BATCH_AND_TIME = {"vectors": (0, 1), "lines": (0, 1, 2), "images": (0, 1, 2, 3)}


def normal(x, axes):
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + EPSILON)


@pytest.mark.parametrize("kind", SHAPES)
def test_tdbn_scales_to_the_threshold(rng, kind):
    x = rng.normal(2.0, 3.0, SHAPES[kind]).astype("float32")
    layer = ThresholdDependentBatchNormalization(threshold=0.4, alpha=0.7)
    layer.build(x.shape)
    gamma, beta = rng.normal(size=(2, x.shape[-1]))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    expected = gamma * 0.7 * 0.4 * normal(x, BATCH_AND_TIME[kind]) + beta
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_tebn_weighs_every_timestep(rng, kind):
    x = rng.normal(2.0, 3.0, SHAPES[kind]).astype("float32")
    layer = TemporalEffectiveBatchNormalization()
    layer.build(x.shape)
    gamma, beta = rng.normal(size=(2, x.shape[-1]))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    layer.factors.assign([1.0, -0.5, 2.0])
    expected = gamma * normal(x, BATCH_AND_TIME[kind]) + beta
    for timestep, factor in enumerate([1.0, -0.5, 2.0]):
        expected[:, timestep] *= factor
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)


def test_moving_statistics_are_used_in_inference(rng):
    x = rng.normal(1.0, 2.0, (16, 2, 3)).astype("float32")
    layer = ThresholdDependentBatchNormalization(threshold=1.0, momentum=0.75)
    layer(x, training=True)
    mean, variance = 0.25 * x.mean((0, 1)), 0.75 + 0.25 * x.var((0, 1))
    np.testing.assert_allclose(layer(x), (x - mean) / np.sqrt(variance + EPSILON), atol=1e-5)


def test_new_tdbn_has_the_deviation_of_the_threshold(rng):
    outputs = ThresholdDependentBatchNormalization()(rng.normal(5, 9, (64, 4, 3)).astype("float32"), training=True)
    np.testing.assert_allclose(np.std(outputs, axis=(0, 1)), 0.5, atol=1e-3)


@pytest.mark.parametrize("kind", [ThresholdDependentBatchNormalization, TemporalEffectiveBatchNormalization])
def test_masked_timesteps_do_not_count(rng, kind):
    x = rng.normal(size=(6, 4, 3, 2)).astype("float32")
    mask = np.arange(4) < np.array([4, 3, 1, 4, 2, 2])[:, None]
    layer = kind(momentum=0.0)
    layer(np.where(mask[:, :, None, None], x, 100.0).astype("float32"), training=True, mask=mask)
    np.testing.assert_allclose(layer.normalization.moving_mean, x[mask].mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(layer.normalization.moving_variance, x[mask].var((0, 1)), rtol=1e-4)


def test_affine_is_one_line_per_timestep(rng):
    x = rng.normal(size=(2, 2, 3, 4)).astype("float32")
    layer = TimestepAffine()
    np.testing.assert_array_equal(layer(x), x)
    offsets = rng.normal(size=(2, 4)).astype("float32")
    layer.set_weights([np.array([2.0, -3.0]), offsets])
    expected = np.stack([2 * x[:, 0] + offsets[0], -3 * x[:, 1] + offsets[1]], axis=1)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        ThresholdDependentBatchNormalization(threshold=0.7, alpha=0.5, momentum=0.8, epsilon=0.01),
        TemporalEffectiveBatchNormalization(momentum=0.8, epsilon=0.01),
        TimestepAffine(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_models_are_saved_and_loaded(layer, rng, tmp_path):
    model = keras.Sequential([keras.Input((3, 4, 2)), layer])
    x = rng.normal(size=(5, 3, 4, 2)).astype("float32")
    model(x, training=True)
    model.set_weights([weight + rng.uniform(0.1, 0.5, weight.shape) for weight in model.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)


def test_training_learns_gamma_beta_and_factors(rng):
    model = keras.Sequential([keras.Input((3, 2)), TemporalEffectiveBatchNormalization()])
    model.compile("sgd", "mse")
    before = [np.array(weight) for weight in model.trainable_weights]
    model.fit(rng.normal(size=(8, 3, 2)), rng.normal(size=(8, 3, 2)), verbose=0)
    assert [weight.name for weight in model.trainable_weights] == ["gamma", "beta", "factors"]
    assert all(np.all(old != new) for old, new in zip(before, model.trainable_weights, strict=True))


@pytest.mark.parametrize("kind", [ThresholdDependentBatchNormalization, TemporalEffectiveBatchNormalization])
def test_half_precision_stays_half_precision(rng, kind):
    outputs = kind(dtype="mixed_float16")(rng.normal(size=(4, 2, 3)), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    assert np.all(np.isfinite(outputs))


@pytest.mark.parametrize("option", ["threshold", "alpha"])
def test_scales_must_be_positive(option):
    with pytest.raises(ValueError, match=f"`{option}` must be positive and finite. Received: {option}=0"):
        ThresholdDependentBatchNormalization(**{option: 0})


def test_a_missing_feature_axis_is_refused():
    with pytest.raises(ValueError, match=r"at least one feature axis. Received: shape \(2, 3\). Do not wrap"):
        ThresholdDependentBatchNormalization().build((2, 3))


@pytest.mark.parametrize("kind", [TemporalEffectiveBatchNormalization, TimestepAffine])
def test_an_unknown_number_of_timesteps_is_refused(kind):
    with pytest.raises(ValueError, match=r"known number of timesteps. Received: shape \(None, None, 3\). Build"):
        kind().build((None, None, 3))
