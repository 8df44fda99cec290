"""The commands on files that exist: they print what the functions return, compare with a model, and take both forms."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from command_folder import assert_fails
from keras_ternary_spike.export import __main__ as command_line
from keras_ternary_spike.export import export_tflite, load, verify
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.certificate import enumeration
from keras_ternary_spike.export.runtimes import implementations as runtimes


@pytest.fixture(scope="module")
def files(model):
    return {"m.tflite": export_tflite(model), "s.tflite": export_tflite(model, form="step")}


@pytest.fixture
def folder(folder, files):
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def without_times(report):
    return [line for line in report.splitlines() if "latency" not in line]


def test_verify_prints_the_report_with_and_without_the_model(model, files, folder, capsys):
    samples = np.load("samples.npz")["samples"]
    assert main(["verify", "m.tflite", "--samples", "samples.npz"]) == 0
    assert without_times(capsys.readouterr().out) == without_times(str(verify(None, files["m.tflite"], samples)) + "\n")
    assert main(["verify", "m.tflite", "--samples", "samples.npz", "--model", "model.keras"]) == 0
    assert without_times(capsys.readouterr().out) == without_times(str(verify(model, files["m.tflite"], samples)))


def test_verify_runs_a_file_of_the_step_form_over_all_timesteps(folder, capsys):
    assert main(["verify", "s.tflite", "--samples", "samples.npz", "--model", "model.keras"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiny: EXACT, 0 of ")
    assert " of 10)" in out  # classes of whole samples, not of timesteps


def test_a_file_that_the_runtimes_disagree_on_fails(folder, capsys, monkeypatch):
    right = runtimes.RUNTIMES["optimized"].run

    def wrong(tflite_bytes, samples):
        return {name: values + np.int8(1) for name, values in right(tflite_bytes, samples).items()}

    broken = dict(runtimes.RUNTIMES) | {"optimized": runtimes.Runtime("optimized", wrong)}
    monkeypatch.setattr(runtimes, "RUNTIMES", broken)
    assert_fails(capsys, folder, ["verify", "m.tflite", "--samples", "samples.npz"], "runtimes do not agree")


def test_certify_writes_the_certificate_of_the_file_that_is_there(files, folder, capsys):
    command = ["certify", "m.tflite", "--samples", "samples.npz", "--model", "model.keras", "-o", "cert.html"]
    assert main([*command, "--target", "litert"]) == 0
    document = json.loads((folder / "cert.json").read_text())
    assert document["exact"] and document["target"]["target"] == "litert"
    assert document["sha256"] == hashlib.sha256(files["m.tflite"]).hexdigest()
    assert document["sha256"] in (folder / "cert.html").read_text()


def test_certify_writes_what_it_finds_of_a_file_that_is_not_proven(files, folder, capsys, monkeypatch):
    monkeypatch.setattr(enumeration, "recurrence", lambda currents, neuron: np.ones_like(currents))
    assert main(["certify", "m.tflite", "--samples", "samples.npz", "-o", "failed.html"]) == 1
    assert "The certificate says what." in capsys.readouterr().err
    assert json.loads((folder / "failed.json").read_text())["exact"] is False
    assert "not proven" in (folder / "failed.html").read_text()


@pytest.mark.parametrize("file", ["m.tflite", "s.tflite"])
def test_run_prints_and_writes_what_the_file_computes(file, files, folder, capsys):
    expected = load(files["m.tflite"]).predict(np.load("samples.npz")["samples"])
    assert main(["run", file, "--samples", "samples.npz"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "sample\ttime_average (3,)"
    printed = np.array([row.split("\t")[1:] for row in rows], np.float32)  # nine digits tell all float32 apart
    np.testing.assert_array_equal(printed, expected)
    assert main(["run", file, "--samples", "samples.npz", "-o", "out.npz"]) == 0
    np.testing.assert_array_equal(np.load("out.npz")["time_average"], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "none.tflite", "--samples", "samples.npz"], "no file none.tflite. There: m.tflite, s.tflite."),
        (["verify", "model.keras", "--samples", "samples.npz"], "A .tflite file is needed. Received: model.keras."),
        (["verify", "m.tflite", "--samples", "m.tflite"], "A .npz file is needed. Received: m.tflite."),
        (["verify", "m.tflite", "--samples", "samples.npz", "--model", "m.tflite"], "A .keras file is needed."),
        (["run", "m.tflite", "--samples", "samples.npz", "-o", "out.csv"], "The output must be a .npz file."),
        (["certify", "m.tflite", "--samples", "samples.npz", "-o", "cert.pdf"], "must be a .html or .htm file."),
        (
            ["certify", "m.tflite", "--samples", "s.npz", "-o", "c.html", "--target", "abacus"],
            "`target` must be",
        ),
        (["inspect", "."], ". is a folder. A .tflite file is needed."),
        (["inspect", "nowhere/m.tflite"], "There is no file nowhere/m.tflite. There is no folder nowhere either."),
        (["sweep", "none.toml"], "There is no file none.toml."),
        (["c-code", "samples.npz", "-o", "c"], "A .keras or .tflite file is needed. Received: samples.npz."),
        (["model.keras", "-o", "x.onnx"], "The output must be a .tflite file. Received: x.onnx"),
        (["m.tflite", "-o", "x.tflite"], "A .keras file is needed. Received: m.tflite."),
        (["model.keras", "-o", "x.tflite", "--samples", "none.npz"], "There is no file none.npz. There: samples.npz."),
        (["verfy", "m.tflite"], "'verfy' is neither a command nor a file. Commands: export, verify, certify, run, "),
    ],
)
def test_what_cannot_work_is_said_in_one_line(arguments, message, folder, capsys):
    assert_fails(capsys, folder, arguments, message)


REFUSED = """
import sys
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.certificate import enumeration
for arguments in (["verfy"], ["none.keras", "-o", "m.tflite"], ["samples.npz", "-o", "m.tflite"],
                  ["model.keras", "-o", "m.onnx"], ["verify", "none.tflite", "--samples", "samples.npz"],
                  ["run", "m.tflite", "--samples", "none.npz"], ["c-code", "none.keras", "-o", "c"]):
    assert main(arguments) == 1
print(*sorted({"keras", "tensorflow"} & set(sys.modules)))
"""


def test_files_are_refused_before_keras_and_tensorflow_are_imported(folder):
    run = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True)
    assert run.stdout == "\n", run.stderr
    assert len(run.stderr.splitlines()) == 7


def test_standard_error_is_the_users_unless_verbose(python, folder):
    command = ["-m", "keras_ternary_spike.export", "verify", "m.tflite", "--samples", "samples.npz"]
    quiet = python.run(*command, folder=folder)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "XNNPACK" in python.run(*command, "--verbose", folder=folder).stderr


def test_errors_are_shown_although_native_code_is_not(python, folder):
    run = python.run("-m", "keras_ternary_spike.export", "inspect", "none.tflite", folder=folder)
    assert run.stderr == "error: There is no file none.tflite. There: m.tflite, s.tflite.\n"


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == "keras-ternary-spike 0.1.0\n"


@pytest.mark.parametrize("command", command_line.COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "--verbose" in capsys.readouterr().out


def test_an_error_of_the_system_is_words_and_a_file():
    assert command_line.in_words(PermissionError(13, "Permission denied", "m.tflite")) == "m.tflite: Permission denied"
