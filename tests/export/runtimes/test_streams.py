"""Streams without end: averages over a window, any number of timesteps, and certificates of them."""

import keras
import numpy as np
import pytest
from keras import layers

from every_runtime import assert_every_tensor_equals
from keras_ternary_spike import LeakyIntegrator, PerTimestep, TernaryLIF, TimeAverage, TimeMax
from keras_ternary_spike.export import StepRunner, certify, check, export_tflite, load
from keras_ternary_spike.export.certificate.certificate import compare
from keras_ternary_spike.export.tflite import flatbuffer

RANGE = {"input_range": (-1, 1)}
WINDOW = 5


def stream(timesteps, *end, seed=5):
    keras.utils.set_random_seed(seed)
    chain = [layers.Dense(12), TernaryLIF(threshold=0.3), layers.Dense(6), TernaryLIF(threshold=0.3, decay=0.9)]
    return keras.Sequential([keras.Input((timesteps, 9), name="x"), *chain, *end])


def images(timesteps):
    return stream(timesteps, PerTimestep(layers.Reshape((2, 3, 1))), TimeAverage())


def steps(file, frames):
    runner = StepRunner(file)
    return np.stack([runner.step(frame) for frame in frames])


@pytest.mark.parametrize("build", [lambda t: stream(t, TimeAverage()), images], ids=["vector", "image"])
@pytest.mark.parametrize("known", [None, 7])
def test_every_step_gives_the_mean_of_the_spikes_of_the_window(build, known, rng):
    net, frames = build(known), rng.uniform(-1, 1, (40, 9))
    found = steps(export_tflite(net, form="step", window=WINDOW, **RANGE), frames)
    spikes = steps(export_tflite(stream(None), form="step", **RANGE), frames).reshape(40, *found.shape[1:])
    padded = np.concatenate([np.zeros((WINDOW - 1, *found.shape[1:])), spikes])
    expected = [padded[t : t + WINDOW].sum(axis=0) / WINDOW for t in range(40)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert len(np.unique(found)) > 5


def test_after_as_many_steps_as_the_window_the_output_is_that_of_the_unrolled_file(rng):
    sequences = rng.uniform(-1, 1, (8, WINDOW, 9))
    whole = load(export_tflite(stream(WINDOW, TimeAverage()), **RANGE)).predict(sequences)
    file = export_tflite(stream(None, TimeAverage()), form="step", window=WINDOW, **RANGE)
    np.testing.assert_array_equal([steps(file, sequence)[-1] for sequence in sequences], whole)


def test_a_classifier_behind_a_window_on_every_runtime(rng):
    file = export_tflite(stream(None, TimeAverage(), layers.Dense(3)), form="step", window=WINDOW, **RANGE)
    program = flatbuffer.read(file)
    inputs = {}
    for tensor in (program.tensors[index] for index in program.inputs):
        low, high = (-1, 2) if "time_average" in tensor.name else (-100, 101)
        inputs[tensor.name] = rng.integers(low, high, (4, *tensor.shape[1:])).astype(np.int8)
    assert_every_tensor_equals(program.trace(inputs), file, inputs)
    assert program.facts.window == WINDOW and program.facts.any_length
    assert {"CONCATENATION", "SLICE", "DEPTHWISE_CONV_2D"} <= {operator.kind for operator in program.operators}


ENDS = {
    "window": (lambda: (TimeAverage(), layers.Dense(3)), {"window": WINDOW}, WINDOW),
    "spikes": (tuple, {}, 11),
    "membranes": (lambda: (layers.Dense(3), LeakyIntegrator(0.8)), {"output_range": (-8, 8)}, 11),
    "largest": (lambda: (TimeMax(),), {}, 11),
    "mean membrane": (lambda: (layers.Dense(3), LeakyIntegrator(0.8), TimeAverage()), {"window": WINDOW}, WINDOW),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_of_unknown_length_is_verified_on_as_many_timesteps_as_samples_have(end, rng):
    build, options, timesteps = ENDS[end]
    net, samples = stream(None, *build()), rng.uniform(-1, 1, (3, timesteps, 9))
    file = export_tflite(net, form="step", **options, **RANGE)
    report, whole = compare(net, file, samples, also=("c",) if end in ("window", "largest") else ())
    assert report.exact and report.distances and whole.facts.timesteps == timesteps
    step = flatbuffer.read(file)
    values = sum(int(np.prod(step.tensors[operator.output].shape)) for operator in step.operators)
    counts = {name: found.values for name, found in report.runtimes.items()}
    assert counts.pop("c", 0) <= 3 * timesteps * values  # what the C writes
    assert {*counts.values()} == {3 * timesteps * values}


@pytest.mark.parametrize("end", ["window", "membranes", "largest", "mean membrane"])
def test_every_operator_of_a_stream_runs_on_the_npu(end):
    build, options, _ = ENDS[end]
    file = export_tflite(stream(None, *build()), form="step", **options, **RANGE)
    report = check(file, target="ethos-u55-128")
    assert report.ran and report.accepted and len(report.operators) > 10


def test_a_stream_of_unknown_length_is_certified(rng):
    net, samples = stream(None, layers.Dense(3), LeakyIntegrator(0.8)), rng.uniform(-1, 1, (3, 4, 9))
    file = export_tflite(net, form="step", output_range=(-8, 8), **RANGE)
    certificate = certify(net, file, samples)
    assert certificate.exact and len(certificate.proofs) == 2
    assert certificate.beside_relu is not None


def test_a_window_is_compared_with_keras_on_samples_of_its_length_alone(rng):
    net = stream(None, TimeAverage())
    file = export_tflite(net, form="step", window=WINDOW, **RANGE)
    with pytest.raises(
        ValueError, match=r"as long as the window of 5 timesteps.*Received: 9.*such samples, or no model"
    ):
        compare(net, file, rng.uniform(-1, 1, (2, 9, 9)))
    assert compare(None, file, rng.uniform(-1, 1, (2, 9, 9)))[0].exact


def test_samples_of_any_length_choose_the_integers_of_a_stream(rng):
    net = stream(None, layers.Dense(3), LeakyIntegrator(0.8))
    file = export_tflite(net, form="step", samples=rng.uniform(-1, 1, (16, 9, 9)), verbose=0, **RANGE)
    assert not flatbuffer.read(file).facts.guessed_outputs


def test_windows_that_cannot_be_are_refused_and_their_ways_out_work():
    net = stream(None, TimeAverage(name="mean"))
    with pytest.raises(ValueError, match=r"None from 'x', over which 'mean' averages.*form=\"step\" and window=\.\.\."):
        export_tflite(net, form="step", **RANGE)
    assert export_tflite(net, form="step", window=WINDOW, **RANGE)
    for window in (0, 1.5, True):
        with pytest.raises(ValueError, match=r"`window` must be a number of timesteps, at least 1.*Received: window="):
            export_tflite(net, form="step", window=window, **RANGE)
    with pytest.raises(ValueError, match=r"of a stream, form=\"step\"\. Received: window=5, form='unrolled'"):
        export_tflite(net, window=WINDOW, **RANGE)
    with pytest.raises(ValueError, match=r"`window` is of averages over time.*which has none\. Leave"):
        export_tflite(stream(None), form="step", window=WINDOW, **RANGE)
    with pytest.raises(ValueError, match=r"'mean'.*up to 127\. Received: values up to 128"):
        export_tflite(net, form="step", window=128, **RANGE)


def test_a_window_of_one_is_the_step_and_states_of_neurons_stay(rng):
    frames = rng.uniform(-1, 1, (12, 9))
    spikes = steps(export_tflite(stream(None), form="step", **RANGE), frames)
    found = steps(export_tflite(stream(None, TimeAverage()), form="step", window=1, **RANGE), frames)
    np.testing.assert_array_equal(found, spikes)
