"""A file whose shapes, scales or operands do not fit its operators is refused by the name of the tensor."""

from dataclasses import replace

import numpy as np
import pytest

from keras_ternary_spike.export.program import check as checks
from keras_ternary_spike.export.program import shapes
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.program.labels import LABELS
from keras_ternary_spike.export.program.operators import KINDS
from keras_ternary_spike.export.program.shapes import SHAPES
from random_programs import elementwise, max_pool, moved, weighted

ONE_STEP = {"stride_h": 1, "stride_w": 1, "padding": "VALID", "dilation_h_factor": 1, "dilation_w_factor": 1}
IMAGE, CURRENT = Grid(1 / 256, -128), Grid(1 / 16, 3)
KERNEL_SCALE = 8 / 47  # a current's step is 94 steps of the accumulator, whose sums are even: never a tie


def program_of(kind, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "MAX_POOL_2D":
        return max_pool(rng)
    make = elementwise if kind in ("ADD", "SUB", "MUL") else weighted
    return (moved if kind in ("RESHAPE", "PAD", "SLICE", "CONCATENATION") else make)(rng, kind)


def convolution(*, options=None, kernel=(2, 3, 3, 1), shape=(3, 4, 2), activation="NONE", **bias):
    """A 5x6 image, 3x3 taps, 2 channels."""
    builder = Builder()
    image = builder.activation("image", (5, 6, 1), IMAGE)
    weights = builder.constant("conv/kernel", np.full(kernel, 2, np.int8), KERNEL_SCALE)
    biases = builder.constant(
        "conv/bias", bias.get("data", np.zeros(2, np.int32)), bias.get("scale", KERNEL_SCALE / 256)
    )
    options = ONE_STEP | (options or {})
    operands = (image, weights, biases)
    output = builder.emit("CONV_2D", operands, "conv/current", shape, CURRENT, activation=activation, options=options)
    return builder.program("one", (image,), (output,))


def one(kind, shape, constants, out, *, grid=IMAGE, options=None):
    """An operator on one activation and int32 constants."""
    builder = Builder()
    source = builder.activation("source", shape, IMAGE)
    operands = (source, *(builder.constant(f"c{i}", np.int32(value)) for i, value in enumerate(constants)))
    output = builder.emit(kind, operands, "moved", out, grid, options=options or {})
    return builder.program("one", (source,), (output,))


def changed(program, name, **changes):
    tensors = [replace(t, **changes) if t.name == name else t for t in program.tensors]
    return replace(program, tensors=tuple(tensors))


def test_every_operator_has_its_rules():
    assert set(SHAPES) == set(LABELS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_shape_that_is_inferred_is_the_one_that_is_computed(kind):
    for seed in range(12):
        program = program_of(kind, seed)
        checks.check(program)
        rng = np.random.default_rng(seed)
        feeds = {n: np.zeros((2, *program.tensors[i].shape[1:]), np.int8) for n, i in program.named_inputs.items()}
        [computed] = program.trace(feeds).values()
        [operator] = program.operators
        inputs = [program.tensors[index] for index in operator.inputs]
        assert SHAPES[kind](operator, inputs, program.tensors[operator.output])[1:] == computed.shape[1:]
        larger = [*program.tensors[operator.output].shape]
        larger[rng.integers(len(larger))] += 1
        with pytest.raises(ValueError, match=rf"{kind} must .*'out'"):
            checks.check(changed(program, "out", shape=tuple(larger)))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (convolution(kernel=(2, 3, 3, 2)), "kernel for its channels.*'conv/current'"),
        (convolution(options={"stride_w": 0}), "strides of at least 1. Received: 1, 0"),
        (convolution(options={"dilation_h_factor": -1}), "dilation of at least 1"),
        (convolution(options={"dilation_h_factor": 3}), r"windows inside \(5, 6\). Received: 7, 3"),
        (convolution(options={"dilation_h_factor": 2**30, "padding": "SAME"}), "near the size of its image"),
        (convolution(shape=(3, 4, 3)), r"write the shape \(1, 3, 4, 2\). Received: \(1, 3, 4, 3\)"),
        (convolution(data=np.zeros(3, np.int32)), r"int32 bias of shape \(2,\). Received: int32, \(3,\)"),
        (convolution(data=np.zeros(2, np.int8)), "int32 bias"),
        (convolution(data=np.int32([0, 2**31 - 18 * 255])), "sums below 2147483648. Received: 2147483648"),
        (convolution(scale=0.25 / 256), "bias whose scale is that of its input times that of its kernel"),
        (changed(convolution(), "conv/kernel", zero_point=1), "kernel with the zero point 0. Received: 1"),
        (changed(convolution(), "image", zero_point=2**31), "must lie in -128 to 127. Received: 2147483648.*'image'"),
        (changed(convolution(), "conv/bias", zero_point=1), "must lie in 0 to 0. Received: 1 for tensor 'conv/bias'"),
        (changed(convolution(), "image", shape=(2, 5, 6, 1)), "batch axis of 1.*'image'"),
        (changed(convolution(), "image", dtype="int16", zero_point=0), "An input must be int8"),
        (changed(convolution(), "conv/current", scale=np.float32(2**-20)), "less than 256 times.*697 to 697"),
        (one("SLICE", (4,), [(0, 2), (1, 3)], (3,)), r"stay inside \(1, 4\). Received: begin \(0, 2\), size \(1, 3\)"),
        (one("SLICE", (4,), [(0, -1), (1, 3)], (3,)), "stay inside"),
        (one("SLICE", (4,), [(0,), (1,)], (4,)), r"'c0' as int32 constant of shape \(2,\).*\(1,\)"),
        (one("PAD", (4,), [[(0, 0), (-1, 0)]], (3,)), "by no less than 0"),
        (one("PAD", (4,), [[(1, 0), (0, 0)]], (4,)), "pad no batch"),
        (one("RESHAPE", (4,), [(1, 5)], (5,), options={"new_shape": (1, 5)}), "keep the elements"),
        (one("RESHAPE", (4,), [(1, 2, 2)], (2, 2), options={"new_shape": (1, 4)}), "state the shape.*twice"),
        (one("RESHAPE", (4,), [(1, 4)], (4,), grid=CURRENT, options={"new_shape": (1, 4)}), "keep scale and zero"),
        (one("CONCATENATION", (4,), [], (4,), options={"axis": 0}), "axis from 1 to 1. Received: 0"),
        (one("CONCATENATION", (4,), [], (4,), options={"axis": -1}), "axis from 1 to 1. Received: -1"),
        (one("CONCATENATION", (2**27,), [], (2**27,), options={"axis": 1}), "67,108,864 elements.*'source'"),
        (replace(convolution(), outputs=()), "inputs and outputs. Received: 1 inputs, 0 outputs"),
        (one("CONCATENATION", (1,) * 5, [], (1,) * 5, options={"axis": 1}), "at most 5 axes"),
    ],
)
def test_what_no_runtime_computes_is_refused(program, message):
    with pytest.raises(ValueError, match=message):
        checks.check(program)


