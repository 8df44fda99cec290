"""Every block of code, every command and every program that the pages show is run, or says why it is not."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from keras_ternary_spike.export import export_c
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.sweep.config import load_toml, read_config
from pages.blocks import PAGES, ROOT, blocks, named_programs, our_commands, run, to_run
from pages.names import COMMON, names_for, two_inputs, write_nir

NOT_RUN = {
    "docs/events.md": 1,
    "docs/gallery.md": 1,
    "docs/imports.md": 1,
    "docs/onnx.md": 1,
    "docs/streaming.md": 2,
    "docs/sweep.md": 1,
}
LANGUAGES = ("python", "sh", "toml", "c", "")  # without a language: what something prints
CODE = [page for page in PAGES[1:] if to_run(page, "python")]  # README: tests/test_readme.py
COMMANDS = [page for page in PAGES if any(any(our_commands(block)) for block in to_run(page, "sh"))]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder with the files that commands are shown with."""
    folder, names = tmp_path_factory.mktemp("shipped"), COMMON()
    names["model"].save(folder / "model.keras")
    (folder / "model.tflite").write_bytes(names["tflite_bytes"])
    np.savez(folder / "samples.npz", samples=names["samples"])
    write_nir(folder / "network.nir")
    return folder


@pytest.mark.extended
@pytest.mark.parametrize("page", CODE)
def test_python_blocks_of_a_page_run_one_after_another(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = names_for(page)
    if any("export_web(" in block.text for block in to_run(page, "python")) and shutil.which("npm") is None:
        pytest.skip("npm is not installed: export_web needs LiteRT.js")
    for block in to_run(page, "python"):
        run(block, names)


@pytest.mark.extended
@pytest.mark.parametrize("page", COMMANDS)
def test_commands_of_a_page_run_one_after_another(page, shipped, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/Arduino/libraries").mkdir(parents=True)  # as Arduino's tools leave it
    for number, block in enumerate(to_run(page, "sh")):
        folder = shutil.copytree(shipped, tmp_path / str(number))
        if "--input-range-of" in block.text:
            two = two_inputs()
            two["model"].save(folder / "model.keras")
            np.savez(folder / "samples.npz", image=two["images"], motion=two["motions"])
        monkeypatch.chdir(folder)
        for arguments in our_commands(block):
            if arguments[0] == "web" and shutil.which("npm") is None:
                pytest.skip("npm is not installed: the command web needs LiteRT.js")
            assert main([str(Path(word).expanduser()) for word in arguments]) == 0, capsys.readouterr().err


@pytest.mark.extended
@pytest.mark.parametrize("page", [page for page in PAGES if to_run(page, "c")])
def test_c_of_a_page_compiles_beside_a_network(page, shipped, tmp_path):
    compiler = shutil.which("gcc") or pytest.skip("gcc is not installed")
    export_c((shipped / "model.tflite").read_bytes(), tmp_path / "kws", name="kws")
    for block in to_run(page, "c"):
        include, rest = block.text.split("\n", 1)
        (tmp_path / "kws/main.c").write_text(f"{include}\nint main(void) {{\n{rest}return 0;\n}}\n")
        sources = sorted(str(path) for path in (tmp_path / "kws").glob("*.c") if "selftest" not in path.name)
        subprocess.run([compiler, "-std=c99", "-Wall", "-Werror", *sources, "-o", tmp_path / "board"], check=True)
        subprocess.run([tmp_path / "board"], check=True)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")])
def test_configurations_of_a_page_are_taken(page, tmp_path):
    for block in blocks(page, "toml"):
        (tmp_path / "sweep.toml").write_text(block.text)
        assert read_config(tmp_path / "sweep.toml").points


@pytest.mark.parametrize("page", PAGES)
def test_every_program_that_a_page_names_stands_there_and_knows_its_options(page):
    for name, options in named_programs(page):
        source = Path(find_spec(name).origin) if name.startswith("benchmarks.") else ROOT / name
        assert source.exists(), name
        shared = (*source.parent.glob("*.py"), *(ROOT / "examples").glob("*.py"))  # benchmarks take options of examples
        known = "".join(path.read_text() for path in shared)
        assert [option for option in options if f'"{option}"' not in known] == [], name


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_has_a_language_that_the_tests_know(page):
    fences = re.findall(r"^```(\w*)$", (ROOT / page).read_text(), re.M)[::2]
    assert len(blocks(page, *LANGUAGES)) == len(fences)


def test_blocks_that_no_test_runs_are_counted():
    """One more needs a better reason than being hard to run."""
    found = {page: sum(block.reason is not None for block in blocks(page, *LANGUAGES)) for page in PAGES}
    assert {page: count for page, count in found.items() if count} == NOT_RUN


def test_the_gallery_shows_every_picture_of_the_pages():
    pictures = sorted(path.name for path in (ROOT / "docs/pictures").iterdir())
    shown = re.findall(r"!\[[^]]{20,}\]\(pictures/([\w.]+)\)", (ROOT / "docs/gallery.md").read_text())
    assert sorted(shown) == pictures


def test_the_page_on_installing_names_every_extra():
    project = load_toml().loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs/install.md").read_text(), re.M)
    assert sorted(named) == sorted(project["optional-dependencies"])
