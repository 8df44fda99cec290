"""What is read from Vela: its tables, its warnings, and its failures."""

from pathlib import Path

import numpy as np
import pytest

from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.targets import vela
from keras_ternary_spike.export.tflite.flatbuffer import write

SCALE = np.float32(1)
LOG = """Warning: No memory mode specified. Using a default of Shared_Sram.
Warning (supported operators) operator: MUL, ofm: 'b/square/0'
Reason: Operation has tensor with unsupported DataType Float32 (b/in)
Feature-map dataTypes must be one of {"INT16", "INT8"}

################################################################################
Warning (supported operators) operator: CONV_2D, ofm: 'c/current'
 - Stride values must be in the range [1, 3]

CPU operators = 2 (25.0%)
"""


@pytest.fixture(scope="module")
def tflite_bytes():
    tensors = [Tensor(name, (1, 4, 4, 8), SCALE) for name in ("in", "a/sum", "b/square")]
    operators = (Operator("ADD", (0, 0), 1, activation="RELU_N1_TO_1"), Operator("MUL", (1, 1), 2))
    return write(Program("two", tuple(tensors), operators, (0,), (2,)))


def test_an_activation_is_an_operator_of_its_own(tflite_bytes):
    compilation = vela.compile_file(tflite_bytes, accelerator="ethos-u55-32")
    assert [(row.name, row.where) for row in compilation.rows] == [
        ("a/sum", "NPU"),
        ("a/sum", "NPU"),
        ("b/square", "NPU"),
    ]
    assert compilation.facts["npu_operators"] == 3
    assert compilation.reasons == {}


def test_an_operator_kept_off_the_npu_is_on_the_cpu(tflite_bytes):
    compilation = vela.compile_file(tflite_bytes, accelerator="ethos-u85-256", options=("--ignore-ops", "MUL"))
    assert {row.name: row.where for row in compilation.rows} == {"a/sum": "NPU", "b/square": "CPU"}
    assert (compilation.facts["npu_operators"], compilation.facts["cpu_operators"]) == (2, 1)


def test_memory_is_in_bytes_and_holds_the_tensors(tflite_bytes):
    facts = vela.compile_file(tflite_bytes, accelerator="ethos-u65-256").facts
    used = [facts[f"{memory}_bytes"] for memory in vela.MEMORIES]
    assert all(isinstance(size, int) for size in used)
    assert sum(used) >= 2 * 128  # input and output of 4 * 4 * 8 bytes are alive at once


def test_the_reasons_of_a_warning_are_joined():
    assert vela._reasons(LOG) == {
        "b/square/0": "Operation has tensor with unsupported DataType Float32 (b/in) "
        'Feature-map dataTypes must be one of {"INT16", "INT8"}',
        "c/current": "- Stride values must be in the range [1, 3]",
    }


def test_a_file_that_takes_vela_down_is_an_error(tflite_bytes):
    with pytest.raises(ValueError, match="Vela refuses the file: "):
        vela.compile_file(tflite_bytes[:200], accelerator="ethos-u55-32")


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", 'a",\n"b'])
def test_a_line_break_in_a_name_is_an_error_that_says_so(name):
    tensors = (Tensor("in", (1, 4, 4, 8), SCALE), Tensor(name, (1, 4, 4, 8), SCALE))
    named = write(Program("named", tensors, (Operator("ADD", (0, 0), 1),), (0,), (1,)))
    with pytest.raises(ValueError, match="names of tensors must hold no line breaks"):
        vela.compile_file(named, accelerator="ethos-u55-32")


def test_nothing_is_left_behind(tflite_bytes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vela.tempfile, "tempdir", str(tmp_path))
    vela.compile_file(tflite_bytes, accelerator="ethos-u55-32")
    assert list(Path(tmp_path).iterdir()) == []


def test_a_release_that_writes_no_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Vela wrote no \*_per-layer.csv.*not supported"):
        vela._table(str(tmp_path), "*_per-layer.csv")
