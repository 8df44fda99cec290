"""The streaming networks: what their namesakes compute of the last frames, a call for each."""

import keras
import numpy as np
import pytest

from c_compilers import needs_compiler
from keras_ternary_spike import models
from keras_ternary_spike.export import StepRunner, check, export_tflite, load, verify
from keras_ternary_spike.export.c_code.compiled import run_c
from keras_ternary_spike.export.runtimes.implementations import RUNTIMES
from keras_ternary_spike.export.tflite import flatbuffer

SMALL = {"width": 1 / 16, "threshold": 0.2}
FRAMES = 34
RANGE = {"input_range": (0, 1)}


def copied(source, target):
    """The weights of layers of the same name."""
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())
    return target


def test_a_stream_without_memory_gives_what_the_wake_word_gives_of_the_last_30_frames(rng):
    stream = models.streaming_wake_word(6, 3, decay=0.0, timesteps=FRAMES, **SMALL)
    still = copied(stream, models.wake_word((30, 1, 6), 3, timesteps=1, **SMALL))
    frames = rng.uniform(0, 1, (FRAMES, 6)).astype("float32")
    windows = np.stack([frames[end - 30 : end, None] for end in range(30, FRAMES + 1)])
    every = keras.Model(stream.input, stream.get_layer("classifier").output)
    np.testing.assert_allclose(every(frames[None])[0, 29:], still(windows), atol=1e-5)
    options = {**RANGE, "output_range": (-4, 4)}
    runner = StepRunner(export_tflite(stream, form="step", **options))
    steps = np.stack([runner.step(frame) for frame in frames])
    np.testing.assert_array_equal(steps[29:], load(export_tflite(still, **options)).predict(windows))
    assert len(np.unique(steps, axis=0)) > 3


@pytest.mark.parametrize(
    ("build", "frame", "window"),
    [
        (lambda: models.streaming_wake_word(6, 3, **SMALL), (6,), None),
        (lambda: models.streaming_keyword_spotter(6, 4, **SMALL), (2, 6), 5),
    ],
    ids=["wake word", "keywords"],
)
def test_a_stream_is_exported_for_every_runtime_and_npu(build, frame, window, rng):
    options = {"window": window} if window else {}
    file = export_tflite(build(), form="step", **RANGE, **options)
    program = flatbuffer.read(file)
    inputs = {
        name: rng.integers(*((-1, 2) if name.startswith("state") else (-128, 128)), shape).astype(np.int8)
        for name, shape in ((name, (2, *program.tensors[i].shape[1:])) for name, i in program.named_inputs.items())
    }
    trace = program.trace(inputs)
    for name, runtime in RUNTIMES.items():
        for tensor, values in runtime.run(file, inputs).items():
            np.testing.assert_array_equal(values, trace[tensor], err_msg=name)
    assert next(iter(program.named_inputs)) == "frames"
    assert program.tensors[program.inputs[0]].shape[1:] == frame
    assert not check(file, target="ethos-u55-128").refused


@needs_compiler
def test_the_c_of_a_stream_is_the_file(rng):
    file = export_tflite(models.streaming_keyword_spotter(6, 4, timesteps=5, **SMALL), form="step", **RANGE)
    program = flatbuffer.read(file)
    inputs = {
        name: rng.integers(-1, 2, (2, *program.tensors[i].shape[1:])).astype(np.int8)
        for name, i in program.named_inputs.items()
    }
    trace = program.trace(inputs)
    for name, values in run_c(file, inputs).items():
        np.testing.assert_array_equal(values, trace[name])


def test_a_stream_of_known_length_verifies_against_keras(rng):
    model = models.streaming_keyword_spotter(6, 4, timesteps=5, **SMALL)
    file = export_tflite(model, **RANGE)
    assert verify(model, file, rng.uniform(0, 1, (4, 5, 2, 6)).astype("float32")).exact


def test_classes_of_streams_are_counted():
    for build in (models.streaming_wake_word, models.streaming_keyword_spotter):
        with pytest.raises(ValueError, match=r"`classes` must be an integer of at least 1\. Received: classes=0"):
            build(6, 0)
