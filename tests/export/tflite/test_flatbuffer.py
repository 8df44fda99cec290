"""The file is the program: nothing is lost, added or misread, and broken files are refused."""

import hashlib
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.tflite.flatbuffer import read, write

ONE_STEP = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
CONV = {**ONE_STEP, "dilation_h_factor": 1, "dilation_w_factor": 1}
CONV_SCALES = np.float32([1 / 2, 1 / 6, 1 / 10, 1 / 6])


def activation(name, *shape, scale=1.0, zero_point=0):
    return Tensor(name, (1, *shape), np.array(scale, np.float32), zero_point)


def constant(name, data, scale=1.0, channel_axis=0):
    return Tensor(name, data.shape, np.array(scale, np.float32), 0, data.dtype.name, channel_axis, data)


def int32(*values):
    return np.array(values, np.int32)


def every_operator():
    """A program that uses each operator once, every option and every kind of tensor; nowhere near a tie."""
    rng = np.random.default_rng(0)
    kernel = (2 * rng.integers(-9, 10, (4, 3, 3, 2))).astype(np.int8)
    depthwise = rng.integers(-1, 2, (1, 3, 3, 4)).astype(np.int8)
    weights = (2 * rng.integers(-9, 10, (3, 24))).astype(np.int8)
    tensors = (
        activation("image", 6, 4, 2, scale=1 / 255, zero_point=-128),
        constant("conv/kernel", kernel, scale=CONV_SCALES),
        constant("conv/bias", int32(2, 4, 6, 8), scale=CONV_SCALES / 255),
        activation("conv/current/0", 6, 4, 4, scale=13 / 255),
        constant("lif/zero", np.zeros((1, 1, 1, 1), np.int8)),
        activation("lif/spike/0", 6, 4, 4),
        activation("lif/fired/0", 6, 4, 4),
        activation("lif/keep/0", 6, 4, 4),
        constant("pool/kernel", depthwise, scale=[1.0, 1.0, 2.0, 3.0], channel_axis=3),
        constant("pool/bias", int32(0, 0, 0, 0), scale=[1.0, 1.0, 2.0, 3.0]),
        activation("pool/sum/0", 3, 4, 4),
        constant("pad/width", int32(0, 0, 1, 0, 0, 0, 0, 0).reshape(4, 2)),
        activation("pad/0", 4, 4, 4),
        activation("max/0", 2, 2, 4),
        constant("slice/begin", int32(0, 0, 0, 0)),
        constant("slice/size", int32(-1, 2, 1, 4)),  # as many samples as come in
        activation("slice/0", 2, 1, 4),
        activation("concatenate/0", 2, 3, 4),
        constant("flatten/shape", int32(1, 24)),
        activation("flatten/0", 24),
        constant("dense/kernel", weights, scale=2 / 17),
        constant("dense/bias", int32(2, 6, -2), scale=2 / 17),
        activation("dense/0", 3, scale=4.0, zero_point=7),
    )
    depthwise_options = CONV | {"stride_h": 2, "dilation_w_factor": 2, "stride_w": 1, "depth_multiplier": 1}
    max_pool = {"stride_h": 2, "stride_w": 2, "padding": "VALID", "filter_height": 2, "filter_width": 2}
    operators = (
        Operator("CONV_2D", (0, 1, 2), 3, "NONE", CONV),
        Operator("ADD", (3, 4), 5, "RELU_N1_TO_1"),
        Operator("MUL", (5, 5), 6),
        Operator("SUB", (4, 6), 7, "RELU"),
        Operator("DEPTHWISE_CONV_2D", (5, 8, 9), 10, "NONE", depthwise_options),
        Operator("PAD", (10, 11), 12),
        Operator("MAX_POOL_2D", (12,), 13, "NONE", max_pool),
        Operator("SLICE", (13, 14, 15), 16),
        Operator("CONCATENATION", (13, 16), 17, "NONE", {"axis": 2}),
        Operator("RESHAPE", (17, 18), 19, "NONE", {"new_shape": (1, 24)}),
        Operator("FULLY_CONNECTED", (19, 20, 21), 22),
    )
    metadata = {"timesteps": 1, "notes": ["größer"], "layers": {"lif": {"decay": 0.25}}}
    return Program("every operator", tensors, operators, (0,), (22, 7), metadata)


