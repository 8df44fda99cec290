"""Joules and bits of a file, against spikes counted by hand and the tables' own numbers."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import energy, export_tflite
from keras_ternary_spike.export.costs.energy import TABLES, LayerInformation, information_of
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.tflite import flatbuffer

pytestmark = pytest.mark.filterwarnings("ignore:The range of output")
MAC, ADDITION = 0.23e-12, 0.03e-12


def file_of(neuron, timesteps=1):
    """Four numbers, three neurons, two outputs: 12 weights on real values, 6 on spikes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    spikes = neuron(DirectEncoding(timesteps)(layers.Dense(3)(inputs)))
    return export_tflite(keras.Model(inputs, TimeAverage()(PerTimestep(layers.Dense(2))(spikes))))


def spikes_of(content, samples):
    program = flatbuffer.read(content)
    trace = program.trace(quantize_input(program, samples))
    return np.stack([values for name, values in trace.items() if "/spike/" in name])


@pytest.fixture
def samples(rng):
    return rng.random((50, 4)).astype("float32")


def test_a_spike_adds_and_a_level_multiplies(samples):
    for neuron, price in ((TernaryLIF(threshold=0.2), ADDITION), (MultiLevelLIF(3, threshold=0.1), MAC)):
        content = file_of(neuron)
        fired = np.count_nonzero(spikes_of(content, samples)) / 50
        found = energy(content, samples)
        assert found.event_driven == pytest.approx(12 * MAC + 2 * fired * price)
        assert found.dense_joules == pytest.approx(18 * MAC) == found.relu
        assert found.share == pytest.approx(2 * fired / 6)
        assert found.additions + found.multiply_accumulates == pytest.approx(12 + 2 * fired)
        assert found.break_even == pytest.approx(MAC / price)  # all others are the same


def test_timesteps_are_paid_for_and_relu_is_once(samples):
    content = file_of(TernaryLIF(threshold=0.2), timesteps=2)
    found = energy(content, samples)
    assert found.relu == pytest.approx(18 * MAC)
    assert found.elementwise > 0
    sums = spikes_of(content, samples).sum(axis=0)  # added over time before the layer behind
    assert found.multiply_accumulates == pytest.approx(12 + 2 * np.count_nonzero(sums) / 50)


def test_memory_and_measured_systems_are_tables_of_their_own(samples):
    content = file_of(TernaryLIF(threshold=0.2))
    bare, stored = (energy(content, samples, table=name) for name in ("horowitz", "horowitz_memory"))
    assert stored.dense_joules == pytest.approx(bare.dense_joules + 18 * 24.96e-12)
    assert energy(content, samples, table="cortex_m4").relu == pytest.approx(18 * 439e-12)
    text = str(energy(content, samples, table="cortex_m4"))
    assert "STM32L4R5" in text and "multiply-accumulates 12, of 18" in text


def test_a_table_that_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"`table` must be one of horowitz, .*gap9. Received: table='fusion'"):
        energy(b"", np.zeros((1, 4)), table="fusion")
    assert all(table.source for table in TABLES.values())


def of_spikes(values):
    (found,) = information_of({"a": np.bincount(np.array(values) + 128, minlength=256)})
    return found


def test_bits_are_the_entropy_of_levels():
    assert of_spikes([-1, 0, 1] * 5).bits == pytest.approx(np.log2(3))
    assert of_spikes([0] * 7) == LayerInformation("a", 0.0, 0.0)
    assert of_spikes([0] * 7).bits_per_spike == 0.0
    rare = of_spikes([0] * 9 + [1])
    assert rare.bits_per_spike == pytest.approx(-(0.9 * np.log2(0.9) + 0.1 * np.log2(0.1)) / 0.1)
