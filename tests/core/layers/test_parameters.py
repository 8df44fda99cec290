"""Thresholds and decays: fixed or trained, one or one for each channel, snapped to what a file holds."""

import json
from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF, TernaryLIFCell
from keras_ternary_spike.decay import fractions, snap_decay
from keras_ternary_spike.layers.parameters import snap_straight_through

TRAINED = {"trainable_threshold": True, "trainable_decay": True}


def layer_gradients(layer, sequences, upstream, training):
    """Gradients of threshold and decay themselves, from those of their weights by the chain rule."""
    with tf.GradientTape() as tape:
        outputs = layer(sequences, training=training)
    weights = {weight.name: weight for weight in layer.trainable_weights}
    pair = [weights["log_threshold"], weights["logit_decay"]]
    by_log, by_logit = tape.gradient(outputs, [weight.value for weight in pair], output_gradients=upstream)
    threshold, decay = np.exp(pair[0].numpy()), 1 / (1 + np.exp(-pair[1].numpy()))
    return by_log / threshold, by_logit / (decay * (1 - decay))


@pytest.mark.usefixtures("unroll_limit")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("per", ["layer", "channel"])
def test_weights_of_threshold_and_decay_get_the_sequences_gradients(rng, per, training):
    sequences = tf.constant(rng.normal(size=(2, 6, 4, 3)), "float32")
    upstream = tf.constant(rng.normal(size=sequences.shape), "float32")
    layer = TernaryLIF(threshold=0.4, threshold_per=per, decay=0.3, decay_per=per, **TRAINED)
    found = layer_gradients(layer, sequences, upstream, training)
    # Without a detached reset or saturation the paper's equations, one scalar perturbed at a time, in NumPy.
    expected = numpy_gradients(sequences.numpy(), 0.4, 0.3, upstream.numpy())
    for gradient, per_channel in zip(found, expected, strict=True):
        wanted = per_channel if per == "channel" else per_channel.sum()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-4)


def numpy_gradients(current, threshold, decay, upstream):
    """Of threshold and decay, `(channels,)` each, forward in time, with straight-through spikes up to 2 * threshold."""
    membrane_kept = d_by_threshold = d_by_decay = np.zeros(current[:, 0].shape)
    grads = np.zeros((2, current.shape[-1]))
    for t in range(current.shape[1]):
        membrane = decay * membrane_kept + current[:, t]
        moved = [decay * d_by_threshold, membrane_kept + decay * d_by_decay]
        fired = np.abs(membrane) >= threshold
        slope = (np.abs(membrane) <= 2 * threshold) / (2 * threshold)
        d_spikes = [slope * (moved[0] - membrane / threshold), slope * moved[1]]
        grads += [(upstream[:, t] * d_spike).sum(axis=(0, 1)) for d_spike in d_spikes]
        sign = np.sign(membrane) * fired
        states = [np.where(fired, 0, d) - membrane * sign * s for d, s in zip(moved, d_spikes, strict=True)]
        membrane_kept, (d_by_threshold, d_by_decay) = np.where(fired, 0, membrane), states
    return grads


def test_trained_values_start_at_the_given_ones_and_stay_in_range(rng):
    layer = TernaryLIF(threshold=[0.3, 0.5], decay=[0.1, 0.9], **TRAINED)
    model = keras.Sequential([keras.Input((3, 2)), layer])
    np.testing.assert_allclose(layer.threshold, [0.3, 0.5], rtol=1e-6)
    np.testing.assert_allclose(layer.decay, [0.1, 0.9], rtol=1e-6)
    model.compile(optimizer=keras.optimizers.SGD(30.0), loss="mse")
    model.fit(rng.normal(size=(8, 3, 2)), rng.normal(size=(8, 3, 2)), epochs=2, verbose=0)
    threshold, decay = layer.threshold.numpy(), layer.decay.numpy()
    assert (threshold > 0).all() and (decay >= 0).all() and (decay <= 1).all()
    assert np.abs(threshold - [0.3, 0.5]).min() > 1e-3


