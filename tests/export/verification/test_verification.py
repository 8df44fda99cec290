"""The verdict: exact where everything is equal, and never exact where anything differs."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, load, verify
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.runtimes import implementations as runtimes
from keras_ternary_spike.export.runtimes.implementations import Runtime
from keras_ternary_spike.export.tflite.flatbuffer import read, write
from keras_ternary_spike.export.verification import verify as verification
from keras_ternary_spike.export.verification.moments import Moments


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            DirectEncoding(2),
            PerTimestep(layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal")),
            TernaryLIF(name="first"),
            PerTimestep(layers.Flatten()),
            PerTimestep(layers.Dense(8, kernel_initializer="he_normal")),
            TernaryLIF(name="second"),
            PerTimestep(layers.Dense(3)),
            TimeAverage(name="average"),
            layers.Softmax(),
        ],
        name="two_layers",
    )


@pytest.fixture(scope="module")
def tflite_bytes(model):
    return export_tflite(model)


@pytest.fixture
def samples(rng):
    return rng.random((25, 6, 6, 1)).astype(np.float32)


def break_runtime(monkeypatch, name, tensor):
    """The runtime `name` computes one value of `tensor` wrongly, once per run."""
    right = runtimes.RUNTIMES[name].run

    def wrong(tflite_bytes, integers):
        outputs = right(tflite_bytes, integers)
        if tensor in outputs:
            outputs[tensor].flat[7] += 1
        return outputs

    broken = dict(runtimes.RUNTIMES) | {name: Runtime(name, wrong)}
    monkeypatch.setattr(runtimes, "RUNTIMES", broken)


def changed_tensor(tflite_bytes, tensor_name, **changes):
    program = read(tflite_bytes)
    assert tensor_name in {tensor.name for tensor in program.tensors}
    tensors = tuple(replace(t, **changes) if t.name == tensor_name else t for t in program.tensors)
    return write(replace(program, tensors=tensors))


def test_an_exported_file_is_exact_on_four_runtimes(model, tflite_bytes, samples):
    report = verify(model, tflite_bytes, samples)
    assert report.exact
    assert list(report.runtimes) == ["reference", "optimized", "xnnpack", "tflm"]
    assert [one.differing + one.output_differing for one in report.runtimes.values()] == [0, 0, 0, 0]
    assert list(report.pairs.values()) == [0] * 6


def test_every_value_of_every_tensor_is_compared(model, tflite_bytes, samples):
    program = read(tflite_bytes)
    values = sum(np.prod(program.tensors[operator.output].shape) for operator in program.operators)
    for comparison in verify(None, tflite_bytes, samples).runtimes.values():
        assert comparison.values == 25 * values
        assert comparison.output_values == 25 * 3


def test_chunks_do_not_change_what_is_counted(model, tflite_bytes, samples, monkeypatch):
    whole = verify(model, tflite_bytes, samples)
    monkeypatch.setattr(verification, "CHUNK_VALUES", 10 * whole.runtimes["xnnpack"].values // 25)
    chunks = verification.chunked({"input": samples}, read(tflite_bytes))
    assert [len(chunk["input"]) for chunk in chunks] == [10, 10, 5]
    parts = verify(model, tflite_bytes, samples)
    assert (parts.runtimes, parts.pairs) == (whole.runtimes, whole.pairs)
    assert (parts.firing_rates, parts.agreement) == (whole.firing_rates, whole.agreement)


def test_one_wrong_value_in_one_runtime_is_found_and_located(tflite_bytes, samples, monkeypatch):
    break_runtime(monkeypatch, "xnnpack", "second/spike/0")
    report = verify(None, tflite_bytes, samples)
    assert not report.exact
    assert report.runtimes["xnnpack"].differing == 1
    assert report.runtimes["xnnpack"].output_differing == 0
    assert report.runtimes["xnnpack"].first_tensor == "second/spike/0"
    assert report.runtimes["reference"].differing == 0
    assert {pair for pair, count in report.pairs.items() if count} == {
        "reference / xnnpack",
        "optimized / xnnpack",
        "xnnpack / tflm",
    }
    assert "NOT EXACT, 1 of " in str(report)
    assert "first in second/spike/0 (xnnpack)" in str(report)


def test_a_wrong_output_of_the_file_as_shipped_is_counted_apart(tflite_bytes, samples, monkeypatch):
    output = read(tflite_bytes).tensors[read(tflite_bytes).outputs[0]].name
    break_runtime(monkeypatch, "reference", output)
    comparison = verify(None, tflite_bytes, samples).runtimes["reference"]
    assert (comparison.differing, comparison.output_differing) == (1, 1)


def test_class_agreement_is_counted_against_keras(model, tflite_bytes, samples):
    agreement = verify(model, tflite_bytes, samples).agreement
    expected = computed(model, samples).argmax(-1) == load(tflite_bytes).predict(samples).argmax(-1)
    assert (agreement.same, agreement.compared) == (expected.sum(), 25)
    assert agreement.share == expected.mean()


def test_a_keras_model_with_other_outputs_is_refused(tflite_bytes, samples):
    other = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(5)])
    with pytest.raises(ValueError, match=r"outputs of the same shape. Received: \(25, 5\).*\(25, 3\)"):
        verify(other, tflite_bytes, samples)


def test_firing_rates_are_means_over_samples_timesteps_and_neurons(tflite_bytes, samples):
    report = verify(None, tflite_bytes, samples)
    predictor = load(tflite_bytes)
    trace = predictor.program.trace(verification.quantize_input(predictor.program, samples))
    for layer in ("first", "second"):
        spikes = np.stack([trace[f"{layer}/spike/{t}"] for t in range(2)])
        assert report.firing_rates[layer] == pytest.approx(np.abs(spikes).mean(), abs=1e-12)
    assert list(report.firing_rates) == ["first", "second"]
    assert report.spike_tensors == ("first/spike/0", "first/spike/1", "second/spike/0", "second/spike/1")


@pytest.mark.parametrize("changes", [{"scale": np.float32(1 / 3)}, {"zero_point": 1}])
def test_a_spike_tensor_that_is_not_literal_is_named(changes, tflite_bytes, samples):
    report = verify(None, changed_tensor(tflite_bytes, "second/spike/1", **changes), samples)
    assert report.improper_spikes == ("second/spike/1",)
    assert not report.exact


def test_a_spike_tensor_with_other_values_is_named(tflite_bytes, samples):
    # A sum over two timesteps has scale 1, as spikes have, and reaches -2 and 2.
    report = verify(None, changed_tensor(tflite_bytes, "average/sum/1", name="sum/spike/0"), samples)
    assert report.improper_spikes == ("sum/spike/0",)


def test_a_single_output_has_no_class_to_compare(samples):
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), DirectEncoding(1), TernaryLIF()])
    model.add(PerTimestep(keras.layers.Dense(1)))
    model.add(TimeAverage())
    assert verify(model, export_tflite(model), samples).agreement is None


def test_the_report_lists_what_the_file_is_made_of(model, tflite_bytes, samples):
    report = verify(model, tflite_bytes, samples)
    assert report.name == "two_layers"
    assert sum(report.operators.values()) == len(read(tflite_bytes).operators)
    assert report.operators["CONV_2D"] == 1  # the image is static: one convolution serves both timesteps
    assert report.float_tensors == ()
    assert report.file_bytes == len(tflite_bytes)
    assert report.arena_bytes == runtimes.arena_bytes(tflite_bytes)
    assert report.versions["keras"] == keras.__version__
    assert any("softmax" in note for note in report.notes)


def test_without_a_keras_model_nothing_is_said_of_keras(tflite_bytes, samples):
    report = verify(None, tflite_bytes, samples)
    assert report.agreement is None
    assert "same class as Keras  not compared" in str(report)
    assert "tensorflow" not in report.versions


def test_the_report_is_ready_for_json(model, tflite_bytes, samples):
    report = verify(model, tflite_bytes, samples)
    copy = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert copy == report.to_dict()
    assert copy["exact"] is True
    assert copy["agreement"] == {"same": report.agreement.same, "compared": 25}


def test_the_printed_report_is_aligned(model, tflite_bytes, samples):
    lines = str(verify(model, tflite_bytes, samples)).splitlines()
    assert lines[0].startswith("two_layers: EXACT, 0 of ")
    start = next(i for i, line in enumerate(lines) if line.startswith("runtime"))
    table = lines[start : start + 5]
    assert len({len(line) for line in table}) == 1
    assert [line.split()[0] for line in table[1:]] == ["reference", "optimized", "xnnpack", "tflm"]


def test_without_tflite_micro_a_note_says_how_to_install_it(tflite_bytes, samples, monkeypatch):
    find_spec = runtimes.importlib.util.find_spec
    monkeypatch.setattr(
        runtimes.importlib.util, "find_spec", lambda name: None if name == "tflite_micro" else find_spec(name)
    )
    report = verify(None, tflite_bytes, samples)
    assert report.exact
    assert "tflm" not in report.runtimes
    assert report.arena_bytes is None
    assert "TFLite Micro not run: pip install 'keras-ternary-spike[tflm]'" in report.notes


def test_the_verdict_says_how_many_input_values_saturate(tflite_bytes, samples):
    samples[0, 0, :3] = 2.0
    report = verify(None, tflite_bytes, samples)
    assert (report.exact, report.inputs.count, report.inputs.values) == (True, 3, 900)
    assert str(report).splitlines()[0].endswith("(25 samples), but 0.3 % of the input values saturate")


def test_the_verdict_says_how_many_outputs_lie_at_a_limit(model, samples):
    tflite_bytes = export_tflite(model, output_range=(-1e-3, 1e-3))
    report = verify(None, tflite_bytes, samples)
    outputs = load(tflite_bytes).program.run(quantize_input(load(tflite_bytes).program, samples))
    expected = int(((outputs == -128) | (outputs == 127)).sum())
    assert expected > 0 and report.outputs.count == expected
    assert f"{100 * expected / outputs.size:.1f} % of the output values lie at a limit" in report.verdict


def test_the_verdict_says_that_the_classes_are_others(model, tflite_bytes, samples):
    other = keras.models.clone_model(model)
    other.set_weights([-weight for weight in model.get_weights()])
    report = verify(other, tflite_bytes, samples)
    assert report.exact and report.agreement.share < 0.9
    assert f"only {100 * report.agreement.share:.1f} % same class as Keras" in report.verdict


def test_numbers_are_compared_by_error_and_correlation():
    rng = np.random.default_rng(0)
    first, second = rng.normal(300, 2, (2, 50, 1))
    moments = Moments()
    for chunk in (slice(0, 20), slice(20, 41), slice(41, 50)):
        moments.add(first[chunk], second[chunk])
    assert moments.distance().error == pytest.approx(np.sqrt(np.mean((first - second) ** 2)))
    assert moments.distance().correlation == pytest.approx(np.corrcoef(first[:, 0], second[:, 0])[0, 1])


def test_logits_are_not_compared_with_what_a_softmax_makes_of_them(model, tflite_bytes, samples):
    assert verify(model, tflite_bytes, samples).distances == {}
    logits = keras.Model(model.inputs, model.get_layer("average").output)
    distance = verify(logits, tflite_bytes, samples).distances["softmax"]
    expected, found = computed(logits, samples), load(tflite_bytes).predict(samples)
    assert distance.error == pytest.approx(np.sqrt(np.mean((expected - found) ** 2)), rel=1e-5)


def test_numbers_that_do_not_change_have_no_correlation():
    moments = Moments()
    moments.add(np.ones(5), np.arange(5.0))
    assert moments.distance().correlation is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((0, 6, 6, 1)), "at least one sample. Received: 0"),
        (np.zeros((5, 6, 6)), r"shape \('samples', 6, 6, 1\). Received: \(5, 6, 6\)"),
        (np.full((1, 6, 6, 1), np.nan), "must be finite. Received: 36 of 36"),
    ],
)
def test_samples_that_do_not_fit_are_refused(wrong, message, tflite_bytes):
    with pytest.raises(ValueError, match=message):
        verify(None, tflite_bytes, wrong)


def test_a_truncated_file_is_refused(tflite_bytes, samples):
    with pytest.raises(ValueError, match="truncated or corrupt"):
        verify(None, tflite_bytes[:-100], samples)
