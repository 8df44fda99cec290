"""The ReLU network beside a spiking one: the CNN that Keras would run, and the same costs measured on both."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, models
from keras_ternary_spike.export import certify, check, export_tflite
from keras_ternary_spike.export.certificate.text import relu_rows, relu_text
from keras_ternary_spike.export.costs.beside_relu import beside_relu
from keras_ternary_spike.export.costs.relu_network import GRID, relu_network
from keras_ternary_spike.export.costs.sizes import memory
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.runtimes import implementations as runtimes
from keras_ternary_spike.export.runtimes import timing as timing_module
from keras_ternary_spike.export.runtimes.timing import Ratio, time_ratio
from keras_ternary_spike.export.tflite import flatbuffer

SHAPE = (8, 8, 2)


def joined(neurons, *, timesteps=None):
    """Two branches that meet in an Add and in a Concatenate; neurons are spiking layers or ReLU."""
    keras.utils.set_random_seed(3)
    each = (lambda layer: PerTimestep(layer)) if timesteps else (lambda layer: layer)
    image = keras.Input(SHAPE)
    x = DirectEncoding(timesteps)(image) if timesteps else image
    loud = {"kernel_initializer": keras.initializers.RandomNormal(stddev=1.0), "bias_initializer": "normal"}
    first = neurons()(each(layers.Conv2D(4, 3, padding="same", **loud))(x))
    total = layers.Add()([each(layers.Conv2D(4, 3, padding="same"))(first), each(layers.Conv2D(4, 1))(first)])
    x = layers.Concatenate()([neurons()(total), first])
    x = neurons()(each(layers.Conv2DTranspose(3, 2, strides=2))(each(layers.MaxPooling2D(2))(x)))
    x = each(layers.Dense(5))(each(layers.Flatten())(x))
    return keras.Model(image, TimeAverage()(x) if timesteps else x)


def relu_network_of(model):
    return relu_network(fold_network(describe(model)))


def kinds(program):
    return [operator.kind for operator in program.operators]


def test_the_relu_network_computes_what_keras_computes_with_relu(rng):
    """With threshold 1/2, amplitude 1 and one timestep folding changes no kernel: both have the same weights."""
    spiking, relu = joined(lambda: TernaryLIF(threshold=0.5), timesteps=1), joined(lambda: layers.ReLU())
    relu.set_weights([weight for weight in spiking.get_weights() if weight.ndim > 0])  # without the amplitudes
    images = rng.random((20, *SHAPE))
    program = relu_network_of(spiking)
    integers = np.rint(images * 255 - 128).astype(np.int8)
    found = program.run(integers) * GRID.scale
    expected = computed(relu, images)
    assert np.abs(expected).max() < 127 * GRID.scale  # nothing saturates
    # Four roundings to 1/16 on the way: far below the spread of the outputs.
    assert np.abs(found - expected).max() < 4 * GRID.scale < np.ptp(expected) / 5


def test_relu_is_fused_where_an_operator_can_carry_it():
    program = relu_network_of(joined(TernaryLIF, timesteps=3))
    found = [(o.kind, o.activation) for o in program.operators if o.kind != "RESHAPE"]
    assert sorted(found) == [
        ("ADD", "RELU"),  # the sum of two currents
        ("ADD", "RELU"),  # behind TRANSPOSE_CONV, which fuses nothing
        ("CONCATENATION", "NONE"),
        ("CONV_2D", "NONE"),
        ("CONV_2D", "NONE"),
        ("CONV_2D", "RELU"),
        ("FULLY_CONNECTED", "NONE"),
        ("MAX_POOL_2D", "NONE"),
        ("TRANSPOSE_CONV", "NONE"),
    ]


def test_a_sum_that_is_read_twice_keeps_its_negative_values():
    """An MS-ResNet adds to the current itself: the ReLU in front of the next convolution stands alone."""
    program = relu_network_of(models.ms_resnet((8, 8, 3), 4, width=1 / 32))
    by_name = {program.tensors[o.output].name: o for o in program.operators}
    assert by_name["block1_add/sum/1"].activation == "NONE"
    assert by_name["block2_neuron1/relu"].activation == "RELU"


def test_the_relu_network_runs_once_however_many_timesteps_there_are():
    files = {flatbuffer.write(relu_network_of(models.tiny((12, 12, 1), 4, timesteps=t))) for t in (1, 2, 5)}
    assert len(files) == 3  # other seeds, other weights ...
    assert len({tuple(kinds(flatbuffer.read(file))) for file in files}) == 1  # ... the same operators
    assert kinds(flatbuffer.read(files.pop())) == [
        *["CONV_2D"] * 3,
        "DEPTHWISE_CONV_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
    ]


@pytest.mark.parametrize("build", [models.resnet20, models.vgg, models.keyword_spotter])
def test_relu_networks_are_files_that_every_runtime_takes(build):
    tflite_bytes = flatbuffer.write(relu_network_of(build((16, 16, 3), 4, width=1 / 32)))
    assert check(tflite_bytes, target="litert").accepted
    assert check(tflite_bytes, target="tflm").accepted


def test_of_a_sequence_one_frame_goes_in():
    frames = keras.Input((3, *SHAPE))
    x = PerTimestep(layers.Dense(4))(
        PerTimestep(layers.Flatten())(TernaryLIF()(PerTimestep(layers.Conv2D(2, 3))(frames)))
    )
    program = relu_network_of(keras.Model(frames, TimeAverage()(x)))
    assert program.tensors[program.inputs[0]].shape == (1, *SHAPE)


def test_with_one_timestep_both_have_the_same_work():
    model = models.tiny((12, 12, 1), 4, timesteps=1)
    tflite_bytes = export_tflite(model)
    costs = beside_relu(describe(model), tflite_bytes, arena=runtimes.arena_bytes(tflite_bytes))
    ours, theirs = costs.spiking.work, costs.relu.work
    assert ours.operators == theirs.operators == 6
    assert ours.multiply_accumulates + ours.additions == theirs.multiply_accumulates
    assert theirs.additions == 0
    assert costs.spiking.memory.arena == costs.relu.memory.arena > 0


def test_every_timestep_after_the_first_image_convolution_costs_additions():
    model = models.tiny((12, 12, 1), 4, timesteps=4)
    costs = beside_relu(describe(model), export_tflite(model))
    first = costs.spiking.work.multiply_accumulates
    convolutions = costs.relu.work.multiply_accumulates - first
    assert 3 * convolutions < costs.spiking.work.additions <= 4 * convolutions
    assert costs.spiking.memory.arena is None


def test_times_are_taken_in_turns(monkeypatch):
    timed = []

    def seconds(call, repeats):
        timed.append(call)
        return repeats * {"slow": 0.003, "fast": 0.001}[call]

    monkeypatch.setattr(timing_module, "idle_call", lambda tflite_bytes: tflite_bytes.decode())
    monkeypatch.setattr(timing_module, "_seconds", seconds)
    ratio = time_ratio(b"slow", b"fast")
    assert ratio.median == pytest.approx(3) and ratio.low == pytest.approx(3) and ratio.rounds == 100
    assert timed[-200:] == ["slow", "fast"] * 100


@pytest.fixture(scope="module")
def costs():
    keras.utils.set_random_seed(0)
    model = models.tiny((12, 12, 1), 4)
    tflite_bytes = export_tflite(model)
    return certify(model, tflite_bytes, np.zeros((1, 12, 12, 1)), target="ethos-u55-128").beside_relu


def test_a_certificate_says_where_each_costs_less(costs):
    costs = replace(costs, time=Ratio(1.5, 1.25, 1.75, 7))
    rows = {row.name: row for row in relu_rows(costs)}
    assert (rows["operators"].ours, rows["operators"].theirs, rows["operators"].times) == ("19", "6", 19 / 6)
    assert rows["time, XNNPACK, one thread"].ours == "quartiles 1.25 to 1.75, 7 turns"
    assert rows["estimated cycles"].more > 0
    assert "estimated on-chip flash" not in rows  # 0 on both
    text = relu_text(costs)
    assert "not trained" in text
    ours, theirs = text.split("This file costs less in ")[1].split(" The ReLU network costs less in ")
    assert ours == "multiply-accumulates."
    assert "RAM of TFLite Micro" in theirs and "operators" in theirs and "time, XNNPACK" in theirs


def test_a_quantity_that_costs_nothing_in_the_relu_network_has_no_ratio(costs):
    row = next(row for row in relu_rows(costs) if row.name == "int8 values of ADD, SUB, MUL")
    assert (row.theirs, row.times) == ("0", None)
    assert row.more > 0


def test_memory_counts_equal_constants_once():
    model = models.tiny((12, 12, 1), 4)
    tflite_bytes = export_tflite(model)
    program = flatbuffer.read(tflite_bytes)
    sizes = memory(program, tflite_bytes, None)
    assert (sizes.arena, sizes.file) == (None, len(tflite_bytes))
    assert models.count_operations(model).weights < sizes.constants < sizes.file
    assert sizes.gzip < sizes.file
    assert memory(replace(program, tensors=program.tensors * 2), tflite_bytes, None).constants == sizes.constants
