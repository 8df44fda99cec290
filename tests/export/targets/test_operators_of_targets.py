"""Files for a target have the operators that it computes fastest, and the integers of all others."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import PerTimestep, TernaryLIF, TimeAverage, models
from keras_ternary_spike.export import StepRunner, certify, check, export_tflite, load, verify
from keras_ternary_spike.export.tflite.flatbuffer import read


def model(timesteps=2, size=12, filters=16):
    """Moving images, three spiking convolutions, so large that Vela's choice is one of cycles."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    stack = [
        layer
        for kernel in (3, 1, 1)
        for layer in (PerTimestep(layers.Conv2D(filters, kernel, padding="same")), TernaryLIF(threshold=0.1))
    ]
    ends = [PerTimestep(layers.GlobalAveragePooling2D()), TimeAverage(), layers.Dense(3)]
    return keras.Sequential([keras.Input((timesteps, size, size, 2)), *stack, *ends], name="moving")


@pytest.fixture(scope="module")
def network():
    return model()


@pytest.fixture(scope="module")
def exported(network):
    return {target: export_tflite(network, target=target) for target in (None, "cortex-m", "ethos-u55-128")}


@pytest.fixture
def samples(rng):
    return rng.random((4, 2, 12, 12, 2)).astype(np.float32)


def kinds(tflite_bytes):
    return {operator.kind for operator in read(tflite_bytes).operators}


def test_files_of_all_targets_give_the_same_outputs(exported, samples):
    outputs = {target: load(tflite_bytes).predict(samples) for target, tflite_bytes in exported.items()}
    for target in ("cortex-m", "ethos-u55-128"):
        np.testing.assert_array_equal(outputs[target], outputs[None])


def test_a_file_for_cortex_m_has_convolutions_for_neurons(network, exported, samples):
    assert "SUB" in kinds(exported[None]) and "SUB" not in kinds(exported["cortex-m"])
    report = verify(network, exported["cortex-m"], samples)
    assert report.exact and not report.improper_spikes
    assert check(exported["cortex-m"], target="cortex-m").facts["arena_bytes"] > 0


def test_ethos_u_gets_the_file_of_which_vela_says_that_it_takes_fewer_cycles(network, exported):
    cycles = {target: check(one, target="ethos-u55-128").facts["cycles"] for target, one in exported.items()}
    assert cycles["ethos-u55-128"] < cycles[None]
    assert export_tflite(network, target="ethos-u85-256") == exported[None]


def test_litert_gets_wide_pixels_in_a_first_layer_of_few_channels():
    small, images = models.tiny((12, 12, 1), 3), np.random.default_rng(0).random((4, 12, 12, 1), np.float32)
    tflite_bytes = export_tflite(small, target="litert", batch=4)
    program = read(tflite_bytes)
    first = next(operator for operator in program.operators if operator.kind == "CONV_2D")
    assert (program.batch, program.tensors[first.inputs[1]].shape) == (4, (16, 3, 2, 4))
    report = verify(small, tflite_bytes, images)
    assert report.exact and not report.improper_spikes


def test_litert_gets_one_operator_for_both_timesteps_of_a_large_kernel(rng):
    large, images = model(size=2, filters=384), rng.random((4, 2, 2, 2, 2)).astype(np.float32)
    apart, tflite_bytes = (export_tflite(large, target=target, output_range=(-8, 8)) for target in (None, "litert"))
    kernels = [one.options["dilation_h_factor"] for one in read(tflite_bytes).operators if one.kind == "CONV_2D"]
    assert kernels == [1, 1, 2, 2]  # the first kernel has 6,912 bytes, the others 147,456
    np.testing.assert_array_equal(load(tflite_bytes).predict(images), load(apart).predict(images))


def test_a_file_for_cortex_m_takes_as_many_samples_a_call_as_asked_for(network, exported, samples):
    four = export_tflite(network, target="cortex-m", batch=4)
    assert read(four).batch == 4
    np.testing.assert_array_equal(load(four).predict(samples), load(exported[None]).predict(samples))


def test_other_targets_get_the_file_of_no_target(network, exported):
    assert export_tflite(network, target="tflm") == exported[None]


def test_the_step_form_for_cortex_m_is_certified_and_runs(network, exported, samples):
    stepped = export_tflite(network, form="step", target="cortex-m")
    assert "MUL" not in kinds(stepped)
    runner, file = StepRunner(stepped), load(exported[None])
    for sample in samples:
        np.testing.assert_array_equal(runner.run(sample), file.predict(sample[None])[0])
    assert certify(network, stepped, samples).exact
