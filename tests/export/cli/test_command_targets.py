"""The commands inspect and check, and the targets that an export must run on."""

import json

import numpy as np
import pytest

from command_folder import assert_fails
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.targets import check as targets
from keras_ternary_spike.export.targets.published_lists import TABLES
from keras_ternary_spike.export.tflite import flatbuffer


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
    tensors = tuple(Tensor(name, (1, 4, 4, 4), np.float32(1)) for name in ("in", "out"))
    (folder / "batch.tflite").write_bytes(flatbuffer.pack(Program("batch", tensors, (operator,), (0,), (1,), batch=2)))
    assert_fails(capsys, folder, ["check", "batch.tflite", "--target", "edgetpu"], "1 of 1 operators do not run on e")


def test_a_target_that_takes_every_operator_changes_nothing(model, folder):
    assert main(["model.keras", "-o", "model.tflite", "--target", "ethos-u55-64"]) == 0
    assert (folder / "model.tflite").read_bytes() == export_tflite(model)


def test_a_file_with_an_operator_that_the_target_refuses_is_not_written(folder, capsys, monkeypatch):
    name, rows, _ = TABLES["edgetpu"]
    refused = {"edgetpu": (name, rows, lambda entry: "not today")}
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
