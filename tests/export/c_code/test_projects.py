"""Layouts for build systems: each builds as its tool would build it, as far as it can be without that tool."""

import json
import shutil
import subprocess

import numpy as np
import pytest

import random_programs as draw
from benchmarks.boards import emulator
from c_compilers import WARNINGS, needs_compiler
from keras_ternary_spike.export import export_c
from keras_ternary_spike.export.c_code.projects.layouts import PROJECTS
from keras_ternary_spike.export.tflite import flatbuffer

# What Arduino's core declares, as far as the sketch uses it; its main() calls setup() once and loop() for ever.
ARDUINO_H = """
#include <stdio.h>
#define HIGH 1
#define LOW 0
#define OUTPUT 1
struct Port {
    void begin(long) {}
    void print(const char *text) { printf("%s", text); }
    void println(unsigned long number) { printf("%lu\\n", number); }
};
static Port Serial;
static void pinMode(int, int) {}
static void digitalWrite(int, int) {}
static void delay(unsigned long) {}
static unsigned long micros() { return 0; }
"""
ARDUINO_MAIN = "int main() { setup(); loop(); return 0; }\n"
ESP_MAIN = "void app_main(void); int main(void) { app_main(); return 0; }\n"


@pytest.fixture
def written(tmp_path):
    def write(project):
        program = draw.weighted(np.random.default_rng(0), "CONV_2D", shape=(4, 3, 2))
        export_c(flatbuffer.write(program), tmp_path / "out", name="kws", project=project)
        return tmp_path / "out"

    return write


def printed(folder, *command):
    subprocess.run([*command, "-o", "program"], cwd=folder, check=True)
    return subprocess.run([folder / "program"], capture_output=True, text=True, check=True).stdout


def texts(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("project", PROJECTS)
def test_every_placeholder_is_the_networks_name(written, project):
    found = texts(written(project))
    assert {"kws.json"} < {*found}
    assert not [path for path, text in found.items() if "@NAME" in path + text or "@UPPER" in text]


@pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("cc")), reason="needs cmake and a C compiler")
def test_cmake_builds_the_library_and_ctest_passes(written):
    folder = written("cmake")
    subprocess.run(["cmake", "-S", ".", "-B", "build"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", "build"], cwd=folder, check=True, capture_output=True)
    run = subprocess.run(["ctest"], cwd=folder / "build", capture_output=True, text=True)
    assert "100% tests passed, 0 tests failed out of 1" in run.stdout


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="needs gcc and g++")
def test_the_arduino_sketch_runs_on_a_stub_of_the_core(written):
    folder = written("arduino")
    sketch = folder / "examples" / "kws_board"
    (folder / "Arduino.h").write_text(ARDUINO_H)
    (folder / "sketch.cpp").write_text(f"#include <Arduino.h>\n{(sketch / 'kws_board.ino').read_text()}{ARDUINO_MAIN}")
    sources = ["src/kws.c", "examples/kws_board/kws_selftest.c"]
    subprocess.run(["gcc", "-DARDUINO=10800", "-Isrc", "-c", *sources], cwd=folder, check=True)
    run = printed(folder, "g++", "-I.", "-Isrc", "-DARDUINO=10800", "sketch.cpp", "kws.o", "kws_selftest.o")
    assert run.startswith("PASS, microseconds of the whole self-test: ")


@needs_compiler
def test_platformio_compiles_src_and_every_library(written):
    folder = written("platformio")
    assert json.loads((folder / "lib/kws/library.json").read_text())["name"] == "kws"
    run = printed(folder, "cc", *WARNINGS, "-Ilib/kws/src", "lib/kws/src/kws.c", "src/kws_selftest.c")
    assert run == "PASS: 0 of 3 sequences differ\n"


@needs_compiler
def test_zephyr_compiles_the_module_and_its_sample(written):
    folder = written("zephyr")
    assert "zephyr_library_sources(src/kws.c)" in (folder / "CMakeLists.txt").read_text()
    assert "config KWS\n" in (folder / "Kconfig").read_text()
    assert "CONFIG_KWS=y\n" in (folder / "samples/selftest/prj.conf").read_text()
    run = printed(folder, "cc", *WARNINGS, "-Iinclude", "src/kws.c", "samples/selftest/src/kws_selftest.c")
    assert run == "PASS: 0 of 3 sequences differ\n"


@pytest.mark.skipif(
    bool(emulator.missing(emulator.BOARDS["riscv"])), reason=f"needs {emulator.missing(emulator.BOARDS['riscv'])}"
)
def test_the_esp_idf_project_runs_on_a_risc_v(written):
    folder = written("esp-idf")
    (folder / "start.c").write_text(ESP_MAIN)
    sources = [folder / path for path in ("start.c", "main/main.c", "main/kws_selftest.c", "components/kws/kws.c")]
    options = (*emulator.STANDARD, f"-I{folder}/components/kws/include", "-DKWS_WITHOUT_MAIN")
    image = emulator.build(emulator.BOARDS["riscv"], sources, folder / "image.elf", options=options)
    assert emulator.run(emulator.BOARDS["riscv"], image) == "PASS\n"


def test_unknown_layouts_are_refused_and_nothing_is_written(written, tmp_path):
    with pytest.raises(ValueError, match=r"`project` must be one of cmake, arduino, .* Received: project='keil'"):
        written("keil")
    assert list(tmp_path.iterdir()) == []
