"""What the export command writes, prints and returns; and that it never leaves less than it found."""

import sys
import zipfile

import keras
import pytest

from command_folder import assert_fails
from keras_ternary_spike.export import __main__ as command_line
from keras_ternary_spike.export import export_tflite, user_files
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.cli.export_command import export_options
from keras_ternary_spike.export.cli.ranges import given_range
from keras_ternary_spike.export.user_files import write_atomically


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


def test_the_module_runs_as_a_command_in_a_fresh_process(python, model, folder):
    run = python.run("-m", "keras_ternary_spike.export", "model.keras", "-o", "model.tflite", folder=folder)
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


def test_a_missing_model_is_named(folder, capsys):
    assert_fails(
        capsys, folder, ["none.keras", "-o", "model.tflite"], "There is no file none.keras. There: model.keras."
    )


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
    user_files.import_module("my_layers")
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


def test_int8_and_any_batch_are_spelled_on_the_command_line():
    options = export_options(["--input-range", "int8", "--batch", "any", "m.keras", "-o", "m.tflite"])
    assert given_range(options.input_range, options.input_ranges) == "int8"
    assert (options.batch, str(options.model)) == (None, "m.keras")
    several = ["--input-range-of", "x", "int8", "--input-range-of", "y", "0", "1"]
    named = export_options(["m.keras", "-o", "m.tflite", *several])
    assert given_range(named.input_range, named.input_ranges) == {"x": "int8", "y": (0.0, 1.0)}
    assert given_range(["-1", "1"], []) == (-1.0, 1.0)
    for wrong in (["uint8", "uint8"], ["0", "int8"]):
        with pytest.raises(ValueError, match=r"two numbers, LOW HIGH, or for inputs the word int8\. Received: '"):
            given_range(wrong, [])


def test_the_command_writes_a_file_of_raw_integers_of_several_samples(model, folder):
    assert main(["model.keras", "-o", "raw.tflite", "--input-range", "int8", "--batch", "3"]) == 0
    assert (folder / "raw.tflite").read_bytes() == export_tflite(model, input_range="int8", batch=3)
