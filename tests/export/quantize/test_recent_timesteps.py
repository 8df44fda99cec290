"""The last timesteps as rows: what NumPy makes of them, in both forms and on every runtime."""

import keras
import numpy as np
import pytest
from keras import layers

from c_compilers import needs_compiler, run_checked
from every_runtime import assert_every_tensor_equals
from keras_ternary_spike import LastTimestep, PerTimestep, RecentTimesteps, TernaryLIF
from keras_ternary_spike.export import StepRunner, check, export_tflite, fold, load
from keras_ternary_spike.export.costs.relu_network import relu_network
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.program.names import spike_tensors
from keras_ternary_spike.export.tflite import flatbuffer
from random_programs import random_inputs

SHAPE, TIMESTEPS, RECENT = (2, 3, 4), 6, 3
RANGE = {"input_range": (0, 1), "output_range": (-4, 4)}


def network(timesteps=TIMESTEPS, *end):
    """Two causal convolutions over time, the second on spikes."""
    keras.utils.set_random_seed(1)
    frames = x = keras.Input((timesteps, *SHAPE), name="frames")
    x = PerTimestep(layers.Conv2D(5, (RECENT * SHAPE[0], 1)))(RecentTimesteps(RECENT, name="recent")(x))
    x = TernaryLIF(threshold=0.2, name="first")(x)
    x = PerTimestep(layers.DepthwiseConv2D((2, 1), use_bias=False))(RecentTimesteps(2, name="spikes")(x))
    x = TernaryLIF(threshold=0.1, name="second")(PerTimestep(layers.Conv2D(4, 1))(x))
    return keras.Model(frames, [part(x) for part in end] or x)


def recent_rows(values, timesteps):
    """By definition, of `(samples, time, rows, ...)`."""
    before = np.zeros((len(values), timesteps - 1, *values.shape[2:]), values.dtype)
    padded = np.concatenate([before, values], axis=1)
    frames = [padded[:, t : t + timesteps] for t in range(values.shape[1])]
    return np.stack([frame.reshape(len(values), -1, *values.shape[3:]) for frame in frames], axis=1)


def test_the_layer_gives_the_rows_that_numpy_finds(rng):
    values = rng.normal(size=(2, 5, *SHAPE)).astype("float32")
    np.testing.assert_array_equal(RecentTimesteps(3)(values), recent_rows(values, 3))
    np.testing.assert_array_equal(RecentTimesteps(9)(values), recent_rows(values, 9))
    model = keras.Sequential([keras.Input((None, *SHAPE)), RecentTimesteps(2)])
    np.testing.assert_array_equal(model(values), recent_rows(values, 2))


def test_a_sequence_without_rows_is_refused():
    with pytest.raises(ValueError, match=r"a known number of rows.*Received: shape \(None, 5, 4\).*Reshape"):
        RecentTimesteps(2)(keras.Input((5, 4)))
    with pytest.raises(ValueError, match=r"`timesteps` must be an integer of at least 1\. Received: timesteps=0"):
        RecentTimesteps(0)


def test_the_files_frames_joined_are_those_of_numpy(rng):
    program = flatbuffer.read(export_tflite(network(), **RANGE))
    sequences = rng.integers(-128, 128, (8, TIMESTEPS, *SHAPE)).astype(np.int8)
    trace = program.trace(sequences)
    joined = np.stack([trace[f"recent/joined/{t}"] for t in range(TIMESTEPS)], axis=1)
    np.testing.assert_array_equal(joined.astype(int) + 128, recent_rows(sequences.astype(int) + 128, RECENT))
    spikes = {layer: [] for layer in ("first", "second")}
    for layer, tensor in spike_tensors(program):
        spikes[layer].append(trace[tensor.name])
    first = np.stack(spikes["first"], axis=1)
    kept = np.stack([trace[f"spikes/joined/{t}"] for t in range(TIMESTEPS)], axis=1)
    np.testing.assert_array_equal(kept, recent_rows(first, 2))
    assert 0.05 < np.mean(first != 0) < 0.95


@pytest.mark.parametrize("timesteps", [TIMESTEPS, None])
def test_every_step_is_a_timestep_of_the_unrolled_file(timesteps, rng):
    whole = load(export_tflite(network(), **RANGE)).predict(sequences := rng.uniform(0, 1, (6, TIMESTEPS, *SHAPE)))
    runner = StepRunner(export_tflite(network(timesteps), form="step", **RANGE))
    for sequence, expected in zip(sequences, whole, strict=True):
        runner.reset()
        np.testing.assert_array_equal([runner.step(frame) for frame in sequence], expected)
    assert len(np.unique(whole)) == 3


def inputs_of(program, rng):
    """Spikes where spikes are kept."""
    found = random_inputs(rng, program, samples=2)
    return {name: values % 3 - 1 if name == "state_in/spikes" else values for name, values in found.items()}


@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_every_runtime_gives_the_same_integers(form, rng):
    file = export_tflite(network(TIMESTEPS, LastTimestep()), form=form, **RANGE)
    program = flatbuffer.read(file)
    inputs = inputs_of(program, rng)
    assert_every_tensor_equals(program.trace(inputs), file, inputs)
    report = check(file, target="ethos-u55-128")
    assert not report.refused


@needs_compiler
def test_the_c_keeps_the_frames_too(rng):
    programs = [flatbuffer.read(export_tflite(network(), form=form, **RANGE)) for form in ("unrolled", "step")]
    cases = [(program, inputs_of(program, rng)) for program in programs]
    for (program, inputs), outputs in zip(cases, run_checked(cases), strict=True):
        trace = program.trace(inputs)
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, trace[name], err_msg=name)


def test_the_folded_model_computes_the_same(rng):
    model, sequences = network(), rng.uniform(0, 1, (4, TIMESTEPS, *SHAPE)).astype("float32")
    np.testing.assert_allclose(fold(model)(sequences), model(sequences), atol=1e-5)


def test_the_relu_network_beside_pads_what_is_missing():
    program = relu_network(fold_network(describe(network())))
    assert [operator.kind for operator in program.operators].count("PAD") == 2