def test_numbers_are_floats_where_fixed_and_one_else_arrays():
    fixed, channels, trained = TernaryLIF(), TernaryLIF(decay=(0.1, 0.2), threshold=[1, 2]), TernaryLIF(**TRAINED)
    assert (fixed.decay, fixed.threshold, fixed.cell.decay) == (0.25, 0.5, 0.25)
    assert type(fixed.decay) is float and type(TernaryLIF(threshold=1).threshold) is float
    assert channels.decay.tolist() == [0.1, 0.2] and channels.threshold.tolist() == [1.0, 2.0]
    trained.build((None, 4, 3))
    shapes = [keras.ops.convert_to_numpy(value).shape for value in (trained.decay, trained.threshold)]
    assert shapes == [(), ()]
    per_channel = TernaryLIF(threshold_per="channel", decay_per="channel", **TRAINED)
    per_channel.build((None, 4, 3))
    assert per_channel.decay.shape == per_channel.threshold.shape == (3,)
    assert {weight.name for weight in per_channel.trainable_weights} == {"amplitude", "log_threshold", "logit_decay"}


def test_a_fixed_snapped_decay_is_the_exported_fraction():
    assert TernaryLIF(snap_decay=True).decay == 16 / 63
    assert TernaryLIF(decay=Fraction(1, 3)).decay == 1 / 3
    assert TernaryLIF(decay=1 / 3, snap_decay=True, reset="subtract").decay == 20 / 61


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("start", [0.004, 0.25, 0.51, 0.731, 0.996])
def test_a_trained_snapped_decay_is_a_fraction_to_the_bit_with_a_straight_gradient(start, even):
    decay = tf.constant(start)
    with tf.GradientTape() as tape:
        tape.watch(decay)
        snapped = snap_straight_through(decay, even=even)
    distances = {Fraction(n, d): abs(n / d - start) for d in range(1, 64, 2) for n in range(0, d + 1, 1 + even)}
    nearest = min([*distances, Fraction(1)], key=lambda one: abs(float(one) - start))
    assert snapped.numpy() == np.float32(float(nearest)) and snap_decay(float(snapped), even=even) == nearest
    assert tape.gradient(snapped, decay).numpy() == 1.0


@pytest.mark.parametrize("even", [False, True])
def test_every_fraction_is_its_own_nearest_one_in_float32_too(even):
    listed = fractions(even=even)
    assert all(snap_decay(float(np.float32(float(one))), even=even) == one for one in listed)
    assert all(one.denominator % 2 == 1 and one.denominator <= 63 for one in listed)
    assert not even or all(one.numerator % 2 == 0 for one in listed if one != 1)


@pytest.mark.usefixtures("unroll_limit")
@pytest.mark.parametrize("training", [False, True])
def test_a_trained_snapped_layer_computes_what_a_fixed_fraction_does(rng, training):
    sequences = rng.normal(size=(2, 6, 3)).astype("float32")
    trained = TernaryLIF(trainable_decay=True, snap_decay=True)(sequences, training=training)
    np.testing.assert_array_equal(trained, TernaryLIF(decay=16 / 63)(sequences))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_leaves_a_fraction_a_fraction(policy):
    layer = TernaryLIF(trainable_decay=True, snap_decay=True, dtype=policy)
    seen = []
    layer.build((None, 2, 3))

    def inner_loop(sequences, **options):
        seen.append(layer.decay)
        return sequences[:, -1], sequences, []

    layer.inner_loop = inner_loop
    layer(np.zeros((1, 2, 3), "float32"))
    assert seen[0].dtype == "float32" and seen[0].numpy() == np.float32(16 / 63)


@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF, TernaryLIFCell])
def test_config_round_trip_keeps_every_option(neuron):
    options = {"decay": [0.25, 0.5], "threshold": [0.5, 1.0], "threshold_per": "channel", "decay_per": "channel"}
    layer = neuron(**options, **TRAINED, reset="subtract", reset_amount=2.0, separate_bumps=True)
    config = json.loads(json.dumps(layer.get_config()))
    assert {name: config[name] for name in options} == options and config["reset_amount"] == 2.0
    assert neuron.from_config(config).get_config() == layer.get_config()
    assert neuron.from_config(neuron(snap_decay=True).get_config()).decay == 16 / 63


def test_a_file_keeps_trained_numbers(rng, tmp_path):
    model = keras.Sequential([keras.Input((3, 2)), TernaryLIF(threshold_per="channel", **TRAINED)])
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(size=weight.shape))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy.layers[0].threshold, model.layers[0].threshold)
    np.testing.assert_array_equal(copy.layers[0].decay, model.layers[0].decay)
    assert copy.layers[0].threshold.shape == (2,)


