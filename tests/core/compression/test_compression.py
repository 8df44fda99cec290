"""Pruned, clustered and ternary kernels against NumPy; tensorflow-model-optimization beside Keras 3."""

import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, compression
from keras_ternary_spike.compression import Cluster, Prune, TernaryKernels, sparsity, toolkit
from keras_ternary_spike.compression.kernels import find_kernels
from keras_ternary_spike.compression.masks import pattern_mask
from keras_ternary_spike.compression.ternary import ternary

SAMPLES, BATCH = 24, 4
IMPORT = """
import os, sys
import keras, tensorflow as tf
{before}
from keras_ternary_spike import compression
print("tensorflow_model_optimization" in sys.modules)
print(compression.PolynomialDecay.__module__.split(".")[0])
print(os.environ.get("TF_USE_LEGACY_KERAS"))
for module in (tf.keras, tf.compat.v1.keras, tf.compat.v2.keras):
    print(module.layers.Dense is keras.layers.Dense, module.Model is keras.Model)
print(type(tf.optimizers.Adam()) is keras.optimizers.Adam)
"""


def dense_model(inputs=16, units=8, learning_rate=0.0):
    """Two Dense layers, "a" and "b". With learning rate 0 only a callback changes kernels."""
    model = keras.Sequential([keras.Input((inputs,)), layers.Dense(units, name="a"), layers.Dense(3, name="b")])
    model.compile(keras.optimizers.SGD(learning_rate), "mse", run_eagerly=True)
    return model


def spiking_model():
    """Kernels at every depth: wrapped, in a model in a wrapper, in a nested model, in Keras's own wrapper."""
    nested = keras.Sequential([layers.Conv2D(4, 3, name="b")])
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            DirectEncoding(2),
            PerTimestep(layers.Conv2D(4, 3, name="a")),
            TernaryLIF(),
            PerTimestep(nested),
            TernaryLIF(),
            keras.Sequential([PerTimestep(layers.Flatten()), layers.TimeDistributed(layers.Dense(3, name="c"))]),
            TimeAverage(),
        ]
    )
    model.compile("adam", "mse", jit_compile=False)
    return model


def fit(model, *callbacks, epochs=1, batch_size=BATCH, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((SAMPLES, *model.input_shape[1:])).astype("float32")
    y = rng.standard_normal((SAMPLES, 3)).astype("float32")
    return model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=list(callbacks))


def kernel(model, name="a"):
    return next(found.numpy() for found in find_kernels(model, [name]))


def constant(share, begin_step=0, frequency=1):
    return compression.ConstantSparsity(share, begin_step, frequency=frequency)


@pytest.mark.parametrize(("before", "found"), [("", None), ("tf.keras.layers", "0")])
def test_the_import_is_late_and_leaves_tf_keras_and_its_switch_as_found(before, found, python):
    environment = {} if found is None else {"TF_USE_LEGACY_KERAS": found}
    run = python.run("-c", IMPORT.format(before=before), environment=environment)
    assert run.stdout.split() == ["False", "tensorflow_model_optimization", str(found), *["True"] * 7], run.stderr


def test_without_keras_2_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(ImportError, match=r"Missing: tf_keras. Install.*keras-ternary-spike\[compression\]"):
        toolkit.load_tfmot("sparsity.keras")


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"backend 'jax'. Set KERAS_BACKEND=tensorflow"):
        toolkit.load_tfmot("sparsity.keras")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_smallest_weights_become_zero_and_the_others_stay(share):
    model = dense_model()
    before = kernel(model)
    fit(model, Prune(constant(share)))
    kept = round(before.size * (1 - share))
    smallest_kept = np.sort(np.abs(before).ravel())[-kept]
    np.testing.assert_array_equal(kernel(model), np.where(np.abs(before) >= smallest_kept, before, 0))


def test_the_share_of_zeros_follows_the_schedule():
    model, seen = dense_model(inputs=100, units=10), []
    schedule = compression.PolynomialDecay(0.0, 0.8, begin_step=1, end_step=5, frequency=2)
    spy = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(sparsity(model)["a"]))
    fit(model, Prune(schedule), spy)
    assert seen == [0, 0, 0, 0.7, 0.7, 0.8]  # 0.8 - 0.8 * (1 - 2 / 4)**3 = 0.7 at step 3


