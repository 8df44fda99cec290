"""The trainer over timesteps against the package's neurons and Keras, and what `front_over_time` hands it."""

import ctypes
import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.accuracy import front, front_over_time
from benchmarks.accuracy.front_over_time import STUDIES, Point
from benchmarks.accuracy.trainer_over_time.layers import amplitudes, arrays, described, set_weights, taken, written
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.sequence import lif_membranes, lif_sequence
from keras_ternary_spike.neuron.surrogate import Rectangular, Triangular

TRAINER = Path(front_over_time.TRAINER)
TIMESTEPS, NEURONS, DECAY, PENALTY = 3, 64, 0.25, 0.125
CASES = {
    "graded": (Dynamics(levels=4, unsigned=True), 0.3),
    "binary": (Dynamics(levels=1, unsigned=True, surrogate=Triangular(width=2.0)), 0.5),
    "ternary": (Dynamics(levels=1, dead_zone=4.0), 0.25),
    "signed": (Dynamics(levels=2, surrogate=Rectangular(width=0.5)), 0.4),
}
HARNESS = """
#include "neuron.h"
void there_and_back(int is_signed, int triangular, int levels, float threshold, float decay, float width,
                    float dead_zone, int timesteps, int size, float penalty, const float *amplitude, float *membrane,
                    float *value, float *grad, float *by_amplitude, float *by_factor) {
    neuron_t n = {is_signed ? 's' : 'u', triangular ? 't' : 'r', levels, threshold, decay, width, dead_zone};
    float *state = zeros(size);
    for (int t = 0; t < timesteps; t++) fire(n, size, amplitude, state, membrane + t * size, value + t * size);
    memset(state, 0, 4 * size);
    for (int t = timesteps - 1; t >= 0; t--)
        fire_back(n, size, penalty, amplitude, membrane + t * size, grad + t * size, state, by_amplitude, by_factor);
}
"""


