"""The folder of C: what is in it, that compilers take it as it is, and that bad input leaves nothing behind."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import random_programs as draw
from c_compilers import WARNINGS, needs_compiler, needs_gcc_and_clang
from keras_ternary_spike.export import export_c
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.c_code.c_text import comment, identifier, string
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.tflite import flatbuffer

HOSTILE = ["*/ int system(); /*", 'a"; abort(); //', "line\nbreak", "trailing\\", "??/", "%s%n", "é", "0", "int", ""]


def tiny(seed=0) -> Program:
    rng = np.random.default_rng(seed)
    return draw.weighted(rng, "CONV_2D", shape=(4, 3, 2))


def written(folder, program=None, **options):
    export_c(flatbuffer.write(program or tiny()), folder, **options)
    return folder


def compile_and_run(folder, *command):
    subprocess.run(
        [*command, "-o", "selftest", *sorted(path.name for path in folder.glob("*.c"))], cwd=folder, check=True
    )
    return subprocess.run([folder / "selftest"], capture_output=True, text=True)


@needs_gcc_and_clang
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("language", [("-std=c99",), ("-x", "c++", "-std=c++17")])
def test_both_compilers_take_the_folder_without_a_warning(tmp_path, compiler, language):
    folder = written(tmp_path / "net", name="net", class_names=[str(i) for i in range(tiny().tensors[-1].shape[-1])])
    run = compile_and_run(folder, compiler, *language, *WARNINGS)
    assert (run.returncode, run.stdout) == (0, "PASS: 0 of 3 sequences differ\n")


@needs_compiler
def test_the_self_test_fails_where_a_weight_differs(tmp_path):
    folder = written(tmp_path / "net", name="net")
    source = folder / "net.c"
    kernel = re.compile(r"(layer_scale\[\d+\] = \{\n    -?\d+, )(-?\d+)")  # of first channels: multiplier, bias
    source.write_text(kernel.sub(lambda found: found[1] + str(int(found[2]) + 10_000), source.read_text()))
    run = compile_and_run(folder, "cc")
    assert run.returncode == 1
    assert run.stdout.startswith("FAIL")


@needs_compiler
def test_two_models_fit_into_one_program(tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        folder = written(tmp_path / name, tiny(seed), name=name)
        for path in folder.iterdir():
            shutil.copy(path, tmp_path)
    (tmp_path / "two_selftest.c").write_text(
        (tmp_path / "two_selftest.c").read_text().replace("main(void)", "two(void)")
    )
    main_text = (tmp_path / "one_selftest.c").read_text().replace("int main(void)", "int two(void);\nint main(void)")
    (tmp_path / "one_selftest.c").write_text(main_text.replace("return failed != 0", "return two() + failed"))
    run = compile_and_run(tmp_path, "cc")
    assert (run.returncode, run.stdout) == (0, 2 * "PASS: 0 of 3 sequences differ\n")


@needs_compiler
def test_only_the_four_functions_and_the_class_names_are_visible(tmp_path):
    channels = tiny().tensors[-1].shape[-1]
    folder = written(tmp_path / "net", name="net", class_names=["a"] * channels)
    subprocess.run(["cc", "-c", "net.c"], cwd=folder, check=True)
    symbols = subprocess.run(["nm", "-g", "--defined-only", "net.o"], cwd=folder, capture_output=True, text=True).stdout
    assert {line.split()[-1] for line in symbols.splitlines()} == {
        "net_init",
        "net_reset",
        "net_run",
        "net_class_names",
    }


@needs_compiler
@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_layers_inject_no_code(tmp_path, name):
    program = tiny()
    tensors = [replace(t, name=f"{name}{'/kernel' * (t.data is not None)}#{i}") for i, t in enumerate(program.tensors)]
    folder = written(tmp_path / "net", replace(program, name=name, tensors=tuple(tensors)), name="net")
    text = (folder / "net.c").read_text() + (folder / "net.h").read_text()
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    assert "system" not in code.replace("layer_int_system", "").replace("int_system", "")
    assert "abort()" not in code
    assert compile_and_run(folder, "cc", *WARNINGS).returncode == 0


def test_comments_strings_and_identifiers_hold_what_they_are_given_and_no_more():
    for text in HOSTILE:
        assert "*/" not in comment(text)
        assert "\n" not in comment(text)
        assert not comment(text).endswith("\\")
        assert re.fullmatch(r'"([A-Za-z0-9 ]|\\[0-7]{3})*"', string(text))
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", identifier(text))
    assert string("a é") == '"a \\303\\251"'


def test_words_of_c_and_of_the_kernels_are_no_names_of_inputs_or_constants():
    """Macros and functions of the kernels, keywords, macros of compilers; any other name of an input stays."""
    taken = ("int", "LANES", "add_rows", "event_layer", "layer_t", "unix", "uint8_t", "NULL")
    assert [identifier(word) for word in taken] == [f"{word}_" for word in taken]
    free = ("image", "pixel", "values", "motion", "row")
    assert [identifier(word) for word in free] == list(free)


@pytest.mark.parametrize("name", ["", "1st", "a-b", "int", "class", "_a", "int8", "uint32", "a\n", "é"])
def test_a_name_that_is_no_identifier_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"`name` must be a C identifier.*Received"):
        written(tmp_path / "net", name=name)
    assert not (tmp_path / "net").exists()


def test_a_folder_with_something_in_it_stays_as_it_was(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="new or empty: nothing is overwritten"):
        written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled_and_a_file_is_no_folder(tmp_path):
    (tmp_path / "net").mkdir()
    assert {path.name for path in written(tmp_path / "net").iterdir()} >= {"model.h", "model.c", "model_selftest.c"}
    with pytest.raises(ValueError, match="must be a folder"):
        written(tmp_path / "net" / "model.h")
    with pytest.raises(ValueError, match="folder around the output must exist"):
        written(tmp_path / "none" / "net")


def test_a_file_of_another_tool_is_refused_and_nothing_is_written(tmp_path):
    foreign = replace(tiny(), metadata={})
    with pytest.raises(ValueError, match="`export_tflite` of this package wrote"):
        written(tmp_path / "net", foreign)
    with pytest.raises(ValueError, match="identifier TFL3"):
        export_c(b"no file at all", tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_the_report_accounts_for_every_step_and_byte(tmp_path):
    folder = written(tmp_path / "net", name="net")
    report = json.loads((folder / "net.json").read_text())
    header = (folder / "net.h").read_text()
    assert f"#define NET_ARENA_BYTES {report['arena_bytes']}\n" in header
    assert max(layer["arena_bytes"] for layer in report["layers"]) <= report["arena_bytes"]
    assert sum(layer["flash_bytes"] for layer in report["layers"]) == report["constant_bytes"]
    assert {layer["how"] for layer in report["layers"]} <= {"event-driven", "values", "dense", "memory"}
    assert all(layer["why"] for layer in report["layers"])


def test_class_names_must_be_as_many_as_classes(tmp_path):
    with pytest.raises(ValueError, match=r"`class_names` must hold a name for each of the \d+.*Received: 1"):
        written(tmp_path / "net", class_names=["only"])


def test_the_command_writes_the_folder_and_says_what_is_in_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(flatbuffer.write(tiny()))
    assert main(["c-code", "m.tflite", "-o", "board", "--name", "net"]) == 0
    assert "net_selftest.c" in capsys.readouterr().out
    assert main(["c-code", "m.tflite", "-o", "board", "--name", "net"]) == 1
    assert "new or empty" in capsys.readouterr().err
    assert main(["c-code", "m.tflite", "-o", "other", "--name", "int"]) == 1
    assert not (tmp_path / "other").exists()
