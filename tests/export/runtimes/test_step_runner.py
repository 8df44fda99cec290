"""The step form: one timestep a call gives the bits of the unrolled file."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, export_tflite, load, verify
from keras_ternary_spike.export.program.samples import check_samples, dequantize_output, quantize_input
from keras_ternary_spike.export.program.step_form import unroll
from keras_ternary_spike.export.tflite import flatbuffer
from keras_ternary_spike.export.verification.verify_steps import verify_steps


def still_model(timesteps, neuron, decay):
    model = keras.Sequential([keras.Input((6, 6, 2)), DirectEncoding(timesteps)])
    for filters in (6, 8):
        model.add(PerTimestep(layers.Conv2D(filters, 3, padding="same", kernel_initializer="random_normal")))
        model.add(neuron(decay=decay, threshold=0.1))
    model.add(PerTimestep(layers.GlobalAveragePooling2D()))
    model.add(PerTimestep(layers.Dense(4)))
    model.add(TimeAverage())
    return model


def sequence_model(timesteps):
    return keras.Sequential(
        [
            keras.Input((timesteps, 9)),
            layers.Dense(12),
            TernaryLIF(threshold=0.3),
            layers.Dense(5),
            TernaryLIF(threshold=0.3, decay=0.9),
            TimeAverage(),
        ]
    )


@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF])
@pytest.mark.parametrize("timesteps, decay", [(2, 0.25), (4, 0.9), (6, 1.0), (3, 0.0)])
def test_steps_equal_the_unrolled_file_on_still_images(rng, timesteps, decay, neuron):
    model = still_model(timesteps, neuron, decay)
    images = rng.uniform(0, 1, (10, 6, 6, 2))
    expected = load(export_tflite(model)).predict(images)
    runner = StepRunner(export_tflite(model, form="step"))
    scores = [runner.run([image] * timesteps) for image in images]
    np.testing.assert_array_equal(np.stack(scores), expected)
    assert len(np.unique(expected)) > 10


def test_steps_equal_the_unrolled_file_on_sequences(rng):
    model = sequence_model(7)
    sequences = rng.uniform(-1, 1, (20, 7, 9))
    expected = load(export_tflite(model, input_range=(-1, 1))).predict(sequences)
    runner = StepRunner(export_tflite(model, input_range=(-1, 1), form="step"))
    np.testing.assert_array_equal(np.stack([runner.run(sequence) for sequence in sequences]), expected)
    assert np.any(expected != 0)


def test_program_of_one_step_equals_the_runtime(rng):
    tflite = export_tflite(still_model(3, TernaryLIF, 0.5), form="step")
    program = flatbuffer.read(tflite)
    inputs = {
        tensor.name: rng.integers(-100, 101, tensor.shape).astype(np.int8)
        for tensor in (program.tensors[index] for index in program.inputs)
    }
    trace, runner = program.trace(inputs), StepRunner(tflite)
    runner._states = {name: value for name, value in inputs.items() if name in runner._states}
    image = program.tensors[program.inputs[0]]
    runner.step((inputs[image.name][0] - np.float64(image.zero_point)) * np.float64(image.scale))
    for name, state in runner._states.items():
        np.testing.assert_array_equal(state, trace[name.replace("state_in", "state_out")])


def test_states_are_paired_by_name():
    program = flatbuffer.read(export_tflite(still_model(2, TernaryLIF, 0.25), form="step"))
    names = [program.tensors[index].name for index in program.inputs]
    outputs = [program.tensors[index].name for index in program.outputs]
    assert [name for name in names if name.startswith("state_in/")] == names[1:]
    assert outputs[1:] == [name.replace("state_in/", "state_out/") for name in names[1:]]


def test_runner_stops_when_it_is_confident(rng):
    model = still_model(4, TernaryLIF, 0.25)
    model.layers[-2].layer.kernel.assign(model.layers[-2].layer.kernel * 500)
    runner = StepRunner(export_tflite(model, form="step"))
    image = rng.uniform(0, 1, (6, 6, 2))
    early = runner.run([image] * 4, confidence=0.9)
    assert runner.steps < 4
    assert early.argmax() == runner.run([image] * runner.steps).argmax()


def test_a_complete_mean_asks_for_a_reset():
    runner = StepRunner(export_tflite(still_model(2, TernaryLIF, 0.25), form="step"))
    for _ in range(2):
        runner.step(np.zeros((6, 6, 2)))
    with pytest.raises(ValueError, match=r"complete after 2 steps\. Call reset\(\)"):
        runner.step(np.zeros((6, 6, 2)))
    runner.reset()
    runner.step(np.zeros((6, 6, 2)))


def test_unrolled_file_is_refused():
    with pytest.raises(ValueError, match=r'needs a file of the step form.*form="step"'):
        StepRunner(export_tflite(still_model(2, TernaryLIF, 0.25)))


def test_states_wired_wrongly_are_named():
    program = flatbuffer.read(export_tflite(still_model(2, TernaryLIF, 0.25), form="step"))
    with pytest.raises(ValueError, match=r"Every state input needs an output of its name"):
        StepRunner(flatbuffer.write(replace(program, outputs=program.outputs[:-1])))


def test_a_state_of_another_scale_behind_than_before_is_refused():
    program = flatbuffer.read(export_tflite(still_model(2, TernaryLIF, 0.25), form="step"))
    read = {index for operator in program.operators for index in operator.inputs}
    index = next(index for index in reversed(program.outputs) if index not in read)  # a neuron's state
    tripled = replace(program.tensors[index], scale=3 * program.tensors[index].scale)
    tensors = (*program.tensors[:index], tripled, *program.tensors[index + 1 :])
    with pytest.raises(ValueError, match=r"one shape and scale before and after\. Received: 'state_in/.*'state_out/"):
        StepRunner(flatbuffer.write(replace(program, tensors=tensors)))


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match=r"`form` must be one of \('unrolled', 'step'\)\. Received: form='loop'"):
        export_tflite(still_model(2, TernaryLIF, 0.25), form="loop")


def test_load_and_verify_point_to_the_runner():
    tflite = export_tflite(still_model(2, TernaryLIF, 0.25), form="step")
    for function in (load, lambda file: verify(None, file, np.zeros((1, 6, 6, 2)))):
        with pytest.raises(ValueError, match=r"must have no states.*StepRunner"):
            function(tflite)


def stream(timesteps, *behind):
    return keras.Sequential(
        [keras.Input((timesteps, 9)), layers.Dense(12), TernaryLIF(threshold=0.3), layers.Dense(5), *behind]
    )


def test_a_network_of_49_frames_runs_step_by_step(rng):
    model = stream(49, TernaryLIF(threshold=0.3, decay=0.9), TimeAverage())
    file = export_tflite(model, input_range=(-1, 1), form="step")
    sequences, program = rng.uniform(-1, 1, (4, 49, 9)), flatbuffer.read(file)
    whole = unroll(program, sequence=True)
    assert verify_steps(model, program, file, sequences, whole).exact
    steps = np.stack([StepRunner(file).run(sequence) for sequence in sequences])
    integers = whole.run(quantize_input(whole, check_samples(whole, sequences)))
    np.testing.assert_array_equal(steps, next(iter(dequantize_output(whole, {"time_average": integers}).values())))
    with pytest.raises(ValueError, match=r"1 to 16 to be unrolled.*Received: 49.*form=\"step\""):
        export_tflite(model, input_range=(-1, 1))


def test_a_stream_of_unknown_length_gives_the_steps_of_any_length(rng):
    model = stream(None, TernaryLIF(threshold=0.3))
    known = keras.Sequential([keras.Input((16, 9)), *model.layers])
    frames = rng.uniform(-1, 1, (200, 9))
    endless, fixed = (StepRunner(export_tflite(m, input_range=(-1, 1), form="step")) for m in (model, known))
    spikes = np.stack([endless.step(frame) for frame in frames])
    np.testing.assert_array_equal(spikes[:16], np.stack([fixed.step(frame) for frame in frames[:16]]))
    expected = model.predict(frames[None])[0]
    assert np.mean(spikes == expected) > 0.9  # the rest are currents rounded across a threshold
    assert {-1, 0, 1} == {*spikes.ravel()}


UNKNOWN = {"unrolled": ([], 'form="step"'), "step": ([TimeAverage(name="mean")], "over which 'mean'")}


@pytest.mark.parametrize("form", UNKNOWN)
def test_unknown_lengths_are_refused_where_they_matter(form):
    behind, match = UNKNOWN[form]
    with pytest.raises(ValueError, match=rf"timesteps must be known\. Received: None.*{match}"):
        export_tflite(stream(None, *behind), input_range=(-1, 1), form=form)


@pytest.mark.parametrize(
    "shape, way_out", [((1, 9), r"batch axis too many: frame\[0\]"), ((8,), r"Received: \(8,\)\.$")]
)
def test_a_frame_of_another_shape_is_told_what_a_step_takes(shape, way_out):
    runner = StepRunner(export_tflite(sequence_model(3), input_range=(-1, 1), form="step"))
    with pytest.raises(ValueError, match=rf"must have shape \(9,\): one timestep, without batch axis.*{way_out}"):
        runner.step(np.zeros(shape))
