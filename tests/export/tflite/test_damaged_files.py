"""Damaged files: a ValueError, or a program that every runtime runs; never another error, a crash or a hang."""

from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.files import fuzz
from benchmarks.files.strict_reader import KERNEL_AXES, faults
from foreign_files import repacked
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.tflite.flatbuffer import read, write
from random_programs import weighted

OLD_FILE = Path(__file__).parents[1] / "program" / "version_0_1_0.tflite"
COUNT = 150  # of all damaged files; some 10,000 are tried by `python -m benchmarks.files.fuzz`


def test_damaged_files_are_refused_or_run(tmp_path):
    for seed, kind in enumerate(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")):
        (tmp_path / f"{kind}.tflite").write_bytes(write(weighted(np.random.default_rng(seed), kind)))
    (tmp_path / "whole.tflite").write_bytes(OLD_FILE.read_bytes())
    files = sorted(tmp_path.iterdir())
    fuzz.preload(files)
    counts, wrong = fuzz.run(files, range(COUNT))
    assert not wrong
    assert sum(counts.values()) == COUNT
    assert counts["refused"] > COUNT // 4 and counts["runs"] + counts["runs, same file"] > COUNT // 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: setattr(graph.tensors[3], "isVariable", True), "isVariable of .* must be False. Received: True"),
        (lambda graph: setattr(graph.tensors[0], "shapeSignature", np.int32([1, -1])), "must have the shape"),
        (lambda graph: setattr(graph.operators[0], "customOptions", np.uint8([1])), "customOptions of .* None"),
        (lambda graph: setattr(graph.tensors[0].quantization, "zeroPoint", np.int64([2**31])), "-128 to 127"),
    ],
)
def test_fields_that_no_program_has_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        read(repacked(OLD_FILE.read_bytes(), lambda model: change(model.subgraphs[0])))


def one_scale(axis):
    """A depthwise convolution whose channels share a scale."""
    builder, grid = Builder(), Grid(0.5)
    image = builder.activation("image", (2, 2, 3), grid)
    kernel = builder.constant("layer/kernel", np.ones((1, 1, 1, 3), np.int8), 1.0, channel_axis=axis)
    operands = (image, kernel, builder.constant("layer/bias", np.zeros(3, np.int32), 0.5))
    options = dict.fromkeys(("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor", "depth_multiplier"), 1)
    options |= {"padding": "VALID"}
    output = builder.emit("DEPTHWISE_CONV_2D", operands, "layer/current", (2, 2, 3), grid, options=options)
    return write(builder.program("one scale", (image,), (output,)))


def test_one_scale_has_the_dimension_0():
    """The schema's default: Apache TVM refuses others of a depthwise kernel with a single scale."""
    assert faults(one_scale(axis=3)) == []
    old = repacked(
        one_scale(axis=3), lambda m: setattr(m.subgraphs[0].tensors[1].quantization, "quantizedDimension", 3)
    )
    assert faults(old) == ["layer/kernel: one scale along dimension 3"]
    assert read(old).tensors[1].channel_axis == 0


@pytest.mark.parametrize("kind", KERNEL_AXES)
def test_files_keep_the_rules_of_the_schema_and_of_the_specification(kind):
    for seed in range(20):
        assert faults(write(weighted(np.random.default_rng(seed), kind))) == []


@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_exported_networks_keep_the_rules_too(form):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            DirectEncoding(2),
            PerTimestep(keras.layers.SeparableConv2D(3, 3, padding="same")),
            TernaryLIF(),
            PerTimestep(keras.layers.AveragePooling2D(2)),
            PerTimestep(keras.layers.Flatten()),
            PerTimestep(keras.layers.Dense(4)),
            TimeAverage(),
        ]
    )
    assert faults(export_tflite(model, form=form, output_range=(-9, 9))) == []
