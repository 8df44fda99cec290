"""The main job at small size, in a process of its own, as the README runs it."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.cli.web_command import web_parser

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_and_export.py"
ROWS = ["Keras float32", "stock TFLite float32", "stock TFLite int8", "this package int8"]


@pytest.fixture(scope="module")
def finished(python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    result = python.run(EXAMPLE, "--epochs", "1", "--samples", "64", folder=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "runs" / "digits", result


def test_it_writes_seven_files(finished):
    folder, _ = finished
    assert sorted(path.name for path in folder.iterdir()) == [
        "front.png",
        "graded.tflite",
        "model.keras",
        "model.tflite",
        "report.json",
        "report.png",
        "samples.npz",
    ]
    for name in ("front.png", "report.png"):
        assert (folder / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_its_report_says_that_every_runtime_computes_the_same_bits(finished):
    folder, _ = finished
    report = json.loads((folder / "report.json").read_text())
    assert report["verify"]["exact"] is True
    assert [one["differing"] for one in report["verify"]["runtimes"].values()] == [0] * len(
        report["verify"]["runtimes"]
    )
    assert list(report["files"]) == ROWS
    assert report["files"]["this package int8"]["bytes"] == (folder / "model.tflite").stat().st_size
    assert report["arguments"]["samples"] == 64


def test_it_ends_with_a_command_for_the_page(finished):
    folder, result = finished
    (line,) = [line for line in result.stdout.splitlines() if "Draw a digit" in line]
    program, *words = line.split(": ", 1)[1].split()
    assert words[:3] == ["-m", "keras_ternary_spike.export", "web"]
    options = web_parser().parse_args(words[3:])
    root = folder.parents[1]
    assert (root / options.model).is_file() and np.load(root / options.samples)["samples"].shape == (20, 8, 8, 1)
    assert (root / program).exists() and not (root / options.output).exists()


def test_its_table_has_a_row_for_each_file_and_nothing_else_on_stderr(finished):
    _, result = finished
    lines = result.stdout.splitlines()
    assert [name for name in ROWS if any(line.startswith(name) for line in lines)] == ROWS
    assert any(line.startswith("additions") for line in lines)
    names = ("ternary,", "graded 0", "graded,", "ReLU ")
    ternary, graded, silent, relu = (next(line.split() for line in lines if line.startswith(name)) for name in names)
    assert int(ternary[4].replace(",", "")) > 0 and graded[5] == silent[5] == relu[2] == "0"  # levels multiply
    assert "Traceback" not in result.stderr
    # An epoch of one batch ends above the budget, and says so.
    assert result.stderr.count("Warning") == result.stderr.count("UserWarning: The budget of 0.2 for additions") == 1


def test_its_two_models_are_the_same_network(finished):
    folder, _ = finished
    assert export_tflite(keras.saving.load_model(folder / "model.keras")) == (folder / "model.tflite").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs: must be a whole number from 1. Received: 0"),
        (["--dataset", "mnits"], "--dataset: invalid choice: 'mnits'"),
    ],
)
def test_a_bad_argument_is_named(python, tmp_path, arguments, message):
    result = python.run(EXAMPLE, *arguments, folder=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