def test_elements_of_all_tensors_are_limited(monkeypatch):
    program = convolution()
    elements = 5 * 6 + 2 * 3 * 3 + 2 + 3 * 4 * 2
    monkeypatch.setattr(shapes, "LARGEST_PROGRAM", elements)
    checks.check(program)
    monkeypatch.setattr(shapes, "LARGEST_PROGRAM", elements - 1)
    with pytest.raises(ValueError, match=f"at most {elements - 1} elements. Received: {elements}"):
        checks.check(program)


@pytest.mark.parametrize(
    ("kind", "seed"), [(kind, seed) for kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV") for seed in (0, 1)]
)
def test_work_is_limited(kind, seed, monkeypatch):
    """Against a count of pixels, taps and channels."""
    program = program_of(kind, seed)
    [operator] = program.operators
    kernel = program.tensors[operator.inputs[1]].shape
    image = program.tensors[program.inputs[0]].shape
    pixels = image if kind == "TRANSPOSE_CONV" else program.tensors[operator.output].shape
    taps = kernel[1] * kernel[2]
    work = pixels[1] * pixels[2] * taps * (kernel[3] if kind == "DEPTHWISE_CONV_2D" else kernel[0] * kernel[3])
    monkeypatch.setattr(shapes, "LARGEST_WORK", work)
    checks.check(program)
    monkeypatch.setattr(shapes, "LARGEST_WORK", work - 1)
    with pytest.raises(ValueError, match=f"at most {work - 1:,} multiply-accumulates.*Received: {work:,}"):
        checks.check(program)


def test_a_fused_relu6_ends_at_6():
    program = convolution(activation="RELU6")
    checks.check(program)
    # 9 taps of 2 * (127 + 128) are 48.8 steps of 1/16; with a kernel twice as large 97.7, cut to 6 = 96 steps from 3.
    full = np.full((1, 5, 6, 1), 127, np.int8)
    assert program.run(full)[0, 0, 0, 0] == 3 + round(9 * 2 * 255 / 94)
    twice = changed(program, "conv/kernel", data=np.full((2, 3, 3, 1), 4, np.int8))
    assert twice.run(full)[0, 0, 0, 0] == 3 + 6 * 16


def test_a_kernel_integer_of_minus_128_is_refused():
    """TFLite's specification leaves it out, and kernels are written for that."""
    weights = np.full((2, 3, 3, 1), 2, np.int8)
    weights[1, 2, 0, 0] = -128
    with pytest.raises(ValueError, match=r"kernel integers of -127 to 127. Received: -128 for 'conv/current'"):
        checks.check(changed(convolution(), "conv/kernel", data=weights))
