"""The last timestep and the maximum over time: integers of all timesteps, and what NumPy makes of them."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from every_runtime import assert_every_tensor_equals
from keras_ternary_spike import (
    BinaryLIF,
    LastTimestep,
    MultiLevelLIF,
    PerTimestep,
    TernaryLIF,
    TimeAverage,
    TimeMax,
)
from keras_ternary_spike.export import StepRunner, export_tflite, load
from keras_ternary_spike.export.tflite import flatbuffer

TIMESTEPS, RANGE = 5, {"input_range": (-1, 1)}
REDUCED = {"last": (LastTimestep, lambda x: x[:, -1]), "largest": (TimeMax, lambda x: x.max(axis=1))}
ENDS = {
    "ternary spikes": [TernaryLIF(threshold=0.3)],
    "binary spikes": [BinaryLIF(threshold=0.3)],
    "levels": [MultiLevelLIF(3, threshold=0.2)],
    "negative amplitude": [TernaryLIF(threshold=0.3, amplitude_initializer=keras.initializers.Constant(-0.5))],
    "logits": [TernaryLIF(threshold=0.3), layers.Dense(4)],
    "images": [TernaryLIF(threshold=0.3), layers.Dense(24), layers.Reshape((-1, 2, 3, 4))],
}


def model(end, *behind):
    keras.utils.set_random_seed(3)
    chain = [layers.Dense(12, kernel_initializer="random_normal"), TernaryLIF(threshold=0.1), layers.Dense(6)]
    end = [PerTimestep(layers.Reshape((2, 3, 4))) if isinstance(one, layers.Reshape) else one for one in ENDS[end]]
    end = [type(one).from_config(one.get_config()) for one in end]
    return keras.Sequential([keras.Input((TIMESTEPS, 9)), *chain, *end, *behind])


@pytest.mark.parametrize("how", REDUCED)
@pytest.mark.parametrize("end", ENDS)
def test_it_is_what_numpy_makes_of_all_timesteps_in_either_form(end, how, rng):
    kind, reduced = REDUCED[how]
    sequences = rng.uniform(-1, 1, (16, TIMESTEPS, 9))
    options = RANGE | ({"output_range": (-1, 1)} if end in ("logits", "images") else {})
    whole = load(export_tflite(model(end), **options)).predict(sequences)
    file = export_tflite(model(end, kind()), **options)
    np.testing.assert_array_equal(load(file).predict(sequences), reduced(whole))
    assert len(np.unique(reduced(whole))) > 1
    runner = StepRunner(export_tflite(model(end, kind()), form="step", **options))
    for sequence, expected in zip(sequences[:4], whole, strict=False):
        runner.reset()
        for t, frame in enumerate(sequence, start=1):
            np.testing.assert_array_equal(runner.step(frame), reduced(expected[None, :t])[0])


@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_every_runtime_gives_the_largest(form, rng):
    file = export_tflite(model("images", TimeMax()), form=form, **RANGE)
    program = flatbuffer.read(file)
    shapes = {program.tensors[i].name: program.tensors[i].shape[1:] for i in program.inputs}
    inputs = {name: rng.integers(-128, 128, (3, *shape)).astype(np.int8) for name, shape in shapes.items()}
    assert_every_tensor_equals(program.trace(inputs), file, inputs)


def test_the_largest_of_negative_numbers_is_negative_in_the_step_form(rng):
    net = model("logits", TimeMax())
    net.layers[-2].bias.assign([-9.0, -5.0, -7.0, -6.0])
    runner = StepRunner(export_tflite(net, form="step", **RANGE, output_range=(-16, 0)))
    assert np.all(runner.step(np.zeros(9)) < -3)
    for _ in range(300):  # without end
        assert np.all(runner.step(rng.uniform(-1, 1, 9)) < 0)


def test_only_the_last_timestep_of_a_classifier_is_computed():
    file = export_tflite(model("logits", LastTimestep()), **RANGE)
    mean = export_tflite(model("logits", TimeAverage()), **RANGE)
    counts = [[op.kind for op in flatbuffer.read(f).operators].count("FULLY_CONNECTED") for f in (file, mean)]
    assert counts[0] == counts[1] == 2 * TIMESTEPS + 1


def test_operations_and_layers_make_the_same_file(rng):
    for (kind, _), operation in zip(REDUCED.values(), (lambda x: x[:, -1], lambda x: ops.max(x, axis=1)), strict=True):
        net = model("ternary spikes")
        named = keras.Model(net.inputs, kind(name="out")(net.outputs[0]), name="net")
        written = keras.Model(net.inputs, {"out": operation(net.outputs[0])}, name="net")
        sequences = rng.uniform(-1, 1, (4, TIMESTEPS, 9))
        files = [load(export_tflite(one, **RANGE)).predict(sequences) for one in (named, written)]
        np.testing.assert_array_equal(*files)


def test_spikes_of_the_last_timestep_alone(rng):
    net = model("ternary spikes")
    short = keras.Sequential([*net.layers[:-1], TernaryLIF(threshold=0.3, return_sequences=False)])
    short.build((None, TIMESTEPS, 9))
    sequences = rng.uniform(-1, 1, (16, TIMESTEPS, 9))
    whole = load(export_tflite(net, **RANGE)).predict(sequences)
    np.testing.assert_array_equal(load(export_tflite(short, **RANGE)).predict(sequences), whole[:, -1])
