"""Files that take and give float32: the integers of the same program, on every runtime."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from every_runtime import assert_every_tensor_equals, assert_outputs_equal
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, check, export_tflite, load, verify
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.program.operators import Operator
from keras_ternary_spike.export.program.samples import dequantize_output, quantize_input
from keras_ternary_spike.export.targets.c_sources import c_sources
from keras_ternary_spike.export.tflite.contents import contents
from keras_ternary_spike.export.tflite.flatbuffer import pack, read, write

RANGES = {"input_range": (-1, 2), "output_range": (-4, 4)}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    front = [PerTimestep(layers.Conv2D(3, 3, strides=2, padding="same")), TernaryLIF(decay=0.5)]
    return keras.Sequential(
        [
            keras.Input((5, 6, 2), name="image"),
            DirectEncoding(2),
            *front,
            PerTimestep(layers.Flatten()),
            layers.Dense(3, name="scores"),
            TimeAverage(),
        ]
    )


@pytest.fixture(scope="module")
def files(model):
    """The same program with int8 and with float32 at its ends."""
    return [export_tflite(model, **RANGES, io=io) for io in ("int8", "float32")]


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).uniform(-1, 2, (6, 5, 6, 2)).astype("float32")


def test_only_the_ends_differ(files):
    integers, reals = map(read, files)
    assert (integers.io, reals.io) == ("int8", "float32")
    assert write(replace(integers, io="float32")) == files[1] and write(replace(reals, io="int8")) == files[0]
    inside, outside = contents(files[0]), contents(files[1])
    kinds = [operator.kind for operator in inside.operators]
    assert [operator.kind for operator in outside.operators] == ["QUANTIZE", *kinds, "DEQUANTIZE"]
    for seen in (outside.inputs, outside.outputs):
        assert [value.dtype for value in seen.values()] == ["float32"]
    assert ([*outside.inputs], [*outside.outputs]) == ([*inside.inputs], [*inside.outputs])


def test_every_tensor_of_every_runtime_is_the_programs(files, samples):
    program = read(files[0])
    integers = quantize_input(program, samples)
    trace = program.trace(integers)
    assert_every_tensor_equals(trace, files[1], integers)
    assert_outputs_equal(trace, files[1], integers)


def test_every_integer_of_an_input_gets_through(files):
    program = read(files[1])
    everything = np.resize(np.arange(-128, 128), (6, 5, 6, 2)).astype(np.int8)
    assert {*everything.ravel().tolist()} == {*range(-128, 128)}
    assert_outputs_equal(program.trace(everything), files[1], everything)


def test_a_user_of_litert_feeds_and_reads_numbers(files, samples):
    interpreter = Interpreter(model_content=files[1])
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(source["index"], samples[:1])
    interpreter.invoke()
    program = read(files[1])
    expected = dequantize_output(program, program.run(quantize_input(program, samples[:1])))
    np.testing.assert_array_equal(interpreter.get_tensor(target["index"]), expected)


def test_predictor_and_report_take_such_a_file(model, files, samples):
    np.testing.assert_array_equal(load(files[0]).predict(samples), load(files[1]).predict(samples))
    report = verify(None, files[1], samples)
    assert report.exact and report.operators["QUANTIZE"] == report.operators["DEQUANTIZE"] == 1
    assert report.float_tensors == ("image/float", "scores/current/float")


def test_states_of_the_step_form_are_numbers_too(model, samples):
    steps, reals = (export_tflite(model, **RANGES, form="step", io=io) for io in ("int8", "float32"))
    assert {value.dtype for value in contents(reals).inputs.values()} == {"float32"}
    runners = StepRunner(steps), StepRunner(reals)
    for frame in samples[:2]:
        np.testing.assert_array_equal(*(runner.step(frame) for runner in runners))


@pytest.mark.parametrize("batch", [3, None])
def test_batches_have_float_ends(batch, files, samples):
    several = write(replace(read(files[1]), batch=batch))
    assert write(read(several)) == several and (read(several).batch, read(several).io) == (batch, "float32")
    integers = quantize_input(read(files[0]), samples)
    assert_outputs_equal(read(files[0]).trace(integers), several, integers)


def test_a_target_with_its_own_operators_keeps_ends_and_batch(model):
    program = read(export_tflite(model, **RANGES, io="float32", batch=3, target="cortex-m"))
    assert (program.io, program.batch) == ("float32", 3)


def test_an_ethos_u_computes_no_float_ends(files):
    refused = check(files[1], target="ethos-u55-128").refused
    assert {operator.kind for operator in refused} == {"QUANTIZE", "DEQUANTIZE"}


def quantized_inside(program):
    """Its last operator reads an output of DEQUANTIZE."""
    twice = Operator("DEQUANTIZE", (program.outputs[0],), len(program.tensors))
    extra = replace(program.tensors[program.outputs[0]], name="more/float", dtype="float32")
    return replace(program, tensors=(*program.tensors, extra), operators=(*program.operators, twice))


def test_float_tensors_elsewhere_are_refused(files):
    with pytest.raises(ValueError, match=r"Operator DEQUANTIZE .* is not supported"):
        read(pack(quantized_inside(read(files[0]))))


@pytest.mark.parametrize("io", ["float16", "uint8", None])
def test_other_types_are_refused(io, model):
    with pytest.raises(ValueError, match=rf"`io` must be one of int8, float32. Received: io={io!r}"):
        export_tflite(model, io=io)


def test_c_sources_name_the_way_out(files):
    with pytest.raises(ValueError, match=r"must take and give int8\. Received: float32\. Export it with io='int8'"):
        c_sources(files[1])


def test_the_command_writes_the_same_file(model, files, tmp_path, capsys):
    model.save(tmp_path / "model.keras")
    ranges = ["--input-range", "-1", "2", "--output-range", "-4", "4"]
    assert main([str(tmp_path / "model.keras"), "-o", str(tmp_path / "m.tflite"), *ranges, "--io", "float32"]) == 0
    assert (tmp_path / "m.tflite").read_bytes() == files[1]
    with pytest.raises(SystemExit):
        main([str(tmp_path / "model.keras"), "-o", str(tmp_path / "m.tflite"), "--io", "float16"])
    assert "invalid choice: 'float16'" in capsys.readouterr().err
