"""The command that writes ONNX files."""

import pytest

from command_folder import assert_fails
from keras_ternary_spike.export import export_onnx, export_tflite
from keras_ternary_spike.export.__main__ import main

pytest.importorskip("onnx", reason="needs the extra [onnx]")


def test_the_file_is_what_export_onnx_returns(model, folder, capsys):
    assert main(["onnx", "model.keras", "-o", "model.onnx", "--input-range", "-2", "3.5", "--batch", "any"]) == 0
    written = (folder / "model.onnx").read_bytes()
    assert written == export_onnx(model, input_range=(-2.0, 3.5), batch=None)
    assert capsys.readouterr().out == f"model.onnx: {len(written):,} bytes\n"


def test_a_file_is_taken_too(model, folder):
    (folder / "model.tflite").write_bytes(export_tflite(model))
    assert main(["onnx", "model.tflite", "-o", "model.onnx", "--operators", "float32"]) == 0
    assert (folder / "model.onnx").read_bytes() == export_onnx(model, operators="float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["onnx", "model.keras", "-o", "model.tflite"], "The output must be a .onnx file. Received: model.tflite"),
        (["onnx", "samples.npz", "-o", "model.onnx"], "A .keras or .tflite file is needed. Received: samples.npz"),
        (["onnx", "model.keras", "-o", "none/model.onnx"], "The folder of the output must exist"),
    ],
)
def test_wrong_names_are_one_line(arguments, message, folder, capsys):
    assert_fails(capsys, folder, arguments, message)
