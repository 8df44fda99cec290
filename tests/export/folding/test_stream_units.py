"""Sums that several neurons read: the unit they share, folded against unfolded and exact on every runtime."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, fold, load, verify
from keras_ternary_spike.export.tflite import flatbuffer

IMAGE = (6, 6, 2)


def conv(x):
    return PerTimestep(layers.Conv2D(3, 3, padding="same", kernel_initializer="he_normal"))(x)


def stream(*thresholds, read=lambda x: x):
    """Currents added up from block to block; a neuron reads the sum before each block and behind the last."""
    image = keras.Input(IMAGE)
    x = conv(DirectEncoding(3)(image))
    neurons = [TernaryLIF(threshold=threshold, name=f"neuron{index}") for index, threshold in enumerate(thresholds)]
    for neuron in neurons[:-1]:
        x = layers.Add()([conv(neuron(read(x))), x])
    x = PerTimestep(layers.Flatten())(neurons[-1](read(x)))
    return keras.Model(image, TimeAverage()(layers.Dense(4)(x)))


def flat(*thresholds):
    """Two Dense layers added up behind a Flatten, with thresholds of their own for every number."""
    image = keras.Input(IMAGE)
    x = PerTimestep(layers.Flatten())(conv(DirectEncoding(3)(image)))
    spikes = TernaryLIF(threshold=thresholds[0], name="neuron0")(x)
    x = layers.Add()([layers.Dense(72 * 3 // 2)(spikes), x])
    last = TernaryLIF(threshold=thresholds[1], name="neuron1")(x)
    return keras.Model(image, TimeAverage()(layers.Dense(4)(last)))


def spread(count, start):
    return np.resize([0.3, 0.5, 0.9], count + start)[start:].tolist()


def shifted():
    """A normalization with a factor and an offset for each channel."""
    draws = {"gamma_initializer": keras.initializers.RandomUniform(0.7, 1.5), "beta_initializer": "random_normal"}
    return layers.BatchNormalization(**draws)


NETWORKS = {
    "one vector": lambda: stream(*[spread(3, 0)] * 3),
    "three vectors": lambda: stream(spread(3, 0), spread(3, 1), spread(3, 2)),
    "a vector and numbers": lambda: stream(0.5, spread(3, 0), 0.5),
    "three numbers": lambda: stream(0.3, 0.5, 0.9),
    "normalized": lambda: stream(0.5, 0.5, 0.5, read=lambda x: shifted()(x)),
    "regrouped by a Flatten": lambda: flat(spread(108, 0), spread(108, 0)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sum_read_by_several_neurons_is_exact(rng, name):
    model, images = NETWORKS[name](), rng.normal(0, 0.5, (8, *IMAGE)).astype("float32")
    expected = computed(model, images)
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(computed(fold(model), images), expected, atol=1e-4)
    tflite_bytes = export_tflite(model, input_range=(-2, 2))
    assert verify(model, tflite_bytes, images[:2]).exact
    exported = load(tflite_bytes).predict(images)
    assert np.abs(exported - expected).mean() < 0.25 * np.std(expected)


def test_the_file_says_where_sums_saturate():
    notes = flatbuffer.read(export_tflite(NETWORKS["three vectors"]())).metadata["notes"]
    # The first neuron's thresholds over the others', channel by channel: 3/5, 5/9, 9/3 and 3/9, 5/3, 9/5.
    assert notes == [
        "currents of 'neuron0' saturate at 3.10 times twice the threshold",
        "sums that 'neuron1' reads saturate at 1.72 to 9.29 times twice the threshold",
        "sums that 'neuron2' reads saturate at 1.03 to 5.58 times twice the threshold",
    ]


def test_a_unit_for_channels_that_a_flatten_mixes_is_their_largest():
    notes = flatbuffer.read(export_tflite(NETWORKS["regrouped by a Flatten"]())).metadata["notes"]
    # Neurons of threshold 0.9 see the sum as it is, those of 0.3 three times as far.
    told = "reads saturate at 3.10 to 9.29 times twice the threshold"
    assert notes == [f"sums that 'neuron0' {told}", f"sums that 'neuron1' {told}"]