def test_a_masked_sequence_takes_the_same_numbers(rng):
    sequences = rng.normal(size=(2, 5, 3)).astype("float32")
    layer = TernaryLIF(decay=[0.1, 0.5, 0.9], threshold=0.3, trainable_threshold=True)
    masked = layer(sequences, mask=np.ones((2, 5), bool))
    np.testing.assert_allclose(masked, layer(sequences), atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threshold_per": "pixel"}, "`threshold_per` must be 'layer' or 'channel'. Received: threshold_per='pixel'"),
        ({"decay_per": "element"}, "`decay_per` must be 'layer' or 'channel'. Received: decay_per='element'"),
        ({"threshold": [0.5, -1.0]}, r"`threshold` must be positive and finite in float32. Received: threshold=-1.0"),
        ({"threshold": float("nan")}, "`threshold` must be positive and finite in float32. Received: threshold=nan"),
        ({"threshold": []}, r"`threshold` must be a number, or a sequence of one for each channel.*shape \(0,\)"),
        ({"decay": [[0.5]]}, r"`decay` must be a number, or a sequence of one for each channel.*shape \(1, 1\)"),
        ({"decay": [0.5, 1.5]}, r"`decay` must lie in \[0, 1\]. Received: decay=1.5"),
        ({"decay": -0.1}, r"`decay` must lie in \[0, 1\]. Received: decay=-0.1"),
        ({"decay": float("nan")}, r"`decay` must lie in \[0, 1\]. Received: decay=nan"),
        ({"decay": 0.0, "trainable_decay": True}, "trained must lie between 0 and 1.*decay=0.0, trainable_decay=True"),
        (
            {"decay": Fraction(16, 63), "trainable_decay": True},
            r"A fraction is a fixed decay, and cannot be trained.*Fraction\(16, 63\).*Use a float with snap_decay=True",
        ),
        ({"decay": [Fraction(1, 3)], "trainable_decay": True}, "A fraction is a fixed decay, and cannot be trained"),
        ({"decay": [0.5, 0.25], "snap_decay": True}, r"`snap_decay` needs one decay for the layer.*\(0.5, 0.25\)"),
        (
            {"trainable_decay": True, "decay_per": "channel", "snap_decay": True},
            r"`snap_decay` needs one decay for the layer.*Use decay_per=\"layer\"",
        ),
        ({"reset_amount": -1.0}, "`reset_amount` must be positive and finite. Received: reset_amount=-1.0"),
    ],
)
@pytest.mark.parametrize("neuron", [TernaryLIF, TernaryLIFCell])
def test_bad_values_are_refused(neuron, options, message):
    with pytest.raises(ValueError, match=message):
        neuron(**options)


@pytest.mark.parametrize(
    "options, what",
    [
        ({"trainable_threshold": True, "threshold_per": "channel"}, '`threshold`.*threshold_per="channel"'),
        ({"trainable_decay": True, "decay_per": "channel"}, '`decay`.*decay_per="channel"'),
        ({"decay": [0.1, 0.2]}, "`decay`.*2 values"),
    ],
)
def test_unknown_channels_are_refused(options, what):
    with pytest.raises(ValueError, match=rf"One {what} at 'lif|One {what}.*channels=None. Give the input its channels"):
        TernaryLIF(**options)(keras.Input((4, 6, None)))


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match=r"`threshold` must be a number.*Received: 2 values at.*have 3 channels"):
        TernaryLIF(threshold=[0.5, 1.0])(keras.Input((4, 3)))


def test_levels_are_in_the_config_and_one_level_is_ternary(rng):
    sequences = rng.normal(size=(2, 5, 3)).astype("float32")
    layer = MultiLevelLIF(levels=3, reset="subtract", reset_amount=2.0)
    outputs = layer(2 * sequences)
    assert set(np.unique(outputs)) == {-3, -2, -1, 0, 1, 2, 3}
    copy = MultiLevelLIF.from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(copy(2 * sequences), outputs)
    np.testing.assert_array_equal(MultiLevelLIF(levels=1)(sequences), TernaryLIF()(sequences))
    with pytest.raises(ValueError, match=r"`levels` must be .* an integer from 1 to 127. Received: levels=0"):
        MultiLevelLIF(levels=0)
