"""Whole networks as ONNX: every tensor on ONNX Runtime is Program.run's, in both forms of the file."""

import keras
import numpy as np
import pytest

from branching_networks import BLOCKS, REFUSED, built
from certified_models import build
from keras_ternary_spike import MultiLevelLIF
from keras_ternary_spike.export import export_onnx, export_tflite
from keras_ternary_spike.export.onnx.translation import FORMS
from keras_ternary_spike.export.program.program import unwrapped
from keras_ternary_spike.export.program.samples import dequantize_output, quantize_input
from keras_ternary_spike.export.tflite import flatbuffer
from random_programs import random_inputs
from small_networks import SMALL
from small_networks import build as small

onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")
SAFE = {"input_range": (0, 1), "output_range": (-8, 8), "verbose": 0}
BRANCHES = ("u_net",)


@pytest.fixture
def assert_exact(rng, assert_every_tensor_equals):
    def compare(model, **options):
        program = flatbuffer.read(export_tflite(model, **SAFE, **options))
        inputs = random_inputs(rng, program, samples=2)
        for operators in FORMS:
            assert_every_tensor_equals(program, inputs, operators)

    return compare


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_are_the_programs_bits(name, rng, assert_exact):
    assert_exact(built(BLOCKS[name], rng))


@pytest.mark.extended
@pytest.mark.parametrize("name", sorted({*BLOCKS} - {*BRANCHES} - REFUSED))
def test_all_branches_are_the_programs_bits(name, rng, assert_exact):
    assert_exact(built(BLOCKS[name], rng))


@pytest.mark.extended
@pytest.mark.parametrize("network", SMALL, ids=lambda network: network.__name__)
def test_all_networks_are_the_programs_bits(network, assert_exact):
    assert_exact(small(network, SMALL[network]))


@pytest.mark.parametrize("options", [{"form": "step"}, {"target": "cortex-m"}], ids=["step", "stacked neurons"])
def test_other_operators_of_a_network_are_the_programs_bits(options, assert_exact):
    assert_exact(build(), **options)


def test_graded_spikes_are_the_programs_bits(assert_exact):
    levels = MultiLevelLIF(4, signed=False)
    model = keras.Sequential([keras.Input((2, 5)), keras.layers.Dense(7), levels, keras.layers.Dense(3)])
    assert_exact(model)


def test_a_model_and_its_file_give_the_same_onnx_file(rng, run_onnx):
    model = build()
    tflite_bytes = export_tflite(model, batch=None, **SAFE)
    data = export_onnx(model, batch=None, **SAFE)
    assert data == export_onnx(tflite_bytes) == export_onnx(model, batch=None, **SAFE)
    program = flatbuffer.read(tflite_bytes)
    inputs = random_inputs(rng, program, samples=5)
    (found,) = run_onnx(data, inputs).values()
    np.testing.assert_array_equal(found, program.run(unwrapped(inputs)))


@pytest.mark.parametrize("operators", FORMS)
def test_float32_ends_stand_for_the_same_integers(operators, rng, run_onnx):
    data = export_tflite(build(), batch=None, io="float32", **SAFE)
    program, samples = flatbuffer.read(data), rng.uniform(-0.1, 1.1, (5, 6, 6, 1)).astype("float32")
    (found,) = run_onnx(export_onnx(data, operators=operators), dict.fromkeys(program.named_inputs, samples)).values()
    np.testing.assert_array_equal(found, dequantize_output(program, program.run(quantize_input(program, samples))))


def test_the_file_says_what_it_is():
    program = flatbuffer.read(export_tflite(build(), **SAFE))
    model = onnx.load_from_string(export_onnx(flatbuffer.write(program)))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 21)]
    (value,), (output,) = model.graph.input, model.graph.output
    assert (value.name, output.name) == (*program.named_inputs, *program.named_outputs)
    assert [size.dim_value for size in value.type.tensor_type.shape.dim] == [1, 6, 6, 1]
    assert value.type.tensor_type.elem_type == onnx.TensorProto.INT8
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert '"timesteps": 3' in properties["keras_ternary_spike"]
    assert f'"{output.name}": {{"scale": ' in properties["quantization"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operators": "int4"}, "`operators` must be one of 'quantized', 'float32'. Received: operators='int4'"),
        ({"batch": 2}, "takes no options of `export_tflite`. Received: batch"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        export_onnx(b"", **arguments)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ternary-spike\[onnx\]'"):
        export_onnx(b"")
