"""The page's folder: what is in it, and what is refused. LiteRT.js has a stand-in here; a browser runs the real one."""

import base64
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from every_runtime import assert_outputs_equal
from keras_ternary_spike import models
from keras_ternary_spike.export import export_tflite, export_web
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.costs.operation_counts import count_operations, measure
from keras_ternary_spike.export.program.names import spike_tensors
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.tflite.flatbuffer import read, write
from keras_ternary_spike.export.web import litert_js as litert_js_module
from keras_ternary_spike.export.web.litert_js import PACKAGES, VERSION, litert_js
from keras_ternary_spike.export.web.sources import Fitting, picture_of, sound_of
from keras_ternary_spike.export.web.watched import watched

TEMPLATE = Path(litert_js_module.__file__).with_name("template")
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.tiny((8, 8, 1), 3, width=0.25)


@pytest.fixture(scope="module")
def files(model):
    return {form: export_tflite(model, form=form) for form in ("unrolled", "step")}


@pytest.fixture(scope="module")
def litert(tmp_path_factory):
    """A folder as npm leaves it, with a word in every file instead of LiteRT.js."""
    folder = tmp_path_factory.mktemp("npm")
    for package in PACKAGES:
        for path in package.files:
            target = folder / "node_modules" / package.name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps({"version": VERSION}) if path == "package.json" else path)
    return folder


@pytest.fixture(scope="module")
def page(files, litert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    export_web(files["unrolled"], folder, litert=litert)
    return folder


def page_json(folder):
    return json.loads((folder / "page.json").read_text())


def test_the_folder_holds_the_page_the_file_and_litert_js(page, files):
    found = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    template = {path.relative_to(TEMPLATE).as_posix() for path in TEMPLATE.rglob("*") if path.is_file()}
    runtime = {f"litert/{package.folder}/{path}" for package in PACKAGES for path in package.files}
    assert found == template | runtime | {
        *("page.json", "model.tflite", "watched.tflite", "check.bin", "litert/NOTICE.txt")
    }
    assert (page / "model.tflite").read_bytes() == files["unrolled"]
    assert page_json(page)["file"]["sha256"] == hashlib.sha256(files["unrolled"]).hexdigest()
    assert f"LiteRT.js {VERSION}, unmodified" in (page / "litert/NOTICE.txt").read_text()


def test_the_licence_of_the_page_is_the_projects():
    licence = Path(__file__).parents[3] / "LICENSE"
    if not licence.exists():
        pytest.skip("LICENSE lies in the checkout only")
    assert (TEMPLATE / "LICENSE.txt").read_bytes() == licence.read_bytes()


def test_the_policy_names_the_hash_of_the_only_script_inside_the_page(page):
    text = (page / "index.html").read_text()
    (inside,) = [part.split("</script>")[0] for part in text.split('<script type="importmap">')[1:]]
    digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
    policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert f"script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "http" not in policy
    for path in json.loads(inside)["imports"].values():
        assert (page / path).is_file()


def test_nothing_in_the_page_points_elsewhere():
    for path in TEMPLATE.rglob("*"):
        if path.suffix in (".js", ".html", ".css"):
            text = path.read_text().replace("http://localhost:8000", "")
            assert "://" not in text and "innerHTML" not in text and "eval(" not in text, path


@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_the_copy_computes_the_files_integers_and_shows_every_spike(form, files):
    program = read(files[form])
    copy = watched(program)
    assert read(write(copy)).io == "float32" and copy.operators == program.operators
    shown = {copy.tensors[index].name for index in copy.outputs}
    assert shown >= {tensor.name for _, tensor in spike_tensors(program)}
    assert copy.outputs[: len(program.outputs)] == program.outputs
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.integers(-128, 128, (4, *program.tensors[index].shape[1:]), np.int8)
        for name, index in program.named_inputs.items()
    }
    renamed = dict(zip(copy.named_inputs, inputs.values(), strict=True))
    assert_outputs_equal(program.trace(inputs), write(copy), renamed)


