"""What a file says of itself: everything that it holds, and nothing that could harm a terminal."""

from dataclasses import replace

import numpy as np
import pytest

from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.tflite.flatbuffer import pack, write
from keras_ternary_spike.export.tflite.inspection import inspect

METADATA = {
    "network": "two",
    "timesteps": 3,
    "input_range": [0.0, 255.0],
    "neurons": [{"name": "lif", "levels": [-1, 0, 1], "decay": "16/63"}, {"name": "other", "steps_per_unit": 201}],
    "notes": ["softmax is left out.", "second note."],
}
BIAS = np.full((1, 4), 5, np.int8)


@pytest.fixture
def program():
    tensors = (
        Tensor("image", (1, 4), np.float32(0.5), -128),
        Tensor("lif/bias", (1, 4), np.float32(0.5), data=BIAS),
        Tensor("lif/spike/0", (1, 4), np.float32(1)),
    )
    operators = (Operator("ADD", (0, 1), 2, activation="RELU_N1_TO_1"),)
    return Program("two", tensors, operators, (0,), (2,), METADATA, names={2: "class"})


def test_everything_in_the_file_is_printed(program):
    size = len(write(program))
    assert [line.split() for line in inspect(write(program)).splitlines() if line] == [
        ["two:", f"{size:,}", "bytes,", "1", "operators"],
        ["network", "two"],
        ["timesteps", "3"],
        ["input", "range", "0,", "255"],
        ["notes", "softmax", "is", "left", "out."],
        ["notes", "second", "note."],
        ["neurons:"],
        ["name", "levels", "decay", "steps", "per", "unit"],
        ["lif", "-1,", "0,", "1", "16/63"],
        ["other", "201"],
        ["name", "tensor", "type", "shape", "scale", "zero", "point"],
        ["input", "image", "image", "int8", "1x4", "0.5", "-128"],
        ["output", "class", "lif/spike/0", "int8", "1x4", "1", "0"],
        ["operator", "activation", "writes", "shape", "scale", "constants"],
        ["0", "ADD", "RELU_N1_TO_1", "lif/spike/0", "1x4", "1", "4", "bytes"],
    ]


def test_a_file_without_our_metadata_says_so(program):
    assert "no metadata: written by another program" in inspect(write(replace(program, metadata={})))


def test_the_ranges_of_several_inputs_are_one_line(program):
    metadata = {"input_range": {"image": [0.0, 255.0], "motion": [-1.0, 1.0]}}
    lines = [line.split() for line in inspect(write(replace(program, metadata=metadata))).splitlines()]
    assert ["input", "range", "image", "0,", "255;", "motion", "-1,", "1"] in lines


@pytest.mark.parametrize("metadata", [[1, 2], "text", 7, {"neurons": [{}]}, {"notes": [[], {}, None]}, {"a": {"b": 1}}])
def test_any_metadata_is_printed(program, metadata):
    assert "RELU_N1_TO_1" in inspect(write(replace(program, metadata=metadata)))


def test_control_characters_do_not_reach_the_terminal(program):
    tensors = (replace(program.tensors[0], name="\x1b[31mred\x07"), *program.tensors[1:])
    text = inspect(write(replace(program, tensors=tensors, name="a\nb")))
    assert r"\x1b[31mred\x07" in text
    assert text.startswith("a\\nb: ")


def test_scales_per_channel_are_a_range(program):
    scales = np.float32([0.25, 0.5, 0.5, 2])
    tensors = (*program.tensors[:2], replace(program.tensors[2], scale=scales, channel_axis=1))
    assert "0.25 to 2" in inspect(pack(replace(program, tensors=tensors)))


def test_a_truncated_file_is_refused(program):
    with pytest.raises(ValueError, match="truncated or corrupt"):
        inspect(write(program)[:-60])
