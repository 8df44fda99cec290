"""Which operators a target takes, who said so, and that no file takes the process down."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import check, export_tflite, load, verify
from keras_ternary_spike.export.program.operators import KINDS, Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.runtimes import implementations as runtimes
from keras_ternary_spike.export.runtimes import own_process
from keras_ternary_spike.export.runtimes.own_process import members
from keras_ternary_spike.export.targets import check as targets
from keras_ternary_spike.export.targets import tflm_resolver as tflm_resolver_module
from keras_ternary_spike.export.targets import vela
from keras_ternary_spike.export.targets.check import TARGETS, require
from keras_ternary_spike.export.targets.published_lists import TABLES
from keras_ternary_spike.export.tflite.flatbuffer import pack, read, write

ONE_OF_EACH = ("litert", "tflm", "ethos-u55-128", "edgetpu", "qualcomm")


@pytest.fixture(scope="module")
def tflite_bytes():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = [
        PerTimestep(layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal")),
        TernaryLIF(name="lif"),
        PerTimestep(layers.MaxPooling2D()),
        PerTimestep(layers.Flatten()),
        PerTimestep(layers.Dense(3)),
        TimeAverage(),
    ]
    return export_tflite(keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(2), *model], name="small"))


def tensor(name, shape=(1, 4, 4, 4), scale=1.0, dtype="int8", data=None):
    return Tensor(name, shape, np.float32(scale), dtype=dtype, data=data)


def chain(*, scale=1.0, last_scale=1.0, dtype="int8", shape=(1, 4, 4, 4)):
    """in -> ADD a/sum -> MUL b/square (of `scale`) -> ADD c/sum (of `last_scale`), each of a tensor with itself."""
    tensors = (tensor("in", shape, dtype=dtype), tensor("a/sum", shape, dtype=dtype))
    tensors += (tensor("b/square", shape, scale, dtype), tensor("c/sum", shape, last_scale, dtype))
    operators = (Operator("ADD", (0, 0), 1), Operator("MUL", (1, 1), 2), Operator("ADD", (2, 2), 3))
    return Program("chain", tensors, operators, (0,), (3,))


@pytest.mark.parametrize("target", ONE_OF_EACH)
def test_an_exported_file_is_accepted_operator_by_operator(target, tflite_bytes):
    report = check(tflite_bytes, target=target)
    program = read(tflite_bytes)
    assert report.accepted is True
    assert report.refused == ()
    assert [(one.kind, one.name) for one in report.operators] == [
        (operator.kind, program.tensors[operator.output].name) for operator in program.operators
    ]


def test_litert_delegates_one_partition_with_every_operator(tflite_bytes):
    report = check(tflite_bytes, target="litert")
    assert report.facts == {"partitions": 1, "delegated_operators": len(read(tflite_bytes).operators)}


def test_an_operator_that_xnnpack_does_not_take_is_named():
    # XNNPACK adds only where input scale / output scale is in 2**-10 to 2**8.
    report = check(write(chain(last_scale=2048.0)), target="litert")
    assert report.accepted is False
    assert [one.name for one in report.refused] == ["c/sum"]
    assert report.facts["delegated_operators"] == 2


def test_members_of_a_partition_lie_between_its_inputs_and_outputs():
    nodes = [{"inputs": [i, 9], "outputs": [i + 1]} for i in range(5)]  # 0 -> 1 -> 2 -> 3 -> 4 -> 5, 9 constant
    assert members(nodes, {"inputs": [0, 9], "outputs": [5]}) == [0, 1, 2, 3, 4]
    assert members(nodes, {"inputs": [2, 9], "outputs": [4]}) == [2, 3]
    assert members(nodes, {"inputs": [1, 9], "outputs": [2, 4]}) == [1, 2, 3]


def test_tflm_reports_the_arena_and_the_resolver():
    tflite_bytes = write(chain())
    facts = check(tflite_bytes, target="tflm").facts
    assert facts["arena_bytes"] == runtimes.arena_bytes(tflite_bytes)
    assert facts["op_resolver"] == ("AddAdd", "AddMul")


def test_vela_reports_cycles_time_and_memory(tflite_bytes):
    report = check(tflite_bytes, target="ethos-u55-128")
    assert report.facts["cpu_operators"] == 0
    assert report.facts["npu_operators"] >= len(report.operators) - 1  # an activation is one more, a reshape none
    cycles, clock = report.facts["cycles"], report.facts["clock_mhz"]
    assert report.facts["milliseconds"] == pytest.approx(cycles / clock / 1e3, rel=1e-9)
    assert 0 < report.facts["sram_bytes"] < 10_000
    assert 0 < report.facts["off_chip_flash_bytes"] < 20_000
    assert report.how.startswith("Vela ")


def test_operators_on_the_cpu_are_named_with_velas_reason():
    report = check(pack(chain(dtype="float32")), target="ethos-u55-128")
    assert report.accepted is False
    assert [one.name for one in report.refused] == ["a/sum", "b/square", "c/sum"]
    assert all("unsupported DataType Float32" in one.reason for one in report.refused)
    assert report.facts["cpu_operators"] == 3
    assert "NOT ACCEPTED, 0 of 3 operators" in str(report)
    assert "[b/square]" in str(report)


def test_require_names_the_operators_left_on_the_cpu():
    with pytest.raises(ValueError, match=r"ethos-u55-64.*3 of 3.*MUL 'b/square' \(on the CPU: .*Float32.*without `ta"):
        require(pack(chain(dtype="float32")), "ethos-u55-64")


def test_require_returns_the_report_of_a_file_that_fits(tflite_bytes):
    assert require(tflite_bytes, "ethos-u55-64").facts["cpu_operators"] == 0
    assert require(tflite_bytes, "edgetpu").accepted


@pytest.mark.parametrize("target", TABLES)
def test_a_looked_up_target_says_that_it_was_not_run(target, tflite_bytes):
    report = check(tflite_bytes, target=target)
    assert not report.ran
    assert report.how.startswith("not run: ")
    assert "LISTED, NOT RUN" in str(report)
    assert all(one.source.startswith("https://") for one in report.operators)
    assert all(one.source in str(report) for one in report.operators)


@pytest.mark.parametrize("target", TABLES)
def test_every_kind_that_is_exported_has_a_row_or_stays_unknown(target):
    _, rows, _ = TABLES[target]
    for row in rows.values():
        assert row.source.startswith("https://")
    assert {"ADD", "SUB", "MUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D"} <= rows.keys()


def test_a_kind_without_a_row_is_unknown_and_not_refused(monkeypatch):
    name, rows, rule = TABLES["qualcomm"]
    fewer = {kind: row for kind, row in rows.items() if kind != "MUL"}
    monkeypatch.setattr(targets, "TABLES", TABLES | {"qualcomm": (name, fewer, rule)})
    report = require(write(chain()), "qualcomm")
    assert report.accepted is None
    assert [one.accepted for one in report.operators] == [True, None, True]
    assert "NOT KNOWN" in str(report)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: chain(dtype="float32"), "must be int8 or uint8, 'in' is float32"),
        (lambda: replace(chain(), batch=2), r"innermost axes may be longer than 1, 'in' is \(2, 4, 4, 4\)"),
    ],
)
def test_the_edge_tpu_refuses_what_its_rules_exclude(change, reason):
    with pytest.raises(ValueError, match=reason):
        require(pack(change()), "edgetpu")


def test_the_edge_tpu_refuses_an_activation_fused_into_a_pool():
    options = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    pool = Operator("MAX_POOL_2D", (0,), 1, activation="RELU", options=options)
    program = Program("pool", (tensor("in"), tensor("out", (1, 2, 2, 4))), (pool,), (0,), (1,))
    report = check(pack(program), target="edgetpu")
    assert report.refused[0].reason == "no fused activation, received RELU"
    assert check(write(replace(program, operators=(replace(pool, activation="NONE"),))), target="edgetpu").accepted


def test_every_kind_has_its_resolver_call():
    kinds = ("ADD", "SUB", "MUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "RESHAPE")
    assert {*kinds, "PAD", "SLICE", "CONCATENATION"} <= tflm_resolver_module.RESOLVER_CALLS.keys()
    assert KINDS.keys() <= tflm_resolver_module.RESOLVER_CALLS.keys()


def test_a_report_is_ready_for_json(tflite_bytes):
    report = check(tflite_bytes, target="tflm").to_dict()
    assert json.loads(json.dumps(report)) == report
    assert report["accepted"] is True
    assert report["operators"][0]["kind"] == "CONV_2D"
    assert report["facts"]["op_resolver"][0] == "AddConv2D"


@pytest.mark.parametrize("target", ["ethos-u55", "ethos-u85-64", "", "LiteRT"])
def test_an_unknown_target_lists_the_known_ones(target, tflite_bytes):
    known = "litert, tflm, cortex-m, ethos-u55-32, .*ethos-u85-2048, intel-lnl, .*google-tensor-g5, edgetpu, qualcomm"
    with pytest.raises(ValueError, match=f"`target` must be one of {known}. Received: '{target}'"):
        check(tflite_bytes, target=target)


@pytest.mark.parametrize("target", ONE_OF_EACH)
@pytest.mark.parametrize("damage", ["empty", "foreign", "half", "tail"])
def test_a_damaged_file_is_refused_before_any_tool_sees_it(target, damage, tflite_bytes):
    halves = {"half": tflite_bytes[: len(tflite_bytes) // 2], "tail": tflite_bytes[:-40]}
    broken = ({"empty": b"", "foreign": b"PK\x03\x04" + bytes(200)} | halves)[damage]
    with pytest.raises(ValueError, match=r"identifier TFL3|truncated or corrupt|schema version"):
        check(broken, target=target)


def test_a_file_that_makes_a_runtime_abort_is_an_error_of_this_process():
    # A scale ratio of 1e9 has no multiplier, and such a file cannot be written: LiteRT aborts its process.
    with pytest.raises(ValueError, match="LiteRT broke down on the file: exit code -6"):
        own_process.run_in_own_process("litert", pack(chain(last_scale=1e-9)))


def test_scales_at_which_runtimes_abort_are_refused_before_they_see_the_file():
    # Sums are computed on 20 more bits, of twice the largest scale: that of the output is 2**-19 of it at least.
    assert check(pack(chain(last_scale=1.01 * 2**-19)), target="tflm").accepted
    aborts = pack(chain(last_scale=2**-19))
    for function in (read, load, lambda file: verify(None, file, np.zeros((1, 4, 4, 2)))):
        with pytest.raises(ValueError, match=r"less than 524288 times the scale that it writes.*1\.90735e-06"):
            function(aborts)


def test_missing_vela_names_the_extra(tflite_bytes, monkeypatch):
    monkeypatch.setattr(vela.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ternary-spike\[ethos-u\]'"):
        check(tflite_bytes, target="ethos-u55-128")


def test_missing_tflm_names_the_extra(tflite_bytes, monkeypatch):
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ternary-spike\[tflm\]'"):
        check(tflite_bytes, target="tflm")


def test_checking_needs_neither_keras_nor_tensorflow():
    code = "import sys; from keras_ternary_spike.export import check; print({'keras', 'tensorflow'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("target", vela.ACCELERATORS)
def test_every_ethos_u_takes_every_operator(target, tflite_bytes):
    assert [name for name in TARGETS if name.startswith("ethos")] == list(vela.ACCELERATORS)
    assert check(tflite_bytes, target=target).facts["cpu_operators"] == 0