@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_the_additions_that_the_page_counts_are_those_of_count_operations(form, files, litert, tmp_path):
    export_web(files[form], tmp_path, litert=litert)
    page, program = page_json(tmp_path), read(files[form])
    rng = np.random.default_rng(1)
    inputs = {
        name: rng.integers(-128, 128, (1, *program.tensors[index].shape[1:]), np.int8)
        for name, index in program.named_inputs.items()
    }
    trace = program.trace(inputs)
    copy = read((tmp_path / page["network"]).read_bytes())
    fed = {program.tensors[index].name: inputs[name] for name, index in program.named_inputs.items()}
    values = {"input": copy.inputs, "output": copy.outputs}
    added = 0
    for reader in page["readers"]:
        kind = "input" if reader["input"] is not None else "output"
        tensor = (fed | trace)[copy.tensors[values[kind][reader[kind]]].name]
        added += int(np.sum(np.repeat(reader["uses"], reader["channels"]) * (tensor.reshape(-1) != 0)))
    activity = measure(program, trace | {name: array for name, array in fed.items()})
    counts = count_operations(program, activity).total
    assert added == counts.additions_measured > 0
    assert page["work"] == {"additions": counts.additions, "multiply_accumulates": counts.multiply_accumulates}


def test_the_check_holds_what_program_computes_for_the_samples(model, files, litert, tmp_path):
    samples = np.random.default_rng(0).uniform(0, 1, (25, 8, 8, 1)).astype("float32")
    export_web(model, tmp_path, samples=samples, litert=litert, class_names=["a", "b", "c"])
    page, program = page_json(tmp_path), read(files["unrolled"])
    assert (page["check"]["samples"], page["classes"]) == (20, ["a", "b", "c"])
    rows = np.fromfile(tmp_path / "check.bin", np.int8).reshape(20, 64 + 3)
    integers = quantize_input(program, samples[:20])
    np.testing.assert_array_equal(rows[:, :64], integers.reshape(20, 64))
    np.testing.assert_array_equal(rows[:, 64:], program.run(integers))


def test_the_check_of_a_step_file_goes_on_from_call_to_call(files, litert, tmp_path):
    samples = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 1))
    export_web(files["step"], tmp_path, samples=samples, litert=litert)
    page = page_json(tmp_path)
    assert (page["calls"], page["limit"], page["endless"]) == (2, 2, False)
    last = np.fromfile(tmp_path / "check.bin", np.int8).reshape(2, 2, 64 + 3)[:, 1, 64:]
    whole = read(files["unrolled"])
    np.testing.assert_array_equal(last, whole.run(quantize_input(whole, samples)))


def test_names_of_anybody_are_text(files, litert, tmp_path):
    program = read(files["unrolled"])
    named = replace(program, name=HOSTILE, names={index: HOSTILE for index in program.outputs})
    export_web(write(named), tmp_path, class_names=[HOSTILE] * 3, litert=litert)
    texts = {path: path.read_text() for path in tmp_path.rglob("*") if path.suffix in (".html", ".js", ".css")}
    assert not [path for path, text in texts.items() if "onerror" in text]
    page = page_json(tmp_path)
    assert page["title"] == page["classes"][0] == HOSTILE.replace("\u202e", r"\u202e")
    assert [output["name"] for output in page["outputs"]] == [f"output{n}" for n in range(len(page["outputs"]))]


@pytest.mark.parametrize(
    "shape, sources",
    [
        ((8, 8, 1), ["drawing", "image", "camera", "samples"]),
        ((12, 10, 3), ["drawing", "image", "camera", "samples"]),
        ((64,), ["drawing", "image", "camera", "samples"]),
        ((49, 10, 1), ["microphone", "samples"]),
        ((16000,), ["microphone", "samples"]),
        ((6, 5, 2), ["samples"]),
        ((30, 1, 40), ["samples"]),
        ((10,), ["samples"]),
    ],
)
def test_sources_fit_the_shape_of_the_input(shape, sources):
    sound = sound_of(shape)
    fit = Fitting(shape, 1, None if sound else picture_of(shape, events=False), sound)
    assert list(fit.sources) == sources
    assert fit.shown["size"] == np.prod(shape)


