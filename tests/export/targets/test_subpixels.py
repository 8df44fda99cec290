"""Transposed convolutions of far strides as convolutions between pixels: the integers of TRANSPOSE_CONV."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import check, export_tflite, verify
from keras_ternary_spike.export.network import nodes
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.program.names import Name
from keras_ternary_spike.export.quantize.emit import linear, subpixels
from keras_ternary_spike.export.tflite.flatbuffer import read, write

SOURCE, TARGET = Grid(1 / 200, 7), Grid(1 / 30, -3)
# (pixels, strides, taps, cropped at each side)
SHAPES = [
    ((3, 4), (3, 3), (3, 3), ((0, 0), (0, 0))),
    ((2, 3), (4, 4), (4, 4), ((0, 0), (0, 0))),
    ((3, 2), (4, 3), (8, 5), ((2, 2), (1, 1))),  # as "same"
    ((3, 3), (3, 4), (5, 7), ((0, 0), (0, 0))),  # no whole number of strides
    ((4, 3), (3, 1), (4, 2), ((1, 0), (0, 1))),
    ((1, 5), (1, 3), (1, 4), ((0, 0), (2, 3))),  # a row
    ((5, 4), (3, 2), (3, 2), ((7, 4), (5, 0))),  # whole pixels cropped
    ((2, 2), (5, 5), (6, 5), ((0, 1), (0, 0))),
]


def program(shape, strides, taps, cropping, rng):
    """Of one transposed convolution, a kernel of another magnitude for every channel."""
    sizes = zip(shape, strides, taps, cropping, strict=True)
    written = tuple((n - 1) * s + k - sum(crop) for n, s, k, crop in sizes)
    node = nodes.ConvTranspose(
        name="up",
        inputs=("in",),
        shape=(*written, 3),
        temporal=False,
        kernel=rng.normal(size=(*taps, 2, 3)) * [0.1, 1.0, 3.0],
        bias=rng.normal(size=3),
        strides=strides,
        cropping=cropping,
    )
    builder = Builder()
    tensor = builder.activation("in", (*shape, 2), SOURCE)
    emission = linear.Emission(TARGET)
    output = linear.emit_linear(builder, node, tensor, Name("up", "current"), source=SOURCE, emission=emission)
    return builder.program("up", (tensor,), (output,))


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_the_integers_are_those_of_a_transposed_convolution(case, rng, monkeypatch):
    samples, seed = rng.integers(-128, 128, (5, *case[0], 2)).astype(np.int8), int(rng.integers(1000))
    phases = program(*case, np.random.default_rng(seed))
    monkeypatch.setattr(linear, "needs_phases", lambda node, image: False)
    whole = program(*case, np.random.default_rng(seed))
    assert "TRANSPOSE_CONV" in {operator.kind for operator in whole.operators}
    assert "TRANSPOSE_CONV" not in {operator.kind for operator in phases.operators}
    expected = whole.run(samples)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(phases.run(samples), expected)
    assert read(write(phases)).named_outputs == phases.named_outputs


@pytest.mark.parametrize(
    ("strides", "taps", "image", "expected"),
    [
        ((1, 1), 3, (4, 4), False),
        ((2, 2), 3, (4, 4), False),
        ((1, 2), 3, (4, 4), True),
        ((2, 1), 3, (4, 4), True),
        ((3, 3), 3, (4, 4), True),
        ((1, 2), 1, (1, 4), False),  # a row
        ((1, 3), 1, (1, 4), True),
    ],
)
def test_strides_that_ethos_u55_takes_stay(strides, taps, image, expected):
    kernel = np.zeros((taps, 3, 1, 1))
    node = nodes.ConvTranspose(
        name="up", inputs=("in",), shape=(1, 1, 1), temporal=False, kernel=kernel, bias=np.zeros(1), strides=strides
    )
    assert subpixels.needs_phases(node, image) is expected


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    body = [keras.Input((4, 4, 2)), DirectEncoding(2), PerTimestep(layers.Conv2D(4, 3, padding="same")), TernaryLIF()]
    body += [PerTimestep(layers.Conv2DTranspose(3, 4, strides=3, padding="same")), TernaryLIF()]
    body += [PerTimestep(layers.Conv2DTranspose(2, 4, strides=4)), TimeAverage()]
    return keras.Sequential(body)


def test_a_network_with_far_strides_is_exact_and_near_keras(model, rng):
    samples = rng.uniform(0, 1, (3, 4, 4, 2)).astype("float32")
    report = verify(model, export_tflite(model, samples=samples, verbose=0), samples)
    assert report.exact
    assert next(iter(report.distances.values())).correlation > 0.95


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-256"])
def test_every_operator_runs_on_the_npu(model, target):
    found = check(export_tflite(model, output_range=(-2, 2)), target=target)
    assert found.accepted
    assert found.facts["cpu_operators"] == 0
