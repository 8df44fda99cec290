"""Every operator as ONNX against Program.run: random shapes and values, in both forms of the file."""

from dataclasses import replace

import numpy as np
import pytest

import random_programs as draw
from keras_ternary_spike.export.onnx.export_onnx import onnx_bytes
from keras_ternary_spike.export.onnx.translation import FORMS
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import SPIKE, Grid
from keras_ternary_spike.export.program.operators import KINDS
from keras_ternary_spike.export.program.program import unwrapped

onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")
EACH = 8


@pytest.mark.parametrize("operators", FORMS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_operator_computes_in_onnx_runtime_what_program_computes(
    kind, operators, rng, assert_every_tensor_equals
):
    for _ in range(EACH):
        program = draw.RANDOM[kind](rng)
        assert_every_tensor_equals(program, draw.random_inputs(rng, program), operators)


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "SUB"])
def test_the_standards_own_evaluator_agrees(kind, rng):
    """What the file says is what is meant, not a habit of one runtime."""
    from onnx.reference import ReferenceEvaluator

    program = replace(draw.RANDOM[kind](rng), batch=None)
    inputs = draw.random_inputs(rng, program, samples=2)
    (found,) = ReferenceEvaluator(onnx.load_from_string(onnx_bytes(program, "quantized"))).run(None, inputs)
    np.testing.assert_array_equal(found, program.run(unwrapped(inputs)))


def weights_of(grid, largest):
    """The kernel of the only convolution in the file of one, whose input is on `grid`."""
    builder = Builder()
    image = builder.activation("in", (3, 3, 2), grid)
    kernel = builder.constant("layer/kernel", np.full((1, 1, 1, 2), largest, np.int8), 40 / 63)
    bias = builder.constant("layer/bias", np.zeros(1, np.int32), 40 / 63)
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    clipped = builder.emit(
        "MUL",
        (image, builder.constant("one", np.ones((1, 1, 1, 1), np.int8), 1.0)),
        "spike",
        (3, 3, 2),
        Grid(1.0),
        activation="RELU_N1_TO_1" if grid is SPIKE else "NONE",
    )
    output = builder.emit("CONV_2D", (clipped, kernel, bias), "out", (3, 3, 1), Grid(1.0), options=options)
    graph = onnx.load_from_string(onnx_bytes(builder.program("one", (image,), (output,)), "quantized")).graph
    (node,) = (node for node in graph.node if node.op_type == "QLinearConv")
    return next(onnx.numpy_helper.to_array(array) for array in graph.initializer if array.name == node.input[3])


def test_weights_are_int8_where_two_products_fit_into_int16_and_uint8_elsewhere():
    """x86 without VNNI adds two of them in int16, which saturates: 2 * 129 * 127 fits, 2 * 255 * 65 does not."""
    assert weights_of(SPIKE, 127).dtype == np.int8
    assert weights_of(Grid(1.0), 64).dtype == np.int8
    assert weights_of(Grid(1.0), 65).dtype == np.uint8
    assert weights_of(Grid(1.0), 65).ravel().tolist() == [128 + 65] * 2


def test_sums_that_float32_does_not_hold_are_refused_by_name():
    builder = Builder()
    values = builder.activation("in", (2000,), Grid(1.0))
    kernel = builder.constant("layer/kernel", np.full((1, 2000), 127, np.int8), 40 / 63)
    bias = builder.constant("layer/bias", np.zeros(1, np.int32), 40 / 63)
    output = builder.emit("FULLY_CONNECTED", (values, kernel, bias), "out", (1,), Grid(1.0))
    program = builder.program("large", (values,), (output,))
    with pytest.raises(ValueError, match=r"below 16,777,216.*Received: 32,512,000 for 'out'.*operators=\"quantized\""):
        onnx_bytes(program, "float32")
    assert onnx_bytes(program, "quantized")


def test_an_operator_that_is_not_known_is_refused_by_name(rng, monkeypatch):
    from keras_ternary_spike.export.onnx import translation

    monkeypatch.setattr(translation, "EMITTERS", {kind: translation.EMITTERS[kind] for kind in ("ADD", "MUL")})
    with pytest.raises(ValueError, match=r"Cannot write SLICE \('out'\) as ONNX. Known: ADD, MUL"):
        onnx_bytes(draw.moved(rng, "SLICE"), "quantized")


@pytest.mark.parametrize("operators", FORMS)
def test_a_constant_is_joined_to_every_sample(operators, run_onnx):
    builder = Builder()
    values = builder.activation("in", (2, 3), Grid(1.0))
    other = builder.constant("rest", np.array([[[7, 8, 9]]], np.int8), 1.0)
    output = builder.emit("CONCATENATION", (values, other), "out", (3, 3), Grid(1.0), options={"axis": 1})
    program = replace(builder.program("joined", (values,), (output,)), batch=None)
    samples = np.arange(12, dtype=np.int8).reshape(2, 2, 3)
    expected = [[[0, 1, 2], [3, 4, 5], [7, 8, 9]], [[6, 7, 8], [9, 10, 11], [7, 8, 9]]]
    assert run_onnx(onnx_bytes(program, operators), {"in": samples})["out"].tolist() == expected


def test_inputs_and_outputs_may_have_the_names_of_other_tensors(rng, run_onnx):
    program = draw.elementwise(rng, "ADD")
    renamed = replace(program, names={program.inputs[0]: "out", program.outputs[0]: "one"}, batch=None)
    inputs = draw.random_inputs(rng, renamed)
    (found,) = run_onnx(onnx_bytes(renamed, "quantized"), inputs).values()
    np.testing.assert_array_equal(found, renamed.run(unwrapped(inputs)))


def test_an_input_and_an_output_of_one_name_are_refused(rng):
    program = draw.moved(rng, "PAD")
    with pytest.raises(ValueError, match=r"must have different names.*Received: 'in' for both"):
        onnx_bytes(replace(program, names={program.outputs[0]: "in"}), "quantized")