def assert_equal_tensors(left, right):
    for field in fields(Tensor):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name), err_msg=left.name)
    if left.data is not None:
        assert left.data.dtype == right.data.dtype


def test_what_is_written_is_read_back_field_by_field():
    program = every_operator()
    copy = read(write(program))
    for field in ("name", "operators", "inputs", "outputs", "metadata"):
        assert getattr(copy, field) == getattr(program, field)
    assert len(copy.tensors) == len(program.tensors)
    for left, right in zip(copy.tensors, program.tensors, strict=True):
        assert_equal_tensors(left, right)


def test_a_file_that_is_read_is_written_again_byte_for_byte():
    written = write(every_operator())
    assert write(read(written)) == written


def test_litert_sees_the_names_scales_and_shapes_of_the_program():
    interpreter = Interpreter(model_content=write(every_operator()))
    interpreter.allocate_tensors()
    details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    assert details["image"]["quantization"] == (np.float32(1 / 255), -128)
    assert details["lif/spike/0"]["quantization"] == (1.0, 0)
    assert details["conv/kernel"]["quantization_parameters"]["scales"].tolist() == CONV_SCALES.tolist()
    assert details["pool/kernel"]["quantization_parameters"]["quantized_dimension"] == 3
    assert details["concatenate/0"]["shape"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(interpreter.get_tensor(details["dense/bias"]["index"]), [2, 6, -2])


def test_litert_finds_the_signature_with_tensor_names():
    signatures = Interpreter(model_content=write(every_operator())).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["dense/0", "lif/keep/0"]}}


def test_operator_versions_are_the_lowest_that_compute_them():
    # Written by hand from TensorFlow's op_version.cc.
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(write(every_operator()))
    assert {code.builtinCode: code.version for code in model.operatorCodes} == {
        schema.BuiltinOperator.CONV_2D: 3,
        schema.BuiltinOperator.ADD: 2,
        schema.BuiltinOperator.MUL: 3,  # its scales multiply to 1, which 2 had not
        schema.BuiltinOperator.SUB: 2,
        schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
        schema.BuiltinOperator.PAD: 2,
        schema.BuiltinOperator.MAX_POOL_2D: 2,
        schema.BuiltinOperator.SLICE: 2,
        schema.BuiltinOperator.CONCATENATION: 2,
        schema.BuiltinOperator.RESHAPE: 1,
        schema.BuiltinOperator.FULLY_CONNECTED: 4,
    }


def test_constants_start_at_multiples_of_16_bytes():
    pattern = np.arange(100, dtype=np.int8)
    for length in range(80, 97):
        written = write(with_constant(every_operator(), "extra", pattern[:length]))
        assert written.count(pattern[:length].tobytes()) == 1
        assert written.find(pattern[:length].tobytes()) % 16 == 0


def test_equal_constants_are_stored_once():
    pattern = np.arange(100, dtype=np.int8)
    once = with_constant(every_operator(), "extra", pattern)
    twice = with_constant(once, "extra again", pattern)
    assert write(twice).count(pattern.tobytes()) == 1


def with_constant(program, name, data):
    return replace(program, tensors=(*program.tensors, constant(name, data)))


def test_a_file_that_is_read_again_is_the_same_program_which_nobody_can_change():
    tflite_bytes = write(every_operator())
    program = read(tflite_bytes)
    assert read(bytearray(tflite_bytes)) is program
    for tensor in program.tensors:
        if tensor.data is not None:
            with pytest.raises(ValueError, match="read-only"):
                tensor.data[...] = 0


