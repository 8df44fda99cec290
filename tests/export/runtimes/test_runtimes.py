"""The same int8 values from every runtime, in the same shape, or an error that says what to do."""

import sys

import keras
import numpy as np
import pytest

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.runtimes import implementations as runtimes
from keras_ternary_spike.export.runtimes import timing as timing_module
from keras_ternary_spike.export.tflite.flatbuffer import read


@pytest.fixture(scope="module")
def tflite_bytes():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            DirectEncoding(3),
            PerTimestep(
                layers.Conv2D(4, 3, padding="same", kernel_initializer=keras.initializers.RandomNormal(stddev=1.0))
            ),
            TernaryLIF(name="lif"),
            PerTimestep(layers.MaxPooling2D()),
            PerTimestep(layers.Flatten()),
            PerTimestep(layers.Dense(3)),
            TimeAverage(),
        ],
        name="small",
    )
    return export_tflite(model)


@pytest.fixture
def samples(rng):
    return rng.integers(-128, 128, (9, 6, 5, 2)).astype(np.int8)


@pytest.mark.parametrize("name", runtimes.RUNTIMES)
def test_every_runtime_equals_the_program_on_every_tensor(name, tflite_bytes, samples):
    expected = read(tflite_bytes).trace(samples)
    outputs = runtimes.RUNTIMES[name].run(runtimes.expose(tflite_bytes), samples)
    assert list(outputs) == list(expected)
    for tensor, values in outputs.items():
        np.testing.assert_array_equal(values, expected[tensor], err_msg=tensor)


@pytest.mark.parametrize("name", runtimes.RUNTIMES)
def test_every_runtime_equals_the_program_on_the_file_as_shipped(name, tflite_bytes, samples):
    (values,) = runtimes.RUNTIMES[name].run(tflite_bytes, samples).values()
    assert values.dtype == np.int8
    assert len(np.unique(values)) > 5  # not a constant
    np.testing.assert_array_equal(values, read(tflite_bytes).run(samples))


def test_the_spikes_that_are_compared_are_not_all_zero(tflite_bytes, samples):
    trace = read(tflite_bytes).trace(samples)
    assert np.unique(trace["lif/spike/2"]).tolist() == [-1, 0, 1]


def test_exposing_changes_the_outputs_and_nothing_else(tflite_bytes):
    shipped, exposed = read(tflite_bytes), read(runtimes.expose(tflite_bytes))
    assert exposed.operators == shipped.operators
    assert exposed.outputs == tuple(operator.output for operator in shipped.operators)


@pytest.mark.parametrize("name", runtimes.RUNTIMES)
def test_samples_of_another_shape_or_type_are_refused(name, tflite_bytes, samples):
    with pytest.raises(ValueError, match=r"`inputs` must be int8 of shape \('samples', 6, 5, 2\).*\(9, 5, 5, 2\)"):
        runtimes.RUNTIMES[name].run(tflite_bytes, samples[:, :5])
    with pytest.raises(ValueError, match=r"`inputs` must be int8.*float64"):
        runtimes.RUNTIMES[name].run(tflite_bytes, samples.astype(float))


def test_no_samples_give_no_outputs(tflite_bytes, samples):
    (values,) = runtimes.RUNTIMES["xnnpack"].run(tflite_bytes, samples[:0]).values()
    assert values.shape == (0, 3)


def test_the_arena_holds_at_least_the_tensors_alive_at_once(tflite_bytes):
    # A current of 6 * 5 * 4 bytes and the spikes computed from it are alive together.
    assert 2 * 6 * 5 * 4 < runtimes.arena_bytes(tflite_bytes) < 100_000
    assert runtimes.arena_bytes(tflite_bytes) < runtimes.arena_bytes(runtimes.expose(tflite_bytes))


def test_an_arena_of_the_size_reported_is_about_enough(tflite_bytes):
    from tflite_micro.python.tflite_micro import runtime

    arena = runtimes.arena_bytes(tflite_bytes)
    runtime.Interpreter.from_bytes(tflite_bytes, arena_size=arena + 1024).invoke()
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(tflite_bytes, arena_size=arena // 2)


def test_latency_is_the_median_between_its_quartiles(tflite_bytes, samples):
    time = timing_module.latency(tflite_bytes, samples[0], invocations=30)
    assert 0 < time.low_ms <= time.median_ms <= time.high_ms
    assert time.invocations == 30


def test_without_tflite_micro_the_error_names_the_extra(tflite_bytes, samples, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ternary-spike\[tflm\]'"):
        runtimes.RUNTIMES["tflm"].run(tflite_bytes, samples)


def test_what_native_code_prints_is_given_back_and_not_shown(capfd):
    import os

    with runtimes._captured_stderr() as lines:
        os.write(2, b"one\ntwo\n")
    assert lines == ["one\n", "two\n"]
    assert capfd.readouterr().err == ""
