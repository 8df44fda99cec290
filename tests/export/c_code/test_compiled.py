"""The runtime named "c" in verify, certify and on the command line."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from c_compilers import needs_compiler
from command_folder import fill, small_model
from keras_ternary_spike.export import certify, export_tflite, verify
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.c_code import compiled
from keras_ternary_spike.export.program.names import spike_tensors
from keras_ternary_spike.export.tflite import flatbuffer


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).random((6, 5))


@needs_compiler
@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_every_output_and_every_spike_is_compared(model, samples, form):
    tflite_bytes = export_tflite(model, form=form, input_range=(0, 1), output_range=(-4, 4))
    certificate = certify(model, tflite_bytes, samples, also=("c",))
    compared, program = certificate.report.runtimes["c"], flatbuffer.read(tflite_bytes)
    outputs = sum(program.tensors[index].shape[-1] for index in program.outputs)
    spikes = sum(tensor.shape[-1] for _, tensor in spike_tensors(program))
    calls = 6 if form == "unrolled" else 12
    assert (compared.values, compared.differing) == (calls * (outputs + spikes), 0)
    assert (compared.output_values, compared.output_differing) == (calls * outputs, 0)


@needs_compiler
def test_a_value_that_differs_in_c_is_counted(model, samples, monkeypatch):
    tflite_bytes = export_tflite(model, input_range=(0, 1), output_range=(-4, 4))
    right = compiled.run_c

    def wrong(tflite_bytes, samples):
        return {name: values ^ 1 for name, values in right(tflite_bytes, samples).items()}

    monkeypatch.setattr(compiled, "run_c", wrong)
    report = verify(None, tflite_bytes, samples, also=("c",))
    assert not report.exact
    assert report.runtimes["c"].differing == report.runtimes["c"].values
    assert report.runtimes["xnnpack"].differing == 0


def test_without_a_compiler_the_error_says_so(model, samples, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    tflite_bytes = export_tflite(model, input_range=(0, 1), output_range=(-4, 4))
    with pytest.raises(ImportError, match="needs a C compiler, one of cc, gcc, clang"):
        verify(None, tflite_bytes, samples, also=("c",))
    with pytest.raises(ValueError, match=r"no other names than 'c'.*Received: also='rust'"):
        verify(None, tflite_bytes, samples, also="rust")


@needs_compiler
def test_the_command_line_runs_c_too(tmp_path, monkeypatch, capsys, model):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, model)
    assert main(["model.keras", "-o", "m.tflite", "--samples", "samples.npz", "--also", "c"]) == 0
    assert "\nc " in capsys.readouterr().out


def test_code_that_no_compiler_takes_is_an_error(model):
    tflite_bytes = export_tflite(model, input_range=(0, 1), output_range=(-4, 4))
    with pytest.raises(ValueError, match="refuses the generated code"):
        compiled.Executable([replace(flatbuffer.read(tflite_bytes))], flags=("--no-such-option",))