def test_another_process_writes_the_same_bytes():
    script = "import hashlib, runpy, sys; m = runpy.run_path(sys.argv[1]); "
    script += "print(hashlib.sha256(m['write'](m['every_operator']())).hexdigest())"
    run = subprocess.run(
        [sys.executable, "-c", script, __file__], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == hashlib.sha256(write(every_operator())).hexdigest()


def test_every_truncation_is_refused():
    written = write(every_operator())
    for size in range(len(written)):
        with pytest.raises(ValueError, match=r"TFL3|truncated or corrupt"):
            read(written[:size])


def test_a_corrupted_byte_is_refused_or_read_but_never_another_error():
    rng = np.random.default_rng(0)
    written = write(every_operator())
    refused = 0
    for _ in range(400):
        corrupt = bytearray(written)
        corrupt[rng.integers(len(corrupt))] ^= int(rng.integers(1, 256))
        try:
            read(bytes(corrupt))
        except ValueError:
            refused += 1
    assert refused > 40  # offsets and indices; constants and names may hold anything


@pytest.mark.parametrize("foreign", [b"", b"TFL3", b"\x89PNG\r\n\x1a\n" * 100, b"PK\x03\x04" * 10])
def test_foreign_bytes_are_refused(foreign):
    with pytest.raises(ValueError, match=r"must have the identifier TFL3.*Received"):
        read(foreign)


def test_an_operator_that_the_program_does_not_know_is_named_with_those_it_knows():
    program = replace(every_operator(), operators=(Operator("TANH", (0,), 3),))
    with pytest.raises(ValueError, match=r"Operator TANH.*'conv/current/0'.*Supported: ADD, SUB, MUL"):
        write(program)


def test_a_file_of_another_converter_is_refused_by_its_operators():
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(write(every_operator()))
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 28
    with pytest.raises(ValueError, match="Operator TANH is not supported"):
        read(pack(model))


def test_options_that_change_the_result_but_are_not_known_are_refused():
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(write(every_operator()))
    model.subgraphs[0].operators[-1].builtinOptions.keepNumDims = True
    with pytest.raises(ValueError, match=r"keepNumDims of FULLY_CONNECTED must be False. Received: True"):
        read(pack(model))


def test_an_int8_tensor_without_scale_is_refused():
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(write(every_operator()))
    model.subgraphs[0].tensors[5].quantization = None
    with pytest.raises(ValueError, match="'lif/spike/0' is int8 and must have a scale"):
        read(pack(model))


def pack(model):
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def replaced(program, index, **changes):
    tensors = list(program.tensors)
    tensors[index] = replace(tensors[index], **changes)
    return replace(program, tensors=tuple(tensors))


@pytest.mark.parametrize(
    ("index", "changes", "message"),
    [
        (1, {"shape": (4, 3, 3, 1)}, r"'conv/kernel' must be int8 of shape \(4, 3, 3, 1\)"),
        (1, {"scale": np.ones(3, np.float32)}, "one per entry of axis 0. Received: 3 scales"),
        (3, {"name": "image"}, "names must be unique. Received twice: 'image'"),
        (3, {"scale": np.float32(0)}, "Scales must lie between.*'conv/current/0'"),
        (3, {"scale": np.float32(np.nan)}, "Scales must lie between"),
        (3, {"shape": (1, 0, 4, 4)}, r"Every size must be positive.*\(1, 0, 4, 4\)"),
        (3, {"dtype": "complex64"}, "dtype complex64. Supported: int8, int32"),
        (4, {"data": None}, "must come after those whose outputs they read.*ADD.*'lif/spike/0'"),
    ],
)
def test_a_tensor_that_no_file_can_hold_is_refused(index, changes, message):
    with pytest.raises(ValueError, match=message):
        write(replaced(every_operator(), index, **changes))


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Operator("ADD", (0, 99), 3), "indices must lie in 0 to 22. Received: 99"),
        (Operator("ADD", (0, -1), 3), "indices must lie in 0 to 22. Received: -1"),
        (Operator("ADD", (0,), 3), "ADD must have 2 inputs. Received: 1 for 'conv/current/0'"),
        (Operator("ADD", (0, 0), 3, "TANH"), "ADD cannot have the activation 'TANH'"),
        (Operator("PAD", (0, 11), 3, "RELU"), "PAD cannot have the activation 'RELU'"),
        (Operator("CONV_2D", (0, 1, 2), 3, "NONE", ONE_STEP), "CONV_2D must state the options.*'dilation_h_factor'"),
        (Operator("CONV_2D", (0, 1, 2), 3, "NONE", CONV | {"padding": "EVEN"}), "`padding` must be one of SAME, VALID"),
    ],
)
def test_an_operator_that_no_file_can_hold_is_refused(operator, message):
    with pytest.raises(ValueError, match=message):
        write(replace(every_operator(), operators=(operator,), outputs=(3,)))
