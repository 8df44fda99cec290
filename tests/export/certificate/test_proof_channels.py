"""Channels that decay differently: every operand for every decay, all in one run, and one wrong channel is found."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.certificate import enumeration as enumeration_module
from keras_ternary_spike.export.certificate import proof
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.tflite.flatbuffer import read

DECAYS = [0.1, 0.9, 0.5, 0.9]  # three different
PAIRS = 65536


def build(image):
    """A changing current into neurons behind a convolution, or behind a Dense layer, whose values have one axis."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [layers.Conv2D(4, 3, kernel_initializer="he_normal"), TernaryLIF()]
    parts += [layers.Conv2D(4, 1, kernel_initializer="he_normal")] if image else [layers.Flatten(), layers.Dense(4)]
    parts += [TernaryLIF(decay=DECAYS, name="mixed"), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((4, 4, 1)), DirectEncoding(2)])
    for part in parts:
        model.add(part if isinstance(part, TernaryLIF) else PerTimestep(part))
    model.add(TimeAverage())
    return read(export_tflite(model))


@pytest.fixture(scope="module", params=[True, False], ids=["image", "vector"])
def program(request):
    return build(request.param)


def test_every_pair_is_tried_for_every_decay_in_one_run(program, monkeypatch):
    runs, enumerate_cases = [], enumeration_module.enumerate_cases

    def counting(alone, neuron, *others):
        runs.append(neuron)
        return enumerate_cases(alone, neuron, *others)

    monkeypatch.setattr(enumeration_module, "enumerate_cases", counting)
    found = prove(program)[1]
    assert found.holds
    assert (found.method, found.cases) == ("pairs", 3 * PAIRS)
    assert len({*found.compared.values()}) == 1
    assert [len(neuron.decay) for neuron in runs if neuron.name == "mixed"] == [3]


def test_runs_of_one_decay_each_find_the_same(program, monkeypatch):
    together = prove(program)[1]
    monkeypatch.setattr(enumeration_module, "RUN_VALUES", 1)
    alone = prove(program)[1]
    assert replace(alone, compared={}) == replace(together, compared={})
    # With one channel a current has the shape that the operators read; the same values otherwise.
    assert all(abs(alone.compared[name] - together.compared[name]) <= 2 * 3 * PAIRS for name in alone.compared)


def test_one_channel_that_decays_otherwise_is_not_proven(program):
    index = next(i for i, tensor in enumerate(program.tensors) if tensor.name.startswith("mixed/decay"))
    data = program.tensors[index].data.copy()
    assert data.shape[-1] == 4
    data[..., 2] += 2
    tensors = (*program.tensors[:index], replace(program.tensors[index], data=data), *program.tensors[index + 1 :])
    found = prove(replace(program, tensors=tensors))[1]
    assert 0 < found.wrong < PAIRS
    assert not found.holds
    assert set(found.differing.values()) == {0}  # the runtimes agree: on another neuron


def test_equal_channels_are_tried_once(program):
    decays = next(neuron.decay for neuron in proof.neurons(program) if neuron.name == "mixed")
    assert decays[1] == decays[3]
    np.testing.assert_allclose([float(decay) for decay in decays], DECAYS, atol=1 / 63)
