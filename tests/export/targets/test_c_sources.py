"""The C++ for TFLite Micro: the same bytes, the right operators, an arena that suffices, states carried over.

No package registry has TFLite Micro's headers: what includes them is compiled against minimal declarations here.
"""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.targets import c_sources as carray
from keras_ternary_spike.export.targets.c_sources import c_sources
from keras_ternary_spike.export.tflite.flatbuffer import write

STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers")
compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

DUMP = """
#include <stdio.h>
#include "model_data.h"
int main() { return fwrite(g_model_data, 1, g_model_data_size, stdout) == sizeof(g_model_data) ? 0 : 1; }
"""
DECLARATIONS = {
    "lite/c/common.h": """
#pragma once
#include <cstddef>
#include <cstdint>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor {
  struct { int8_t* int8; } data;
  struct { float scale; int32_t zero_point; } params;
  size_t bytes;
};
""",
    "lite/micro/micro_mutable_op_resolver.h": """
#pragma once
#include "tensorflow/lite/c/common.h"
namespace tflite {
template <unsigned int size>
struct MicroMutableOpResolver {
  unsigned int used = 0;
  TfLiteStatus Add() { return used++ < size ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus AddAdd() { return Add(); }
  TfLiteStatus AddMul() { return Add(); }
};
}
""",
    "lite/micro/micro_log.h": """
#pragma once
#include <cstdio>
#define MicroPrintf(...) (std::printf(__VA_ARGS__), std::printf("\\n"))
""",
    "lite/micro/system_setup.h": "namespace tflite { inline void InitializeTarget() {} }",
    "lite/schema/schema_generated.h": """
#pragma once
#define TFLITE_SCHEMA_VERSION 3
namespace tflite {
struct Model { int version() const { return 3; } };
inline const Model* GetModel(const void*) { static Model model; return &model; }
}
""",
    # Stands in for the file of `stepper`: two states that grow by the sample, all tensors in one piece of memory
    # and the outputs in the inputs' places but for the order, as a memory planner may lay them out.
    "lite/micro/micro_interpreter.h": """
#pragma once
#include <cstring>
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/schema/schema_generated.h"
namespace tflite {
struct MicroInterpreter {
  int8_t memory[10];
  TfLiteTensor inputs[3], outputs[3];
  template <class Resolver>
  MicroInterpreter(const Model*, const Resolver&, uint8_t*, size_t) {
    inputs[0] = {{memory}, {1.0f, 7}, 4};
    inputs[1] = {{memory + 4}, {1.0f, 5}, 2};
    inputs[2] = {{memory + 6}, {1.0f, -3}, 4};
    outputs[0] = {{memory + 4}, {1.0f, -3}, 4};
    outputs[1] = {{memory}, {1.0f, 0}, 4};
    outputs[2] = {{memory + 8}, {1.0f, 5}, 2};
  }
  TfLiteStatus AllocateTensors() { std::memset(memory, 99, 10); return kTfLiteOk; }
  size_t arena_used_bytes() { return 10; }
  TfLiteTensor* input(size_t i) { return inputs + i; }
  TfLiteTensor* output(size_t i) { return outputs + i; }
  TfLiteStatus Invoke() {
    int8_t x = inputs[0].data.int8[0], a[2], b[4], sum = 0;
    for (int i = 0; i < 2; ++i) a[i] = inputs[1].data.int8[i] + x;
    for (int i = 0; i < 4; ++i) { b[i] = inputs[2].data.int8[i] + x; sum += b[i]; }
    std::memcpy(outputs[2].data.int8, a, 2);
    std::memcpy(outputs[0].data.int8, b, 4);
    int8_t result[4] = {sum, static_cast<int8_t>(a[0] + a[1]), 0, 0};
    std::memcpy(outputs[1].data.int8, result, 4);
    return kTfLiteOk;
  }
};
}
""",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in DECLARATIONS.items():
        path = tmp_path / "tensorflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def tensor(name, shape, zero_point=0):
    return Tensor(name, shape, np.float32(1), zero_point)


@pytest.fixture(scope="module")
def tflite_bytes():
    tensors = tuple(tensor(name, (1, 4, 4, 2)) for name in ("in", "a/sum", "b/square", "c/sum"))
    operators = (Operator("ADD", (0, 0), 1), Operator("MUL", (1, 1), 2), Operator("ADD", (2, 0), 3))
    return write(Program("three \\\n*/ operators", tensors, operators, (0,), (3,)))


@pytest.fixture(scope="module")
def stepper():
    """Two states, neither input nor output in the order of the other."""
    inputs = (tensor("in", (1, 4), 7), tensor("state_in/a", (1, 2), 5), tensor("state_in/b", (1, 4), -3))
    outputs = (tensor("state_out/b", (1, 4), -3), tensor("scores", (1, 4)), tensor("state_out/a", (1, 2), 5))
    operators = (Operator("ADD", (2, 2), 3), Operator("MUL", (0, 0), 4), Operator("ADD", (1, 1), 5))
    return Program("stepper", inputs + outputs, operators, (0, 1, 2), (3, 4, 5))


def built(folder, sources, *options):
    """Compiles all .cc files and returns what the program prints."""
    for name, text in sources.items():
        (folder / name).write_text(text)
    files = [name for name in sources if name.endswith(".cc")]
    command = ["g++", *STRICT, "-I.", *files, "-o", "program", *options]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return subprocess.run(["./program"], cwd=folder, capture_output=True, check=True, timeout=20).stdout


@compiler
def test_the_compiled_array_is_the_file_byte_for_byte(tflite_bytes, folder):
    sources = c_sources(tflite_bytes)
    array = {name: sources[name] for name in ("model_data.cc", "model_data.h")}
    assert built(folder, array | {"dump.cc": DUMP}) == tflite_bytes


@compiler
def test_the_loop_compiles_and_ends_against_minimal_declarations_of_tflite_micro(tflite_bytes, folder):
    printed = built(folder, c_sources(tflite_bytes)).decode().splitlines()
    assert printed[0].startswith("arena: 10 of ")
    assert len(printed) == 2  # one sample, one result


@compiler
def test_the_step_loop_carries_states_over_in_minimal_declarations_of_tflite_micro(stepper, folder):
    sources = c_sources(write(stepper))
    three = sources["main.cc"].replace("static bool more = true;", "static int more = 3;").replace("= false;", "-= 1;")
    shown = three.replace(
        '"output %d: largest at %d", index, static_cast<int>(largest)', '"%d %d", (output->data.int8[0]), (a1)'
    )
    shown = shown.replace("size_t largest = 0;", "size_t largest = 0; const int a1 = output->data.int8[1];")
    printed = built(folder, sources | {"main.cc": shown}).decode().splitlines()
    # x = 7 a step: b starts at 4 times -3, a at 2 times 5; sums grow by 28 and by 14.
    assert printed[1:] == ["16 24", "44 38", "72 52"]


def test_the_step_loop_pairs_states_by_name(stepper):
    assert carray.state_rows(stepper) == ["    {1, 2, 0, 2, 5},", "    {2, 0, 2, 4, -3},"]
    assert carray.state_bytes(stepper) == 6
    assert "kInputs[] = {\n    0,  // in: 4\n};" in c_sources(write(stepper))["main.cc"]
    assert "kOutputs[] = {\n    1,  // scores: 4\n};" in c_sources(write(stepper))["main.cc"]


def test_a_state_without_a_partner_is_refused(stepper):
    with pytest.raises(ValueError, match=r"an output of one shape\. Received: 'state_in/a'"):
        carray.state_rows(replace(stepper, outputs=(3, 4)))


@compiler
def test_the_loop_lists_all_inputs_and_outputs_by_name_and_feeds_each(folder):
    inputs = (tensor("in", (1, 4), 7), tensor("in_2", (1, 2), 5), tensor("in_3", (1, 4)))
    outputs = (tensor("a/sum", (1, 4)), tensor("b/sum", (1, 4)), tensor("c/sum", (1, 2)))
    operators = (Operator("ADD", (0, 2), 3), Operator("MUL", (0, 0), 4), Operator("ADD", (1, 1), 5))
    names = {0: "image\n*/", 1: "motion", 3: "class", 4: "b", 5: "c"}
    program = Program("three", inputs + outputs, operators, (0, 1, 2), (3, 4, 5), names=names)
    sources = c_sources(write(program))
    assert "    0,  // image??/: 4\n    1,  // motion: 2\n    2,  // in_3: 4\n" in sources["main.cc"]
    assert "    0,  // class: 4\n    1,  // b: 4\n    2,  // c: 2\n" in sources["main.cc"]
    printed = built(folder, sources).decode().splitlines()
    # The declarations compute from zeros, 7, 5 and -3: b = (4, 4, 4, 4), result = (16, 24, 0, 0), a = (12, 12).
    assert printed[1:] == ["output 0: largest at 0", "output 1: largest at 1", "output 2: largest at 0"]


def test_the_unrolled_loop_has_no_states(tflite_bytes):
    assert "State" not in c_sources(tflite_bytes)["main.cc"]


def test_the_resolver_registers_every_kind_once_in_the_order_of_the_file(tflite_bytes):
    text = c_sources(tflite_bytes)["model_data_ops.h"]
    assert re.findall(r"resolver\.(Add\w+)\(\)", text) == ["AddAdd", "AddMul"]
    assert "MicroMutableOpResolver<2>" in text


def test_the_arena_is_the_measured_one_and_an_eighth_and_a_kibibyte():
    assert carray.arena_values(8000) == {"measured": 8000, "margin": 2032, "arena": 10032}
    assert carray.arena_values(8001)["arena"] % 16 == 0


def test_tflite_micro_runs_in_the_stated_arena_but_not_in_half_of_it(tflite_bytes):
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="needs the extra tflm")
    header = c_sources(tflite_bytes)["model_data.h"]
    arena = int(re.search(r"kModelDataArenaBytes = (\d+);", header)[1])
    measured = int(re.search(r": (\d+) measured", header)[1])
    assert measured < arena < 2 * measured + 1024
    runtime.Interpreter.from_bytes(tflite_bytes, arena_size=arena)
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(tflite_bytes, arena_size=measured // 2)


def test_a_hostile_network_name_stays_in_its_comment(tflite_bytes):
    for text in c_sources(tflite_bytes).values():
        assert text.splitlines()[0] == "// three ??*/ operators".replace("*", "?")


@pytest.mark.parametrize("name", ["", "Model", "2fast", "a-b", "a b", 'x"'])
def test_a_name_that_is_no_identifier_is_refused(name, tflite_bytes):
    with pytest.raises(ValueError, match="`name` must be lower-case letters"):
        c_sources(tflite_bytes, name=name)


def test_a_truncated_file_is_refused(tflite_bytes):
    with pytest.raises(ValueError, match="truncated or corrupt"):
        c_sources(tflite_bytes[:-60])


def test_the_command_writes_four_files_and_keeps_the_users_main(tflite_bytes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(tflite_bytes)
    assert main(["c-array", "m.tflite", "-o", "net.cc"]) == 0
    sources = c_sources(tflite_bytes, name="net")
    assert {path.name: path.read_text() for path in tmp_path.glob("*.[ch]*")} == sources
    (tmp_path / "main.cc").write_text("mine")
    assert main(["c-array", "m.tflite", "-o", "net.cc"]) == 0
    assert (tmp_path / "main.cc").read_text() == "mine"
    assert "main.cc: kept" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["main.cc", "net.txt", "net", "nowhere/net.cc", "Net.cc"])
def test_an_output_that_cannot_be_is_one_line_and_writes_nothing(output, tflite_bytes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(tflite_bytes)
    assert main(["c-array", "m.tflite", "-o", output]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]
