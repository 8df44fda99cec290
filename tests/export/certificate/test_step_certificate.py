"""The certificate of a file that computes one timestep a call: all calls compared, its neurons proven over time."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, certify, export_tflite
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.program.names import parse
from keras_ternary_spike.export.program.step_form import states, unroll
from keras_ternary_spike.export.runtimes import implementations as runtimes
from keras_ternary_spike.export.tflite.flatbuffer import read
from keras_ternary_spike.export.verification.verify_steps import calls_of

SHAPE, TIMESTEPS = (5, 5, 2), 3


def build(neuron=TernaryLIF, *, sequence=False, average=True, decay=0.25):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((TIMESTEPS, *SHAPE) if sequence else SHAPE)
    x = inputs if sequence else DirectEncoding(TIMESTEPS)(inputs)
    for name in ("first", "second"):
        x = PerTimestep(layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal", name=f"{name}_conv"))(x)
        x = neuron(decay=decay, name=name)(x)
    x = PerTimestep(layers.Dense(3, name="classes"))(PerTimestep(layers.Flatten())(x))
    return keras.Model(inputs, TimeAverage(name="mean")(x) if average else x)


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def step_bytes(model):
    return export_tflite(model, form="step")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((6, *SHAPE))


@pytest.fixture(scope="module")
def certificate(model, step_bytes, images):
    return certify(model, step_bytes, images)


@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF])
@pytest.mark.parametrize("sequence", [False, True])
def test_all_steps_in_a_row_are_the_unrolled_file(neuron, sequence, rng):
    model = build(neuron, sequence=sequence, decay=0.9)
    step, unrolled = (read(export_tflite(model, form=form)) for form in ("step", "unrolled"))
    samples = rng.integers(-128, 128, (4, *model.input_shape[1:])).astype(np.int8)
    whole = unroll(step, sequence=sequence)
    np.testing.assert_array_equal(whole.run(samples), unrolled.run(samples))


def test_nothing_is_merged_over_time(step_bytes):
    step = read(step_bytes)
    assert len(unroll(step, sequence=False).operators) == TIMESTEPS * len(step.operators)


def test_tensors_are_named_by_timestep():
    assert str(parse("first/spike/0").at(2)) == "first/spike/2"
    assert str(parse("first_conv/current").at(2)) == "first_conv/current/2"
    assert str(parse("state_out/first").at(2)) == "first/state/2"


def test_states_are_paired_by_name(step_bytes):
    program = read(step_bytes)
    names = {program.tensors[a].name: program.tensors[b].name for a, b in states(program).items()}
    assert names == {f"state_in/{name}": f"state_out/{name}" for name in ("first", "second", "mean")}


def test_every_call_gets_the_states_that_the_one_before_has_left(step_bytes, images):
    """StepRunner's own states, one sample at a time."""
    program, runner = read(step_bytes), StepRunner(step_bytes)
    calls = calls_of(program, unroll(program, sequence=False), {next(iter(program.named_inputs)): images})
    grid = program.tensors[program.named_inputs["state_in/second"]]
    for sample, image in enumerate(images):
        runner.reset()
        for t in range(TIMESTEPS):
            expected = calls["state_in/second"][t * len(images) + sample] / grid.scale
            np.testing.assert_array_equal(runner._states["state_in/second"][0], expected)
            runner.step(image)


def test_a_file_of_the_step_form_is_exact_and_proven(certificate, step_bytes):
    assert certificate.exact
    assert [(proof.layer, proof.method, proof.cases) for proof in certificate.proofs] == [
        ("first", "pairs", 2 * 65536),
        ("second", "pairs", 2 * 65536),
    ]
    program = read(step_bytes)
    values = sum(np.prod(program.tensors[operator.output].shape) for operator in program.operators)
    assert certificate.report.samples == 6
    assert {one.values for one in certificate.report.runtimes.values()} == {6 * TIMESTEPS * values}


def test_classes_and_spikes_are_those_of_the_unrolled_file(certificate, model, images):
    unrolled = certify(model, export_tflite(model), images)
    assert certificate.report.agreements == unrolled.report.agreements
    assert certificate.spikes == unrolled.spikes


def test_work_is_that_of_all_calls(certificate):
    # 13 of 15 kernel rows meet a pixel of each axis. The image is convolved at every call.
    assert certificate.work.total.multiply_accumulates == TIMESTEPS * 13 * 13 * 2 * 4
    # The second convolution at every call; classes too, on the sum so far.
    assert certificate.work.total.additions == TIMESTEPS * (13 * 13 * 4 * 4 + 100 * 3)


def test_the_page_says_that_a_call_is_a_timestep(certificate):
    page = certificate.to_html()
    assert "3, one a call" in page
    assert "One call of each, of this file one timestep." in page


@pytest.mark.parametrize("average", [True, False])
def test_sequences_bring_a_frame_for_every_call(average, rng):
    model = build(sequence=True, average=average)
    samples = rng.random((4, TIMESTEPS, *SHAPE))
    found = certify(model, export_tflite(model, form="step"), samples)
    assert found.exact
    assert all(layer.share > 0.9 for layer in found.spikes)
    (agreement,) = found.report.agreements.values()
    assert agreement.compared == 4


def test_a_runtime_that_loses_a_state_is_not_exact(model, step_bytes, images, monkeypatch):
    right = runtimes.RUNTIMES["xnnpack"].run

    def wrong(tflite, inputs):
        outputs = right(tflite, inputs)
        if "state_out/second" in outputs:
            outputs["state_out/second"].flat[7] += 1
        return outputs

    broken = runtimes.Runtime("xnnpack", wrong)
    monkeypatch.setattr(runtimes, "RUNTIMES", dict(runtimes.RUNTIMES) | {"xnnpack": broken})
    report = certify(model, step_bytes, images).report
    assert not report.exact
    assert report.runtimes["xnnpack"].first_tensor == "state_out/second"


def test_a_wrong_leak_in_a_step_is_not_proven(step_bytes):
    program = read(step_bytes)
    assert "second/decay/3d" in {tensor.name for tensor in program.tensors}
    tensors = tuple(replace(t, scale=2 * t.scale) if t.name == "second/decay/3d" else t for t in program.tensors)
    proofs = prove(unroll(replace(program, tensors=tensors), sequence=False))
    assert [proof.holds for proof in proofs] == [True, False]


def test_samples_that_do_not_fit_are_refused(model, step_bytes):
    with pytest.raises(ValueError, match=r"must have shape \('samples', 5, 5, 2\)\. Received: \(1, 4, 4, 2\)"):
        certify(model, step_bytes, np.zeros((1, 4, 4, 2)))
    with pytest.raises(ValueError, match="at least one sample"):
        certify(model, step_bytes, np.zeros((0, *SHAPE)))
