"""Files that take several samples a call, and files that are resized: the integers of one sample a call."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import layers

from every_runtime import assert_every_tensor_equals
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, check, export_tflite, load, verify
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.targets.c_sources import loop_values
from keras_ternary_spike.export.tflite.flatbuffer import read, write

P = PerTimestep
KERNELS = (
    *(OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES),
    OpResolverType.AUTO,
)


def image():
    """Convolution, padding by strides, neuron with a state, dense layer."""
    front = [P(layers.Conv2D(3, 3, strides=2, padding="same")), TernaryLIF(decay=0.5), P(layers.Flatten())]
    return network((5, 6, 2), DirectEncoding(2), *front)


def rows():
    """SLICE: a frame at every timestep, cropped rows; CONCATENATION: enlarged ones; PAD: causal."""
    front = [P(layers.Conv1D(3, 3, padding="causal", strides=2)), TernaryLIF(), P(layers.UpSampling1D(2))]
    return network((2, 6, 4), *front, P(layers.Cropping1D(1)), P(layers.GlobalAveragePooling1D()))


def transposed():
    front = [P(layers.Conv2DTranspose(2, 3, strides=2, padding="same")), TernaryLIF(), P(layers.Flatten())]
    return network((3, 3, 2), DirectEncoding(2), *front)


def network(shape, *front):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape, name="x"), *front, layers.Dense(3), TimeAverage()])


def exported(model, **options):
    return export_tflite(model, output_range=(-4, 4), **options)


@pytest.fixture(scope="module")
def models():
    return {build.__name__: build() for build in (image, rows, transposed)}


def integers(tflite_bytes, count=5):
    program = load(tflite_bytes).program
    samples = np.random.default_rng(0).uniform(0, 1, (count, *program.tensors[program.inputs[0]].shape[1:]))
    return quantize_input(program, samples)


@pytest.mark.parametrize("name", ["image", "rows", "transposed"])
def test_three_samples_a_call_are_computed_as_one_by_one(name, models):
    three = exported(models[name], batch=3)
    program, samples = read(exported(models[name])), integers(three)
    assert_every_tensor_equals(program.trace(samples), three, samples)
    assert Interpreter(model_content=three).get_input_details()[0]["shape"][0] == 3
    assert write(read(three)) == three and read(three).samples_a_call == 3


@pytest.mark.parametrize("first", ["resized before any call", "resized behind a call"])
@pytest.mark.parametrize("name, batch", [("image", 1), ("image", None), ("rows", None)])
def test_a_file_is_resized_as_stock_files_are(name, batch, first, models):
    tflite_bytes = exported(models[name], batch=batch)
    samples = integers(tflite_bytes)
    for kernels in KERNELS:
        interpreter = Interpreter(model_content=tflite_bytes, experimental_op_resolver_type=kernels)
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        if first == "resized behind a call":
            interpreter.allocate_tensors()
            interpreter.invoke()
        interpreter.resize_tensor_input(source["index"], samples.shape, strict=batch is None)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], samples)
        interpreter.invoke()
        expected = read(tflite_bytes).run(samples)
        np.testing.assert_array_equal(interpreter.get_tensor(target["index"]), expected, err_msg=str(kernels))


def test_a_file_of_any_batch_says_so_and_computes_the_same(models):
    tflite_bytes = exported(models["rows"], batch=None)
    interpreter = Interpreter(model_content=tflite_bytes)
    for detail in (*interpreter.get_input_details(), *interpreter.get_output_details()):
        assert detail["shape_signature"][0] == -1 and detail["shape"][0] == 1
    assert write(read(tflite_bytes)) == tflite_bytes and read(tflite_bytes).batch is None
    samples = integers(tflite_bytes)
    assert_every_tensor_equals(read(exported(models["rows"])).trace(samples), tflite_bytes, samples)


@pytest.mark.parametrize("batch", [1, 3])
def test_xnnpack_takes_every_slice_of_a_file_that_states_its_batch(batch, models):
    assert not check(exported(models["rows"], batch=batch), target="litert").refused


def test_vela_takes_files_of_any_batch_and_of_several_samples(models):
    for batch in (None, 2):
        assert not check(exported(models["rows"], batch=batch), target="ethos-u55-128").refused


def test_what_is_said_of_a_transposed_convolution_works(models):
    with pytest.raises(ValueError, match=r"no TRANSPOSE_CONV.*'conv2d_transpose.*/current'\. Give the size, batch=8"):
        exported(models["transposed"], batch=None)
    assert read(exported(models["transposed"], batch=8)).samples_a_call == 8


def test_a_stream_takes_one_sample(models):
    with pytest.raises(
        ValueError, match=r"must be 1 in the step form.*batch=2.*\"unrolled\", or a StepRunner for each"
    ):
        exported(models["rows"], form="step", batch=2)
    assert exported(models["rows"], batch=2)
    assert StepRunner(exported(models["rows"], form="step"))


@pytest.mark.parametrize("batch", [0, -1, True, 1.0, "4"])
def test_another_batch_is_refused(batch, models):
    with pytest.raises(ValueError, match=rf"`batch` must be an integer of at least 1, or None.*batch={batch!r}"):
        exported(models["image"], batch=batch)


def test_verify_and_load_take_files_of_several_samples(models):
    samples = np.random.default_rng(0).uniform(0, 1, (5, 5, 6, 2)).astype("float32")
    one, four = exported(models["image"]), exported(models["image"], batch=4)
    report = verify(models["image"], four, samples)
    assert report.exact and report.samples == 5
    np.testing.assert_array_equal(load(four).predict(samples), load(one).predict(samples))


def test_main_cc_states_the_samples_of_a_call(models):
    assert "// x: 4 x 5 x 6 x 2" in loop_values(read(exported(models["image"], batch=4)))["inputs"]
    assert "// x: 5 x 6 x 2" in loop_values(read(exported(models["image"])))["inputs"]
