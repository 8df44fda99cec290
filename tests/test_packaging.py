"""The wheel and the source distribution hold both packages and work away from the checkout."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("keras_ternary_spike", "export", "setup.py", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.skipif(
    not (ROOT / "export" / "exporter.py").exists(), reason="needs the checkout to build a wheel from"
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what is packaged: building in the checkout would leave files there."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source):
    pip(source, "wheel", ".", "--no-deps", "--wheel-dir", "dist")
    return next((source / "dist").glob("*.whl"))


def pip(folder, *arguments):
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    run(folder, "-m", "pip", *arguments[:1], *quiet, *arguments[1:])


def run(folder, *arguments):
    result = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_wheel_holds_every_module_under_the_name_it_is_imported_by(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    core = {path.relative_to(ROOT).as_posix() for path in (ROOT / "keras_ternary_spike").rglob("*.py")}
    export = {f"keras_ternary_spike/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "export").rglob("*.py")}
    assert held == core | export


def test_the_wheel_holds_every_kernel_and_every_file_of_layouts_and_pages(wheel):
    found = (path for room in ("c_code", "web") for path in (ROOT / "export" / room).rglob("*"))
    kept = [path for path in found if path.is_file() and "__pycache__" not in path.parts]
    expected = {f"keras_ternary_spike/{path.relative_to(ROOT).as_posix()}" for path in kept}
    assert expected <= {*zipfile.ZipFile(wheel).namelist()}


def test_the_wheel_holds_every_trained_file(wheel):
    trained = {path.relative_to(ROOT).as_posix() for path in (ROOT / "keras_ternary_spike/models/trained").iterdir()}
    assert trained and trained <= {*zipfile.ZipFile(wheel).namelist()}


def test_the_wheel_tells_type_checkers_that_it_is_typed(wheel):
    assert "keras_ternary_spike/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_names_its_licence_and_its_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert any(name.endswith("LICENSE") for name in names)
    assert "keras-ternary-spike = keras_ternary_spike.export.__main__:main" in entry_points


def test_the_installed_wheel_is_imported_from_another_directory(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip(elsewhere, "install", "--no-deps", "--target", str(target), str(wheel))
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import keras_ternary_spike, keras_ternary_spike.export as export\n"
        "assert callable(export.export_tflite) and callable(export.verify)\n"
        "print(keras_ternary_spike.__file__, export.__file__, keras_ternary_spike.TernaryLIF.__name__, sep='\\n')"
    )
    package, exporter, layer = run(elsewhere, "-c", code).split()
    assert Path(package) == target / "keras_ternary_spike" / "__init__.py"
    assert Path(exporter) == target / "keras_ternary_spike" / "export" / "__init__.py"
    assert layer == "TernaryLIF"


@pytest.mark.extended
def test_the_source_distribution_builds_the_same_wheel(source, wheel, tmp_path):
    pytest.importorskip("build", reason="builds the source distribution")
    run(source, "-m", "build", "--sdist", "--outdir", "dist")
    archive = next((source / "dist").glob("*.tar.gz"))
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    unpacked = next(path for path in tmp_path.iterdir() if path.is_dir())
    pip(unpacked, "wheel", ".", "--no-deps", "--wheel-dir", "dist")
    rebuilt = next((unpacked / "dist").glob("*.whl"))
    assert sorted(zipfile.ZipFile(rebuilt).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_public_names_are_functions_once_their_modules_are_loaded(python):
    code = "from keras_ternary_spike.export import export_tflite, fold; print(fold.__name__, callable(fold))"
    assert python.run("-c", code, folder=ROOT).stdout.split() == ["fold", "True"]