def test_sources_are_chosen_or_refused(files, litert, tmp_path):
    export_web(files["unrolled"], tmp_path / "page", sources=["camera", "drawing"], litert=litert)
    assert page_json(tmp_path / "page")["sources"] == ["camera", "drawing"]
    for wrong in (["microfone"], [], ["camera", "nose"]):
        with pytest.raises(ValueError, match=r"`sources` must be some of those that fit an input of shape \(8, 8, 1\)"):
            export_web(files["unrolled"], tmp_path / "other", sources=wrong, litert=litert)
    assert not (tmp_path / "other").exists()


def test_a_folder_with_something_in_it_is_refused(files, litert, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="must be new or empty"):
        export_web(files["unrolled"], tmp_path, litert=litert)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("names", [["a"], ["a"] * 4])
def test_every_class_needs_a_name(names, files, litert, tmp_path):
    with pytest.raises(ValueError, match=rf"`class_names` must hold a name for each of the 3. Received: {len(names)}"):
        export_web(files["unrolled"], tmp_path / "page", class_names=names, litert=litert)
    assert [*tmp_path.iterdir()] == []


def test_a_file_of_another_tool_is_refused(litert, tmp_path, files):
    with pytest.raises(ValueError, match="must be one that `export_tflite` of this package wrote"):
        export_web(write(replace(read(files["unrolled"]), metadata={})), tmp_path / "page", litert=litert)


def test_a_folder_without_litert_js_is_refused_with_the_way_out(files, litert, tmp_path):
    incomplete = tmp_path / "incomplete"
    shutil.copytree(litert, incomplete)
    (incomplete / "node_modules/@litertjs/core/wasm/litert_wasm_internal.wasm").unlink()
    for folder, lacks in ((tmp_path, "no node_modules"), (incomplete, "no wasm/litert_wasm_internal.wasm")):
        with pytest.raises(ValueError, match=rf"{lacks}.*npm install @litertjs/core@{VERSION}"):
            export_web(files["unrolled"], tmp_path / "page", litert=folder)
    assert not (tmp_path / "page").exists()
    for inside in ("node_modules", "node_modules/@litertjs", "node_modules/@litertjs/core"):
        assert litert_js(litert / inside) == litert_js(litert)


def test_another_version_of_litert_js_is_taken_with_a_warning(litert, tmp_path):
    shutil.copytree(litert, tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules/@litertjs/core/package.json").write_text('{"version": "9.9.9"}')
    with pytest.warns(UserWarning, match=r"LiteRT.js 9\.9\.9 was not tested"):
        assert litert_js(tmp_path).version == "9.9.9"


def test_without_npm_the_way_out_is_named(files, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(ValueError, match=r"npm, which gets LiteRT\.js, was not found.*--litert FOLDER"):
        export_web(files["unrolled"], tmp_path / "page")
    assert not (tmp_path / "page").exists()


def npm_that(folder, monkeypatch, script):
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_what_npm_says_is_passed_on(tmp_path, monkeypatch):
    npm_that(tmp_path, monkeypatch, "echo 'npm error network unreachable' >&2; exit 1")
    with pytest.raises(ValueError, match=r"npm failed: npm error network unreachable\. Or run npm install"):
        litert_js()


def test_an_archive_that_is_not_the_tested_one_is_refused(tmp_path, monkeypatch):
    archive = f"litertjs-core-{VERSION}.tgz"
    packed = f"for word; do case $last in --pack-destination) echo x > $word/{archive};; esac; last=$word; done"
    npm_that(tmp_path, monkeypatch, packed)
    with pytest.raises(ValueError, match=rf"@litertjs/core {VERSION} must have the SHA-512 "):
        litert_js()


def test_the_command_writes_the_same_folder(page, files, litert, tmp_path, capsys):
    (tmp_path / "m.tflite").write_bytes(files["unrolled"])
    assert main(["web", str(tmp_path / "m.tflite"), "-o", str(tmp_path / "page"), "--litert", str(litert)]) == 0
    for path in page.rglob("*"):
        if path.is_file():
            assert (tmp_path / "page" / path.relative_to(page)).read_bytes() == path.read_bytes(), path
    assert f"python -m http.server --directory {tmp_path / 'page'} 8000" in capsys.readouterr().out
    assert main(["web", str(tmp_path / "m.tflite"), "-o", str(tmp_path / "page"), "--litert", str(litert)]) == 1
    assert "must be new or empty" in capsys.readouterr().err