@pytest.fixture(scope="module")
def neurons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neurons")
    (folder / "neurons.c").write_text(HARNESS)
    command = ["gcc", "-O1", "-shared", "-fPIC", f"-I{TRAINER.parent}", "neurons.c", "-o", "neurons.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "neurons.so")).there_and_back


def by_the_package(dynamics, threshold, amplitude, currents, weights):
    """Gradients of sum weights * output + penalty * sum |level|: by amplitude, by log of a factor of thresholds."""
    current, scale, factor = tf.Variable(currents[None]), tf.Variable(amplitude), tf.Variable(0.0)
    with tf.GradientTape() as tape:
        options = {"decay": DECAY, "threshold": threshold * tf.exp(factor), "dynamics": dynamics}
        output, _ = lif_sequence(current, amplitude=scale, **options)
        level, membrane, _ = lif_membranes(current, **options)
        towards = tf.where((membrane < 0) & dynamics.signed, -1.0, 1.0)
        loss = tf.reduce_sum(weights * output[0]) + PENALTY * tf.reduce_sum(tf.stop_gradient(towards) * level)
    grads = tape.gradient(loss, [current, scale, factor])
    return output[0].numpy(), *(grad.numpy() for grad in grads)


@pytest.mark.parametrize("name", CASES)
def test_neurons_of_the_trainer_fire_and_learn_as_those_of_the_package(neurons, rng, name):
    dynamics, threshold = CASES[name]
    currents, weights = rng.normal(0.3, 1, (2, TIMESTEPS, NEURONS)).astype("float32")
    amplitude = rng.uniform(0.5, 1.5, NEURONS).astype("float32")
    value, by_amplitude, by_factor = np.zeros_like(currents), np.zeros(NEURONS, "float32"), np.zeros(NEURONS, "float32")
    membrane, grad = currents.copy(), weights.copy()
    numbers = (threshold, DECAY, dynamics.surrogate.width, dynamics.dead_zone)
    kind = (dynamics.signed, isinstance(dynamics.surrogate, Triangular), dynamics.highest)
    memory = (amplitude, membrane, value, grad, by_amplitude, by_factor)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in memory]
    neurons(*kind, *map(ctypes.c_float, numbers), TIMESTEPS, NEURONS, ctypes.c_float(PENALTY), *pointers)
    output, *expected = by_the_package(dynamics, threshold, amplitude, currents, weights)
    np.testing.assert_allclose(value, output, rtol=1e-6)
    assert 0.1 < np.mean(output != 0) < 0.9
    np.testing.assert_allclose(grad, expected[0][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_amplitude, expected[1], rtol=1e-5, atol=1e-5)
    assert float(by_factor.sum()) == pytest.approx(float(expected[2]), rel=1e-4)


@pytest.fixture(scope="module")
def pair():
    """Two of the residual network."""
    point = Point("residual", "ReLU", None, 1, 0)
    return point.study.layers, *(front_over_time.built(point, (8, 8, 1)) for _ in range(2))


def test_a_residual_network_is_described_layer_by_layer(pair):
    layers, model, _ = pair
    # source, kernel, stride, channels, normalized, addend, fires
    assert described(model, layers).split(";") == [
        "0,3,1,16,1,0,0",
        *("1,0,1,16,0,0,1", "2,3,2,16,1,0,1", "1,0,2,16,0,0,0", "4,1,1,16,1,0,0", "3,3,1,16,1,5,0"),
        *("6,0,1,16,0,0,1", "7,3,2,32,1,0,1", "6,0,2,16,0,0,0", "9,1,1,32,1,0,0", "8,3,1,32,1,10,0"),
        *("11,0,1,32,0,0,1", "12,3,1,64,1,0,1", "11,1,1,64,1,0,0", "13,3,1,64,1,14,0"),
        "15,0,1,64,0,0,1",
    ]


def test_weights_come_back_from_the_trainer_into_a_network_of_the_same_function(pair, rng):
    layers, model, other = pair
    file = written(list(arrays(model, layers)))
    set_weights(other, layers, taken(file, list(arrays(other, layers))))
    images = rng.uniform(0, 1, (2, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(model(images), other(images))
    steps = amplitudes(layers, model, list(arrays(model, layers, amplitude=0.5)))
    assert steps == {layer.neuron: 0.5 for layer in layers if layer.neuron} and len(steps) == 7
    with pytest.raises(ValueError, match=f"has {file.size} weights. Received: {file.size - 1}"):
        taken(file[1:], list(arrays(other, layers)))


def test_every_current_is_shifted_once(pair):
    layers, _, model = pair
    before = offsets(model)
    front_over_time.shift(model, layers, 1.5)
    moved = {name: offset - before[name] for name, offset in offsets(model).items()}
    assert {name for name, by in moved.items() if by == 0} == {f"block{n}_conv2_norm" for n in (1, 2, 3)}
    assert sorted(moved.values()) == [0.0] * 3 + [1.5] * 7


def offsets(model):
    return {layer.name: float(layer.get_weights()[1][0]) for layer in model.layers if layer.name.endswith("norm")}


def test_streams_saturate_in_training_where_those_of_files_do():
    graded, ternary = ({"levels": 4}, {"levels": 1, "dead": 2.0})
    assert front_over_time.headroom(graded) == 127 / 25  # 12 steps on either side of 0 do not reach a level
    assert front_over_time.headroom(ternary) == 4 * 127 / 41


@pytest.fixture
def data(rng):
    """Bytes, as the trainer reads them; the last batch is smaller."""
    images = (rng.integers(0, 256, (108, 16, 16, 1)) / np.float32(255)).astype("float32")
    labels = rng.integers(0, 10, 108)
    return front_over_time.datasets.Dataset("noise", images[:72], labels[:72], images[72:], labels[72:])


def by_the_trainer(point, data, folder, compile_as, **further):
    """(first weights, those after an epoch, what it prints)."""
    pixels = np.rint(255 * np.concatenate([data.train_images, data.test_images])).astype("uint8").tobytes()
    labels = np.concatenate([data.train_labels, data.test_labels]).astype("uint8").tobytes()
    (folder / "data").write_bytes(pixels + labels)
    subprocess.run([*compile_as, "-o", folder / "trainer", TRAINER, "-lm"], check=True)
    model, first = front_over_time.first_weights(point, folder, data.train_images.shape[1:])
    first.tofile(folder / "weights")
    words = {**front_over_time.options(point, model, folder, data, (1, 1)), **further}
    command = [folder / "trainer", folder / "data", folder / "weights", *(f"{n}={v}" for n, v in words.items())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return first, np.fromfile(folder / "weights", "float32"), json.loads(done.stdout)


def with_a_teacher(point, data, folder, rng):
    """Files of one with random weights and logits. Returns: its logits."""
    _, weights = front_over_time.first_weights(point.teacher, folder, data.train_images.shape[1:])
    weights.tofile(folder / point.teacher.name)
    logits = rng.normal(0, 2, (len(data.train_labels), 10)).astype("float32")
    logits.tofile(folder / f"{point.teacher.name}.logits")
    return logits


FLOATS = ("gcc", "-O3", "-march=native", "-ffast-math")


@pytest.mark.extended
@pytest.mark.parametrize("alphabet", ["ReLU, distilled", "{0..4}"])
def test_the_trainer_learns_on_a_stream_from_a_teacher_what_keras_learns(data, tmp_path, rng, alphabet):
    point = Point("residual", alphabet, None, 1, 0)
    # One value beside a threshold, which rounding turns, changes all gradients behind it: of levels one batch only.
    data = data if point.relu else data.first(front.BATCH)
    logits = with_a_teacher(point, data, tmp_path, rng)
    further = {"shuffled": 0, "momentum": 0.9, "headroom": 0, "trained": "n" if point.relu else "l"}
    first, weights, _ = by_the_trainer(point, data, tmp_path, FLOATS, **further)
    expected = by_keras(point, data, tmp_path, first, logits)
    # Adam's first steps are the signs of gradients: where rounding turns one, a weight moves 0.016 the other way.
    assert np.mean(np.abs(weights - expected) > 1e-3) < (0.02 if point.relu else 0.1)
    assert np.mean(np.abs(expected - first) > 4e-3) > 0.5


def by_keras(point, data, folder, first, logits):
    """The weights after the same epoch."""
    first.tofile(folder / point.name)
    model, layers = front_over_time.network_of(point, folder, data.train_images.shape[1:]), point.study.layers
    schedule = keras.optimizers.schedules.CosineDecay(front.LEARNING_RATE, -(-len(data.train_labels) // front.BATCH))
    model.compile(keras.optimizers.Adam(schedule), front.taught, jit_compile=False)
    wanted = np.concatenate([np.eye(10, dtype="float32")[data.train_labels], logits], axis=-1)
    model.fit(data.train_images, wanted, batch_size=front.BATCH, shuffle=False, verbose=0)
    return written(list(arrays(model, layers)))


@pytest.mark.extended
@pytest.mark.parametrize("network", STUDIES)
def test_on_tiles_the_trainer_learns_what_it_learns_in_floats(data, tmp_path, rng, network):
    processor = Path("/proc/cpuinfo")
    if not processor.exists() or "amx_bf16" not in processor.read_text():
        pytest.skip("the processor has no AMX tiles")
    point = Point(network, "ReLU", None, 1, 0)
    moved = []
    for compile_as in (FLOATS, front_over_time.COMPILE):
        first, weights, _ = by_the_trainer(point, data, tmp_path, compile_as, shuffled=0)
        moved.append(weights - first)
    # One batch: steps are signs of gradients, of which rounding to bfloat16 turns those near 0.
    assert np.mean(np.sign(moved[0]) == np.sign(moved[1])) > 0.97
