"""The command's samples and certificate: what is verified and stated, and that nothing unproven is written."""

import hashlib
import json

import keras
import numpy as np
import pytest

from command_folder import assert_fails
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.certificate import enumeration as enumeration_module


def two_inputs():
    layers = keras.layers
    inputs = [keras.Input((5,), name="features"), keras.Input((2, 4), name="motion")]
    values = [PerTimestep(layers.Dense(6))(DirectEncoding(2)(inputs[0])), PerTimestep(layers.Dense(6))(inputs[1])]
    spikes = TernaryLIF()(layers.Add()(values))
    return keras.Model(inputs, TimeAverage()(PerTimestep(layers.Dense(3))(spikes)), name="two")


RANGES_OF_TWO = ["--input-range-of", "features", "0", "2", "--input-range-of", "motion", "-1", "1"]


def test_several_inputs_have_an_array_and_a_range_each(folder, capsys):
    model, rng = two_inputs(), np.random.default_rng(0)
    model.save("two.keras")
    np.savez("two.npz", motion=rng.random((4, 2, 4)), features=rng.random((4, 5)))
    assert main(["two.keras", "-o", "two.tflite", "--verify", "two.npz", *RANGES_OF_TWO]) == 0
    assert capsys.readouterr().out.startswith("two: EXACT, 0 of ")
    ranges, samples = {"features": (0, 2), "motion": (-1, 1)}, dict(np.load("two.npz"))
    assert (folder / "two.tflite").read_bytes() == export_tflite(model, input_range=ranges, samples=samples)
    assert main(["two.keras", "-o", "two.tflite", "--verify", "two.npz", "--round-to-nearest", *RANGES_OF_TWO]) == 0
    assert (folder / "two.tflite").read_bytes() == export_tflite(model, input_range=ranges)


@pytest.mark.parametrize(
    ("arrays", "ranges", "message"),
    [
        (("features",), [], "for each of ['features', 'motion'], by name. Received: ['features']. Missing: ['motion']"),
        (("features", "motion", "sound"), [], "Missing: [], unknown: ['sound']"),
        (("features", "motion"), RANGES_OF_TWO[:4], "such a range for each of ['features', 'motion']"),
        (
            ("features", "motion"),
            ["--input-range-of", "motion", "0", "one"],
            "word int8. Received: '0' 'one'",
        ),
    ],
)
def test_arrays_and_ranges_that_do_not_fit_several_inputs_are_refused(arrays, ranges, message, folder, capsys):
    two_inputs().save("two.keras")
    shapes = {"features": (3, 5), "motion": (3, 2, 4), "sound": (3, 1)}
    np.savez("two.npz", **{name: np.zeros(shapes[name]) for name in arrays})
    assert_fails(capsys, folder, ["two.keras", "-o", "two.tflite", "--verify", "two.npz", *ranges], message)


def test_verify_prints_the_report(folder, capsys):
    assert main(["model.keras", "-o", "model.tflite", "--verify", "samples.npz"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiny: EXACT, 0 of ")
    assert out.splitlines()[-1].startswith("model.tflite: ")


CERTIFIED = ["model.keras", "-o", "model.tflite", "--samples", "samples.npz", "--certificate", "cert.html"]


def test_a_certificate_is_a_page_and_json_of_the_file_written(folder, capsys):
    assert main(["export", *CERTIFIED, "--target", "ethos-u55-32"]) == 0
    document = json.loads((folder / "cert.json").read_text())
    assert document["exact"] is True
    assert document["sha256"] == hashlib.sha256((folder / "model.tflite").read_bytes()).hexdigest()
    assert document["target"]["target"] == "ethos-u55-32"
    assert document["sha256"] in (folder / "cert.html").read_text()
    out = capsys.readouterr().out
    assert out.startswith("tiny: EXACT, 0 of ")
    assert [line.split(":")[0] for line in out.splitlines()[-3:]] == ["model.tflite", "cert.html", "cert.json"]


def test_samples_alone_verify(folder, capsys):
    assert main(["model.keras", "-o", "model.tflite", "--samples", "samples.npz"]) == 0
    assert capsys.readouterr().out.startswith("tiny: EXACT, 0 of ")


def test_a_layer_that_is_not_proven_leaves_no_file(folder, capsys, monkeypatch):

    monkeypatch.setattr(enumeration_module, "recurrence", lambda currents, neuron: np.ones_like(currents))
    assert_fails(capsys, folder, CERTIFIED, "Every spiking layer must be proven on all operands. Received: ternary_lif")


def test_a_certificate_that_cannot_be_made_leaves_no_file(folder, capsys):
    np.savez("samples.npz", samples=np.zeros((3, 4)))
    assert_fails(capsys, folder, CERTIFIED, "`samples` must have shape ('samples', 5). Received: (3, 4)")


def test_a_folder_of_the_certificate_that_is_missing_is_refused_before_any_work(folder, capsys):
    arguments = ["none.keras", "-o", "m.tflite", "--samples", "s.npz", "--certificate", "nowhere/cert.html"]
    assert_fails(capsys, folder, arguments, "The folder of the output must exist. Received: nowhere/cert.html")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--certificate", "cert.html"], "--certificate needs samples to run the file on"),
        (["--certificate", "cert.pdf", "--samples", "s.npz"], "--certificate must be an .html file"),
        (["--certificate", "m.html", "--samples", "s.npz"], "must be different files. Received: m.html for both"),
    ],
)
def test_a_certificate_that_makes_no_sense_is_wrong_usage(arguments, message, folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["model.keras", "-o", "m.html", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_that_the_runtimes_disagree_on_is_not_written(folder, capsys, monkeypatch):
    from keras_ternary_spike.export.runtimes import implementations as runtimes

    right = runtimes.RUNTIMES["optimized"].run

    def wrong(tflite_bytes, samples):
        return {name: values + np.int8(1) for name, values in right(tflite_bytes, samples).items()}

    broken = runtimes.Runtime("optimized", wrong)
    monkeypatch.setattr(runtimes, "RUNTIMES", dict(runtimes.RUNTIMES) | {"optimized": broken})
    arguments = ["model.keras", "-o", "model.tflite", "--verify", "samples.npz"]
    assert_fails(capsys, folder, arguments, "runtimes do not agree")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 5)), "y": np.zeros(3)}, "one array must be named 'samples'. Received: x, y."),
        ({"x": np.array([{}], object)}, "Cannot read samples from bad.npz"),
        ({"x": np.zeros((3, 4))}, "`samples` must have shape ('samples', 5). Received: (3, 4)"),
    ],
)
def test_samples_that_do_not_fit_are_refused(arrays, message, folder, capsys):
    np.savez("bad.npz", **arrays)
    assert_fails(capsys, folder, ["model.keras", "-o", "model.tflite", "--verify", "bad.npz"], message)


def test_samples_that_are_no_npz_file_are_refused(folder, capsys):
    arguments = ["model.keras", "-o", "model.tflite", "--verify", "model.npz"]
    (folder / "model.npz").write_bytes(b"hello")
    assert_fails(capsys, folder, arguments, "model.npz is not an .npz file")
