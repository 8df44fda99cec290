"""Strides above 3: other operators than the one that Ethos-U leaves on the CPU, the same integers on every runtime."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import check, export_tflite, verify
from keras_ternary_spike.export.quantize.emit import strides
from keras_ternary_spike.export.quantize.emit.strides import split_strides, sum_stages
from keras_ternary_spike.export.tflite.flatbuffer import read

ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
HE = "he_normal"
# By name: input shape, timesteps, decay, and the layers between the encoding and the classes; None for a neuron.
NETWORKS = {
    "pool of 4 x 6 of spikes, padded convolution of 4": (
        (21, 25, 2),
        2,
        0.25,
        lambda: (
            layers.Conv2D(4, 3, padding="same", kernel_initializer=HE),
            None,
            layers.AveragePooling2D((4, 6), name="pool"),
            layers.Conv2D(4, 5, strides=4, padding="same", kernel_initializer=HE),
            None,
        ),
    ),
    "first convolution of 4, depthwise of 5 that fires": (
        (41, 44, 2),
        1,
        0.25,
        lambda: (
            layers.Conv2D(4, 7, strides=4, padding="same", kernel_initializer=HE),
            None,
            layers.DepthwiseConv2D(5, strides=5, padding="same", depthwise_initializer=HE),
            None,
        ),
    ),
    "pools of 5 and of 3 at strides of 4": (
        (52, 52, 1),
        2,
        0.5,
        lambda: (
            layers.Conv2D(4, 3, strides=2, kernel_initializer=HE),
            None,
            layers.AveragePooling2D(3, strides=4),
            layers.Conv2D(4, 2, kernel_initializer=HE),
            None,
            layers.AveragePooling2D(5),
        ),
    ),
}


def build(name):
    keras.utils.set_random_seed(0)
    shape, timesteps, decay, middle = NETWORKS[name]
    model = keras.Sequential([keras.Input(shape), DirectEncoding(timesteps)])
    for layer in middle():
        model.add(TernaryLIF(decay=decay) if layer is None else PerTimestep(layer))
    for layer in (PerTimestep(layers.Flatten()), PerTimestep(layers.Dense(5)), TimeAverage()):
        model.add(layer)
    return model


@pytest.fixture(params=NETWORKS)
def model(request):
    return build(request.param)


def inputs(program, count):
    shape = program.tensors[program.inputs[0]].shape[1:]
    return np.random.default_rng(1).integers(-128, 128, (count, *shape)).astype(np.int8)


def kinds(program):
    return Counter(operator.kind for operator in program.operators)


def test_the_outputs_are_those_of_the_strides_themselves(model, monkeypatch):
    program = read(export_tflite(model))
    monkeypatch.setattr(strides, "LARGEST_STRIDE", 99)
    direct = read(export_tflite(model))
    options = [one.options.get(f"stride_{axis}", 1) for one in direct.operators for axis in "hw"]
    assert max(options) > 3
    assert len(direct.operators) < len(program.operators)
    samples = inputs(program, 64)
    np.testing.assert_array_equal(program.run(samples), direct.run(samples))


def test_no_runtime_differs_and_nothing_stays_on_the_cpu(model):
    tflite_bytes = export_tflite(model)
    samples = np.random.default_rng(2).random((3, *model.input_shape[1:]))
    assert verify(model, tflite_bytes, samples).exact
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(lambda target: check(tflite_bytes, target=target), ACCELERATORS))
    assert [(one.accepted, one.facts["cpu_operators"]) for one in reports] == [(True, 0)] * 3


def test_a_pool_of_4_is_two_of_2_and_its_sums_are_of_16_pixels():
    program = read(export_tflite(build("pool of 4 x 6 of spikes, padded convolution of 4")))
    trace = program.trace(inputs(program, 4))
    spikes = next(values for name, values in trace.items() if name.endswith("/spike/0"))
    blocks = spikes[:, :20, :24].astype(int).reshape(4, 5, 4, 4, 6, 4).sum(axis=(2, 4))
    np.testing.assert_array_equal(trace["pool/sum/0"], blocks)
    pools = [one.options for one in program.operators if one.kind == "DEPTHWISE_CONV_2D"][:2]
    assert [(one["stride_h"], one["stride_w"]) for one in pools] == [(2, 3), (2, 2)]


def test_far_convolutions_are_padded_apart_from_their_operator():
    program = read(export_tflite(build("first convolution of 4, depthwise of 5 that fires")))
    # Both are padded: the depthwise one by itself, in front of every fifth of its spikes; the other with a copy.
    assert kinds(program)["PAD"] == kinds(program)["MAX_POOL_2D"] == 2
    assert all(one.options["padding"] == "VALID" for one in program.operators if one.kind.endswith("CONV_2D"))


def test_near_strides_are_left_alone():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((9, 9, 1)), DirectEncoding(1)])
    for layer in (layers.Conv2D(2, 3, strides=3, padding="same"), layers.Flatten(), layers.Dense(2)):
        model.add(PerTimestep(layer))
        if isinstance(layer, layers.Conv2D):
            model.add(TernaryLIF())
    model.add(TimeAverage())
    assert kinds(read(export_tflite(model))) == {"CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}


def test_rounding_for_samples_passes_over_what_is_left_out(rng):
    model = build("first convolution of 4, depthwise of 5 that fires")
    samples = rng.random((8, 41, 44, 2))
    assert verify(None, export_tflite(model, samples=samples, verbose=0), samples[:1]).exact


@pytest.mark.parametrize(
    "stride, near, left",
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 1, 5), (6, 3, 2), (8, 2, 4), (9, 3, 3), (10, 2, 5)],
)
def test_a_stride_is_a_near_one_times_what_is_left(stride, near, left):
    assert split_strides((stride, 1)) == ((near, 1), (left, 1))


@pytest.mark.parametrize(
    "size, far, stages",
    [
        ((2, 2), (2, 2), [(2, 2)]),
        ((4, 4), (4, 4), [(2, 2), (2, 2)]),
        ((4, 1), (4, 1), [(2, 1), (2, 1)]),
        ((6, 4), (6, 4), [(3, 2), (2, 2)]),
        ((8, 9), (8, 9), [(2, 3), (2, 3), (2, 1)]),
        ((5, 4), (5, 4), [(5, 4)]),  # 5 has no near factors
        ((3, 3), (4, 4), [(3, 3)]),  # windows that leave gaps
        ((5, 5), (1, 1), [(5, 5)]),
        ((7, 7), (1, 1), [(7, 1), (1, 7)]),  # more taps than XNNPACK sums in one pass
        ((25, 5), (2, 3), [(25, 1), (1, 5)]),
        ((50, 1), (1, 1), [(50, 1)]),
    ],
)
def test_windows_side_by_side_are_summed_in_stages(size, far, stages):
    found = sum_stages(size, far)
    assert [window for window, _ in found] == stages
    assert tuple(np.prod([steps for _, steps in found], axis=0)) == far
    if len(stages) > 1 and max(far) > 3:
        assert all(window == steps for window, steps in found)