def test_two_of_four_are_the_smaller_ones_along_the_inputs(rng):
    weights = rng.standard_normal((3, 3, 8, 5)).astype("float32")
    expected = np.zeros(weights.shape, bool)
    for row, column, start, channel in np.ndindex(3, 3, 2, 5):
        group = np.abs(weights[row, column, 4 * start : 4 * start + 4, channel])
        expected[row, column, 4 * start + np.argsort(group)[2:], channel] = True
    np.testing.assert_array_equal(pattern_mask(weights, (2, 4)), expected)


def test_a_pattern_prunes_the_layers_it_fits_and_holds_the_zeros_of_the_others():
    model = dense_model(inputs=6, units=8, learning_rate=0.1)
    weights = kernel(model)
    weights[:4] = 0
    model.get_layer("a").kernel.assign(weights)
    fit(model, Prune(constant(0.5), (2, 4)))
    assert not kernel(model)[:4].any() and kernel(model)[4:].all()
    np.testing.assert_array_equal((kernel(model, "b") != 0).reshape(2, 4, 3).sum(axis=1), np.full((2, 3), 2))


def test_channels_are_pruned_whole_and_the_outputs_are_kept():
    model = dense_model()
    before = kernel(model)
    fit(model, Prune(constant(0.5), "channel"))
    expected = np.isin(np.arange(8), np.argsort(np.linalg.norm(before, axis=0))[4:])
    np.testing.assert_array_equal(kernel(model), before * expected)
    assert sparsity(model)["b"] == 0


def test_depthwise_and_transposed_kernels_are_pruned_by_their_own_channels(rng):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            layers.Conv2DTranspose(6, 2, name="transposed"),
        ]
    )
    depthwise, transposed = find_kernels(model)
    assert [depthwise.variable.shape, depthwise.per_channel] == [(3, 3, 4, 2), (0, 1)]
    assert [transposed.variable.shape, transposed.per_channel] == [(2, 2, 6, 8), (0, 1, 3)]
    assert depthwise.reads is None and transposed.reads is None


def test_pruned_weights_stay_zero_while_the_others_learn():
    model = spiking_model()
    prune = Prune(constant(0.6))
    fit(model, prune)
    pruned = {name: (mask, kernel(model, name)) for name, mask in prune.masks.items()}
    assert list(pruned) == ["a", "b", "c"]
    model.compile("adam", "mse", jit_compile=False, steps_per_execution=3)
    fit(model, Prune(), epochs=2, seed=1)
    for name, (mask, before) in pruned.items():
        np.testing.assert_array_equal(kernel(model, name) != 0, mask)
        assert np.all(kernel(model, name)[mask] != before[mask])
        assert np.mean(~mask) == pytest.approx(0.6, abs=0.5 / mask.size)


