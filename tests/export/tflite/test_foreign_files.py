"""Files of other programs: a row for every operator, whatever it is, and no crash, whatever the bytes are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from foreign_files import graph, operator, packed, tensor, with_custom_operator, with_loop, with_variable
from keras_ternary_spike.export import check
from keras_ternary_spike.export.runtimes import own_process
from keras_ternary_spike.export.targets import check as targets
from keras_ternary_spike.export.tflite.contents import contents
from keras_ternary_spike.export.tflite.inspection import inspect

KINDS = [
    "CONV_2D",
    "AVERAGE_POOL_2D",
    "CONV_2D",
    "TANH",
    "SHAPE",
    "STRIDED_SLICE",
    "PACK",
    "RESHAPE",
    "FULLY_CONNECTED",
    "SOFTMAX",
]
FLATTENING = ["SHAPE", "STRIDED_SLICE", "PACK", "RESHAPE"]  # of a Flatten whose batch size is open


@pytest.fixture(scope="module")
def stock():
    """What TensorFlow's converter writes of a small CNN: in float32, and in int8 with calibration."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", padding="same"),
            layers.AveragePooling2D(2),
            layers.Conv2D(4, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    images, files = np.random.default_rng(0).random((4, 1, 8, 8, 1), np.float32), {}
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    files["float32"] = converter.convert()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    files["int8"] = converter.convert()
    return files


def verdicts(report):
    return [(one.kind, one.accepted) for one in report.operators]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_every_operator_of_a_stock_file_has_a_row_in_the_tables(dtype, stock):
    report = check(stock[dtype], target="qualcomm")
    assert verdicts(report) == [(kind, None if kind == "SHAPE" else True) for kind in KINDS]
    assert report.accepted is None
    assert {one.reason for one in report.operators} == {"listed", "not in the table: in no list that was found"}


def test_the_edge_tpu_refuses_every_float_operator_that_it_lists(stock):
    report = check(stock["float32"], target="edgetpu")
    assert verdicts(report) == [(kind, None if kind in ("SHAPE", "PACK") else False) for kind in KINDS]
    in_int8 = check(stock["int8"], target="edgetpu")
    assert [one.kind for one in in_int8.refused] == ["STRIDED_SLICE", "RESHAPE"]  # they read int32
    assert "'sequential" in in_int8.refused[0].reason and "is int32" in in_int8.refused[0].reason


def test_litert_delegates_what_xnnpack_takes_of_a_stock_file(stock):
    report = check(stock["int8"], target="litert")
    taken = dict.fromkeys(KINDS, True) | dict.fromkeys([*FLATTENING, "AVERAGE_POOL_2D", "SOFTMAX"], False)
    assert verdicts(report) == [(kind, taken[kind]) for kind in KINDS]
    assert report.facts["delegated_operators"] == 4


def test_tflm_runs_a_stock_file(stock):
    report = check(stock["float32"], target="tflm")
    assert verdicts(report) == [(kind, True) for kind in KINDS]
    assert report.facts["op_resolver"][:2] == ("AddConv2D", "(unknown for AVERAGE_POOL_2D)")
    assert 1000 < report.facts["arena_bytes"] < 10_000


def test_vela_takes_the_int8_file_and_leaves_the_float_file_on_the_cpu(stock):
    report = check(stock["int8"], target="ethos-u55-128")
    assert verdicts(report) == [(kind, True) for kind in KINDS]
    assert [one.kind for one in report.operators if one.reason == "computed by Vela when compiling"] == FLATTENING[:3]
    in_float = check(stock["float32"], target="ethos-u55-128")
    assert verdicts(in_float) == [(kind, False) for kind in KINDS]
    assert "unsupported DataType Float32" in in_float.operators[0].reason
    assert in_float.operators[4].reason == "on the CPU: Unsupported opType"


@pytest.mark.parametrize("target, reason", [("litert", "unresolved custom op: MyOp"), ("tflm", "op code CUSTOM")])
def test_a_custom_operator_is_refused_by_name_and_the_others_are_not_known(target, reason):
    report = check(with_custom_operator(), target=target)
    assert verdicts(report) == [("ABS", None), ("CUSTOM (MyOp)", False), ("ABS", None)]
    assert reason in report.refused[0].reason
    assert [one.reason for one in report.operators[::2]] == ["the file did not run"] * 2
    assert report.accepted is False
    assert "did not run the file" in report.how


def test_called_subgraphs_have_rows_too():
    kinds = ["WHILE", "ABS", "LESS", "ADD", "ADD"]
    assert verdicts(check(with_loop(), target="litert")) == list(
        zip(kinds, (False, True, None, None, None), strict=True)
    )
    assert verdicts(check(with_loop(), target="tflm")) == [(kind, True) for kind in kinds]
    assert verdicts(check(with_loop(), target="ethos-u55-128")) == [(kind, False) for kind in kinds]


def test_an_operator_that_writes_nothing_has_a_row():
    kinds = ["VAR_HANDLE", "ASSIGN_VARIABLE", "READ_VARIABLE", "ABS"]
    assert verdicts(check(with_variable(), target="litert")) == list(zip(kinds, (True, None, True, True), strict=True))
    report = check(with_variable(), target="ethos-u85-256")
    assert verdicts(report) == [(kind, False) for kind in kinds]
    assert (report.operators[1].name, report.facts["cpu_operators"]) == ("operator 1", 4)


def test_a_tool_that_names_no_operator_refuses_all(monkeypatch):
    def breaks_down(question, tflite_bytes):
        raise ValueError("LiteRT broke down on the file: exit code -11, no message")

    monkeypatch.setattr(own_process, "run_in_own_process", breaks_down)
    report = check(with_custom_operator(), target="litert")
    assert [(one.accepted, one.reason[-10:]) for one in report.operators] == [(False, "no message")] * 3


@pytest.mark.parametrize(
    "said, named",
    [
        ("Node number 2 (ABS) failed to prepare.", [2]),
        ("Node number 2 (ADD) failed to prepare.", []),  # a node of the delegate's own count
        ("Node ABS (number 0f) failed to prepare with status 1", [0]),
        ("Didn't find op for builtin opcode 'ABS'", [0, 2]),
    ],
)
def test_operators_are_found_in_what_runtimes_say(said, named):
    found = contents(with_custom_operator())
    refused = [index for index, one in enumerate(targets.all_refused(found, said)) if one.accepted is False]
    assert refused == (named or [0, 1, 2])


def test_inspect_prints_the_operators_of_a_stock_file(stock):
    lines = [line.split() for line in inspect(stock["int8"]).splitlines()]
    assert ["no", "metadata:", "written", "by", "another", "program"] in lines
    assert [line[1] for line in lines[-10:]] == KINDS
    assert lines[-10][2] == "RELU"
    assert lines[-10][-2:] == ["52", "bytes"]  # 4 kernels of 3 x 3, 4 biases of int32
    assert "float32 1x8x8x4" in inspect(stock["float32"])


def test_inspect_prints_several_subgraphs_and_several_outputs():
    text = inspect(with_loop())
    assert "5 operators in 3 subgraphs" in text
    assert "0:0  WHILE                 i_out and 1 more  int32 scalar" in text
    assert "2:1  ADD                   bx1               float32 1x4" in text


@pytest.mark.parametrize("build", [with_custom_operator, with_loop, with_variable])
def test_a_file_cut_anywhere_is_refused(build):
    tflite_bytes = build()
    for size in range(0, len(tflite_bytes), 3):
        with pytest.raises(ValueError, match=r"identifier TFL3|truncated or corrupt|schema version|UTF-8"):
            contents(tflite_bytes[:size])


def test_bytes_changed_at_random_are_read_or_refused(stock, rng):
    """Nothing but a ValueError leaves: in this process no runtime ever sees the file."""
    refused = 0
    for _ in range(150):
        damaged = np.frombuffer(stock["int8"], np.uint8).copy()
        damaged[rng.integers(0, damaged.size, 4)] = rng.integers(0, 256, 4)
        try:
            inspect(damaged.tobytes())
        except ValueError:
            refused += 1
    assert 50 < refused < 150


def test_indices_beyond_the_file_are_refused():
    with pytest.raises(ValueError, match="truncated or corrupt: it refers to operator code 1 of 1"):
        contents(
            packed([graph("main", [tensor("x"), tensor("y")], [operator(1, [0], [1])], [0], [1])], [("ABS", None)])
        )
