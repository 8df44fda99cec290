"""What the command writes, prints and returns; and that it never leaves less than it found."""

import hashlib
import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import __main__ as command_line
from keras_ternary_spike.export import export_tflite, flatbuffer, targets
from keras_ternary_spike.export.__main__ import main, write_atomically
from keras_ternary_spike.export.program import Operator, Program, Tensor
from keras_ternary_spike.export.target_tables import TABLES


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    dense = [PerTimestep(layers.Dense(6)), TernaryLIF(), PerTimestep(layers.Dense(3)), TimeAverage()]
    return keras.Sequential([keras.Input((5,), name="features"), DirectEncoding(2), *dense], name="tiny")


@pytest.fixture
def folder(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("model.keras")
    np.savez("samples.npz", samples=np.random.default_rng(0).random((10, 5)))
    return tmp_path


def assert_fails(capsys, folder, arguments, message):
    """One line "error: ..." that holds `message`, exit code 1, and the files are the same as before."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_the_file_is_what_export_tflite_returns(model, folder, capsys):
    assert main(["model.keras", "-o", "model.tflite"]) == 0
    written = (folder / "model.tflite").read_bytes()
    assert written == export_tflite(model)
    assert capsys.readouterr().out == f"model.tflite: {len(written):,} bytes\n"


def test_export_may_be_said_explicitly(model, folder):
    assert main(["export", "model.keras", "--output", "model.tflite"]) == 0
    assert (folder / "model.tflite").read_bytes() == export_tflite(model)


def test_the_input_range_is_passed_on(model, folder):
    assert main(["model.keras", "-o", "model.tflite", "--input-range", "-2", "3.5"]) == 0
    written = (folder / "model.tflite").read_bytes()
    assert written == export_tflite(model, input_range=(-2.0, 3.5))
    assert written != export_tflite(model)


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
        (("features", "motion"), ["--input-range-of", "motion", "0", "one"], "a name and two numbers. Received: 'one'"),
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
    from keras_ternary_spike.export import proof

    monkeypatch.setattr(proof, "recurrence", lambda currents, neuron: np.ones_like(currents))
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


def test_the_module_runs_as_a_command_in_a_fresh_process(model, folder):
    command = [sys.executable, "-m", "keras_ternary_spike.export", "model.keras", "-o", "model.tflite"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert run.returncode == 0, run.stderr
    assert (folder / "model.tflite").read_bytes() == export_tflite(model)
    assert "Traceback" not in run.stderr


def test_an_existing_file_is_replaced_only_by_a_whole_one(folder, capsys, monkeypatch):
    (folder / "model.tflite").write_bytes(b"precious")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command_line.os, "fsync", full_disk)
    assert_fails(capsys, folder, ["model.keras", "-o", "model.tflite"], "No space left on device")


def test_a_model_that_cannot_be_exported_leaves_the_old_file(folder, capsys):
    keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3)]).save("lstm.keras")
    (folder / "model.tflite").write_bytes(b"precious")
    assert_fails(capsys, folder, ["lstm.keras", "-o", "model.tflite"], "LSTM")


def test_a_reversed_input_range_is_one_line(folder, capsys):
    arguments = ["model.keras", "-o", "model.tflite", "--input-range", "1", "0"]
    assert_fails(capsys, folder, arguments, "`input_range`")


def test_a_file_that_the_runtimes_disagree_on_is_not_written(folder, capsys, monkeypatch):
    from keras_ternary_spike.export import runtimes

    right = runtimes.RUNTIMES["optimized"].run

    def wrong(tflite_bytes, samples):
        return {name: values + np.int8(1) for name, values in right(tflite_bytes, samples).items()}

    broken = runtimes.Runtime("optimized", wrong)
    monkeypatch.setattr(runtimes, "RUNTIMES", dict(runtimes.RUNTIMES) | {"optimized": broken})
    arguments = ["model.keras", "-o", "model.tflite", "--verify", "samples.npz"]
    assert_fails(capsys, folder, arguments, "runtimes do not agree")


def test_a_missing_model_is_named(folder, capsys):
    assert_fails(capsys, folder, ["none.keras", "-o", "model.tflite"], "No such file or directory: 'none.keras'")


@pytest.mark.parametrize("content", [b"", b"not a zip file", "half"])
def test_a_damaged_model_is_refused(content, folder, capsys):
    whole = (folder / "model.keras").read_bytes()
    (folder / "bad.keras").write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    assert_fails(capsys, folder, ["bad.keras", "-o", "model.tflite"], "bad.keras is not a whole .keras file")


def test_a_zip_file_that_is_no_model_is_refused(folder, capsys):
    with zipfile.ZipFile("bad.keras", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert_fails(capsys, folder, ["bad.keras", "-o", "model.tflite"], "Cannot load bad.keras")


def test_a_model_with_damaged_weights_is_refused(folder, capsys):
    with zipfile.ZipFile("model.keras") as whole, zipfile.ZipFile("bad.keras", "w") as bad:
        for name in whole.namelist():
            bad.writestr(name, b"damaged" if name.endswith(".h5") else whole.read(name))
    assert_fails(capsys, folder, ["bad.keras", "-o", "model.tflite"], "Cannot load bad.keras")


MY_LAYERS = """
import keras

@keras.saving.register_keras_serializable(package="mine")
class MyDense(keras.layers.Dense):
    pass
"""


@pytest.fixture
def model_with_own_class(folder, monkeypatch):
    """Saved as own.keras, its class forgotten again as in a fresh process."""
    (folder / "my_layers.py").write_text(MY_LAYERS)
    command_line.import_module("my_layers")
    layer = sys.modules.pop("my_layers").MyDense(3)
    keras.Sequential([keras.Input((5,)), layer]).save("own.keras")
    keras.saving.get_custom_objects().pop("mine>MyDense")
    yield
    sys.modules.pop("my_layers", None)
    keras.saving.get_custom_objects().pop("mine>MyDense", None)


def test_a_class_that_is_not_registered_names_the_way_out(model_with_own_class, folder, capsys):
    assert_fails(capsys, folder, ["own.keras", "-o", "model.tflite"], "--import MODULE")


def test_a_class_of_an_imported_module_is_loaded(model_with_own_class, capsys):
    # MyDense is loaded, and only then refused by the exporter, which does not know it.
    assert main(["own.keras", "-o", "model.tflite", "--import", "my_layers"]) == 1
    error = capsys.readouterr().err
    assert "Cannot load" not in error
    assert "MyDense" in error


def test_a_module_that_cannot_be_imported_is_named(folder, capsys):
    arguments = ["model.keras", "-o", "model.tflite", "--import", "no_such_module"]
    assert_fails(capsys, folder, arguments, "No module named 'no_such_module'")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nowhere/model.tflite", "The folder of the output must exist. Received: nowhere/model.tflite"),
        (".", "The output must be a file. Received: ."),
        ("model.keras", "The output must not be the model itself. Received: model.keras"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(output, message, folder, capsys):
    assert_fails(capsys, folder, ["model.keras", "-o", output], message)


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


@pytest.mark.parametrize("arguments", [[], ["model.keras"], ["model.keras", "-o", "x", "--input-range", "1"]])
def test_wrong_usage_exits_with_2(arguments, folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: keras-ternary-spike" in capsys.readouterr().err


def test_a_link_to_the_output_stays_a_link(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]


def test_the_old_file_keeps_its_name_until_the_new_one_takes_it(tmp_path, monkeypatch):
    def refuse(source, target):
        assert source.read_bytes() == b"new"  # complete, beside the old file
        assert target.read_bytes() == b"old"
        raise PermissionError(13, "Permission denied")

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(command_line.os, "replace", refuse)
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.fixture
def tflite(folder):
    assert main(["model.keras", "-o", "model.tflite"]) == 0
    return folder / "model.tflite"


def test_inspect_prints_the_metadata_and_every_operator(tflite, capsys):
    capsys.readouterr()
    assert main(["inspect", "model.tflite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"tiny: {tflite.stat().st_size:,} bytes, ")
    assert ["timesteps", "2"] in [line.split() for line in lines]
    assert sum(" FULLY_CONNECTED " in line for line in lines) >= 2


def test_check_prints_the_verdict_of_a_target(tflite, capsys):
    assert main(["check", "model.tflite", "--target", "ethos-u55-32"]) == 0
    assert "tiny on ethos-u55-32: ACCEPTED, " in capsys.readouterr().out


def test_check_prints_json(tflite, capsys):
    capsys.readouterr()
    assert main(["check", "model.tflite", "--target", "edgetpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accepted"] is True
    assert report["how"].startswith("not run: ")


def test_check_fails_where_the_target_refuses_an_operator(folder, capsys):
    operator = Operator("ADD", (0, 0), 1)
    tensors = tuple(Tensor(name, (2, 4, 4, 4), np.float32(1)) for name in ("in", "out"))
    (folder / "batch.tflite").write_bytes(flatbuffer.write(Program("batch", tensors, (operator,), (0,), (1,))))
    assert_fails(capsys, folder, ["check", "batch.tflite", "--target", "edgetpu"], "1 of 1 operators do not run on e")


def test_a_target_that_takes_every_operator_changes_nothing(model, folder):
    assert main(["model.keras", "-o", "model.tflite", "--target", "ethos-u55-64"]) == 0
    assert (folder / "model.tflite").read_bytes() == export_tflite(model)


def test_a_file_with_an_operator_that_the_target_refuses_is_not_written(folder, capsys, monkeypatch):
    name, rows, _ = TABLES["edgetpu"]
    refused = {"edgetpu": (name, rows, lambda operator, inputs, output: "not today")}
    monkeypatch.setattr(targets, "TABLES", TABLES | refused)
    arguments = ["model.keras", "-o", "model.tflite", "--target", "edgetpu"]
    assert_fails(capsys, folder, arguments, "Every operator must run on edgetpu. Received ")


def test_an_unknown_target_is_refused_before_the_model_is_read(folder, capsys):
    arguments = ["none.keras", "-o", "model.tflite", "--target", "abacus"]
    assert_fails(capsys, folder, arguments, "`target` must be one of litert, tflm, ")


def test_an_unknown_target_is_one_line_and_said_before_the_file_is_read(folder, capsys):
    arguments = ["check", "none.tflite", "--target", "abacus"]
    assert_fails(capsys, folder, arguments, "`target` must be one of litert, tflm, ")


@pytest.mark.parametrize("command", [["inspect"], ["check", "--target", "litert"]])
@pytest.mark.parametrize("content", [b"", b"not a model", "half"])
def test_commands_refuse_a_damaged_file_in_one_line(command, content, tflite, folder, capsys):
    capsys.readouterr()
    whole = tflite.read_bytes()
    (folder / "bad.tflite").write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    assert_fails(capsys, folder, [command[0], "bad.tflite", *command[1:]], "tflite")


@pytest.mark.parametrize("command", ["inspect", "check"])
def test_every_command_has_its_own_usage(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command])
    assert stopped.value.code == 2
    assert f"usage: keras-ternary-spike {command}" in capsys.readouterr().err