def test_a_new_callback_picks_the_masks_up_from_a_loaded_model(tmp_path):
    model = dense_model(learning_rate=0.1)
    fit(model, Prune(constant(0.75)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(kernel(loaded), kernel(model))
    # A schedule that starts over with fewer zeros revives none.
    fit(loaded, Prune(compression.PolynomialDecay(0.0, 0.5, begin_step=0, end_step=4, frequency=1)))
    np.testing.assert_array_equal(kernel(loaded) == 0, kernel(model) == 0)


def test_steps_count_on_over_epochs_and_in_the_next_fit():
    model, prune = dense_model(), Prune(constant(0.5, begin_step=7))
    fit(model, prune, epochs=2)
    assert prune.step == 12 and sparsity(model)["a"] == 0.5
    fit(model, prune)
    assert prune.step == 18


def test_a_schedule_that_begins_after_the_training_is_refused():
    with pytest.raises(ValueError, match=r"begin_step=6, and the training ends after step 5. Lower begin_step"):
        fit(dense_model(), Prune(constant(0.5, begin_step=6)))


def test_a_schedule_that_names_no_step_is_warned_of():
    with pytest.warns(UserWarning, match="Nothing was pruned: the schedule named none of the 6 steps"):
        fit(dense_model(), Prune(lambda step: (False, 0.5)))


@pytest.mark.parametrize("make", [Prune, TernaryKernels, lambda **options: Cluster(4, **options)])
def test_a_layer_that_does_not_exist_is_named(make):
    with pytest.raises(ValueError, match=r"Received: \['dense_9'\]. Model .* has: a, b"):
        fit(dense_model(), make(layers=["dense_9", "a"]))
    with pytest.raises(ValueError, match=r"`layers` must be a list.*Received: 'a'"):
        make(layers="a")


def test_a_pattern_that_does_not_divide_the_channels_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 4\) must divide.*Received: 'a' with 6. Leave those out"):
        fit(dense_model(inputs=6), Prune(constant(0.5), (2, 4), layers=["a", "b"]))


@pytest.mark.parametrize("pattern", ["block", (4, 2), (0, 4), (2.0, 4), (1, 2, 4), 2])
def test_a_malformed_pattern_is_refused(pattern):
    with pytest.raises(ValueError, match=r"`pattern` must be None, \"channel\", or \(m, n\)"):
        Prune(None, pattern)


def test_a_kernel_of_zeros_is_refused_by_name():
    model = dense_model()
    model.get_layer("b").kernel.assign(np.zeros((8, 3)))
    with pytest.raises(ValueError, match=r"Received: layer 'b', all 0. Remove the layer"):
        fit(model, Prune(constant(0.5)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prune(0.5), "`schedule` must be a PruningSchedule or None. Received: schedule=0.5"),
        (lambda: Cluster(1), "`levels` must be an integer of at least 2. Received: levels=1"),
        (lambda: TernaryKernels(threshold=2), r"`threshold` must lie in \[0, 2\). Received: threshold=2"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_ternary_weights_are_minus_s_zero_and_s_in_each_channel():
    weights = np.array([[1.0, 3.0], [-3.0, 1.0], [0.5, 0.0], [-2.0, -2.0]], "float32")
    # means 1.625 and 1.5; 0.7 of them 1.1375 and 1.05; what is above: 3, 2 and 3, 2
    expected = np.array([[0, 2.5], [-2.5, 0], [0, 0], [-2.5, -2.5]], "float32")
    np.testing.assert_array_equal(ternary(weights, (0,), 0.7), expected)
    np.testing.assert_array_equal(ternary(expected, (0,), 0.7), expected)


def test_ternary_training_passes_gradients_straight_through():
    """Loss (x . w)^2 of one sample: gradient 2 (x . w) x, at the ternary w, applied to the latent one."""
    x = np.array([[1.0, 2.0, -1.0]], "float32")
    latent = np.array([[0.5], [0.25], [0.1]], "float32")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False, name="a")])
    model.get_layer("a").kernel.assign(latent)
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    for _ in range(2):
        projected = ternary(latent, (0,), 0.7)
        latent = latent - 0.1 * 2 * (x @ projected) * x.T
    model.fit(x, np.zeros((1, 1)), epochs=2, verbose=0, callbacks=[TernaryKernels()])
    np.testing.assert_allclose(kernel(model), ternary(latent, (0,), 0.7), rtol=1e-6)  # float32, a few roundings


def test_ternary_kernels_are_found_in_every_wrapper_and_survive_saving(tmp_path):
    model = spiking_model()
    fit(model, TernaryKernels())
    model.save(tmp_path / "model.keras")
    for found in find_kernels(keras.saving.load_model(tmp_path / "model.keras")):
        for channel in np.moveaxis(found.numpy(), -1, 0):
            assert len(np.unique(np.abs(channel[channel != 0]))) == 1
    assert [found.name for found in find_kernels(model)] == ["a", "b", "c"]


def test_clusters_are_the_means_of_the_weights_nearest_to_them():
    model = dense_model()
    before = kernel(model)
    fit(model, Cluster(4))
    after = kernel(model)
    assert len(np.unique(after)) == 4
    for level in np.unique(after):
        np.testing.assert_allclose(level, before[after == level].mean(), rtol=1e-5)
    fit(model, Cluster(4))
    np.testing.assert_allclose(kernel(model), after, rtol=1e-6)


def test_clustering_keeps_the_zeros_of_a_pruned_kernel():
    model = dense_model(learning_rate=0.05)
    fit(model, Prune(constant(0.5)))
    zeros = kernel(model) == 0
    fit(model, Cluster(5), epochs=2, seed=1)
    np.testing.assert_array_equal(kernel(model) == 0, zeros)
    assert len(np.unique(kernel(model))) <= 5
