"""Every operator as C against Program.run: random shapes and values, all in one executable under both sanitizers."""

import numpy as np
import pytest

import random_programs as draw
from c_compilers import needs_compiler, run_checked
from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.program.operators import KINDS

EACH = 12


@needs_compiler
def test_every_operator_computes_in_c_what_program_computes():
    assert set(draw.RANDOM) == set(KINDS)
    rng = np.random.default_rng(0)
    programs = [draw_one(rng) for draw_one in draw.RANDOM.values() for _ in range(EACH)]
    cases = [(program, draw.random_inputs(rng, program)) for program in programs]
    for (program, inputs), outputs in zip(cases, run_checked(cases), strict=True):
        for name, values in program.trace(inputs).items():
            np.testing.assert_array_equal(outputs[name], values, err_msg=program.operators[0].kind)


def test_an_accumulator_that_can_tie_is_refused():
    builder = Builder()
    image = builder.activation("in", (2,), Grid(1.0))
    kernel = builder.constant("layer/kernel", np.ones((1, 2), np.int8), 0.5)
    bias = builder.constant("layer/bias", np.zeros(1, np.int32), 0.5)
    output = builder.emit("FULLY_CONNECTED", (image, kernel, bias), "out", (1,), Grid(1.0))
    with pytest.raises(ValueError, match=r"midway between two steps of 'out'.*export_tflite"):
        design(builder.program("tie", (image,), (output,)), "tie")
