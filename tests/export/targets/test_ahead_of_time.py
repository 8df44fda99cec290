"""Compilation for NPUs: which operators a compiled file still holds, and what is said without a vendor's compiler."""

import importlib.util
import sys
from dataclasses import replace

import pytest

from keras_ternary_spike.export import check
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.program.names import Name
from keras_ternary_spike.export.targets import ahead_of_time
from keras_ternary_spike.export.tflite import flatbuffer


def two_operators():
    builder = Builder()
    image = builder.activation("in", (2, 3), Grid(1.0))
    flat = builder.reshape(image, Name("flat", "reshaped"), (6,), Grid(1.0))
    output = builder.reshape(flat, Name("out", "reshaped"), (3, 2), Grid(1.0))
    return builder.program("two", (image,), (output,), {"timesteps": 1})


def test_what_a_compiled_file_still_holds_is_left_to_litert(monkeypatch):
    program = two_operators()
    first, last = program.operators
    left = replace(program, operators=(last,), inputs=(first.output,))
    monkeypatch.setattr(ahead_of_time, "compiled", lambda data, target: flatbuffer.write(left))
    report = check(flatbuffer.write(program), target="qualcomm-sm8750")
    assert [placement.accepted for placement in report.operators] == [True, False]
    assert report.accepted is False and report.facts == {"left_operators": 1}
    assert report.refused[0].reason == "left to LiteRT's own kernels"


def test_a_compiler_that_refuses_the_file_refuses_its_operators(monkeypatch):
    def refuse(data, target):
        raise ValueError("The compiler does not take the file: ERROR: no")

    monkeypatch.setattr(ahead_of_time, "compiled", refuse)
    report = check(flatbuffer.write(two_operators()), target="intel-ptl")
    assert report.how == "LiteRT did not compile the file"
    assert len(report.refused) == 2


@pytest.mark.parametrize("target", ["intel-lnl", "qualcomm-sm8650", "mediatek-mt6991", "google-tensor-g5"])
def test_a_missing_compiler_is_named_with_its_extra(target, monkeypatch):
    package = ahead_of_time.CHIPS[target].package
    monkeypatch.setitem(sys.modules, f"ai_edge_litert_sdk_{package}", None)
    monkeypatch.setattr(ahead_of_time.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"keras-ternary-spike\[aot-{package.replace('_', '-')}\]"):
        check(flatbuffer.write(two_operators()), target=target)


def test_a_package_without_its_compiler_is_told_apart(monkeypatch, tmp_path):
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(ahead_of_time.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ImportError, match=r"installed without the compiler for PTL.*downloads from the vendor"):
        ahead_of_time.check_compiler(ahead_of_time.CHIPS["intel-ptl"])
    (tmp_path / "data").mkdir()
    ahead_of_time.check_compiler(ahead_of_time.CHIPS["intel-ptl"])


def test_the_reason_is_the_first_error_of_the_log(tmp_path):
    log = tmp_path / "run.error"
    log.write_text("INFO: fine\nERROR: [a.cc:1] cannot  load\nERROR: later\n")
    assert ahead_of_time.reason(f"apply_plugin failed. See {log} for details.") == "ERROR: [a.cc:1] cannot load"
    assert ahead_of_time.reason("nothing to see") == "nothing to see"


def test_litert_without_a_vendors_compiler_says_so(tmp_path):
    pytest.importorskip("ai_edge_litert.aot", reason="this release of LiteRT compiles nothing ahead of time")
    if importlib.util.find_spec("ai_edge_litert_sdk_qualcomm"):
        pytest.skip("Qualcomm's compiler is installed")
    (tmp_path / "two.tflite").write_bytes(flatbuffer.write(two_operators()))
    said = ahead_of_time.compile_here("qualcomm-sm8750", tmp_path / "two.tflite", tmp_path / "compiled.tflite")
    assert said is not None and not (tmp_path / "compiled.tflite").exists()
    assert "apply_plugin failed" in said or "ERROR" in said


def test_chips_are_those_that_litert_knows():
    pytest.importorskip("ai_edge_litert.aot", reason="this release of LiteRT compiles nothing ahead of time")
    from importlib import import_module

    for chip in ahead_of_time.CHIPS.values():
        vendor = import_module(f"ai_edge_litert.aot.vendors.{chip.vendor}.target")
        assert chip.model in {model.value for model in vendor.SocModel}
