"""Files of graded spikes: every level on every runtime, with and without a state, and what does not fit."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, verify
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.costs.nonzero_additions import nonzero_additions
from keras_ternary_spike.export.costs.operation_counts import count_operations, measure
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.tflite import flatbuffer

pytestmark = pytest.mark.filterwarnings("ignore:The range of output")


def network(levels, signed, timesteps=1, **options):
    """One number in, one graded neuron, and another behind a convolution of its spikes."""
    keras.utils.set_random_seed(1)
    image = keras.Input((4, 4, 1))
    options = {"signed": signed, "threshold": 0.5 / levels, **options}
    spikes = MultiLevelLIF(levels, name="first", **options)(DirectEncoding(timesteps)(layers.Conv2D(3, 3)(image)))
    currents = PerTimestep(layers.Conv2D(2, 2, use_bias=False))(spikes)
    spikes = MultiLevelLIF(levels, name="second", **options)(currents)
    vectors = PerTimestep(layers.GlobalAveragePooling2D())(spikes)
    return keras.Model(image, TimeAverage()(PerTimestep(layers.Dense(3))(vectors)))


@pytest.fixture
def images(rng):
    return rng.random((40, 4, 4, 1)).astype("float32")


@pytest.mark.parametrize("signed, activation", [(True, "RELU_N1_TO_1"), (False, "RELU6")])
@pytest.mark.parametrize("levels", [2, 4, 6, 15, 127])
def test_one_timestep_fires_in_the_convolution_itself_exactly_on_every_runtime(images, levels, signed, activation):
    content = export_tflite(network(levels, signed))
    program = flatbuffer.read(content)
    firing = [operator for operator in program.operators if "/spike/" in program.tensors[operator.output].name]
    assert [(operator.kind, operator.activation) for operator in firing] == [("CONV_2D", activation)] * 2
    assert {operator.kind for operator in program.operators} <= {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "FULLY_CONNECTED")
    }
    report = verify(None, content, images)
    assert report.exact and not report.improper_spikes


@pytest.mark.parametrize("levels, signed", [(5, True), (5, False)])
def test_all_levels_occur_and_are_those_of_the_equation(levels, signed):
    inputs = keras.Input((1,))
    dense = layers.Dense(1, kernel_initializer=keras.initializers.Constant(2.0), use_bias=False)
    outputs = TimeAverage()(MultiLevelLIF(levels, signed=signed, threshold=0.1)(DirectEncoding(1)(dense(inputs))))
    program = flatbuffer.read(export_tflite(keras.Model(inputs, outputs), input_range=(-1.0, 1.0)))
    x = np.arange(-128, 128, dtype=np.int8)[:, None]
    grid = program.tensors[program.inputs[0]]
    currents = 2.0 * float(grid.scale) * (x.astype(float) - grid.zero_point)
    apart = np.abs(currents / 0.2 - np.floor(currents / 0.2) - 0.5) > 0.02  # the kernel is rounded to a fraction
    expected = np.clip(np.rint(currents / 0.2), -levels if signed else 0, levels)
    found = program.run(x)
    np.testing.assert_array_equal(found[apart], expected[apart])
    assert set(found.ravel()) == set(range(-levels if signed else 0, levels + 1))
    output = program.tensors[program.outputs[0]]
    assert (float(output.scale), output.zero_point) == (1.0, 0)  # levels are whole numbers for whoever reads them


@pytest.mark.parametrize(
    "levels, signed, options",
    [
        (2, True, {}),
        (4, False, {}),
        (3, True, {"reset": "subtract", "reset_amount": 2.0}),
        (4, False, {"reset": "subtract"}),
        (3, False, {"reset": "none"}),
        (2, True, {"decay": [0.2, 0.5, 0.8]}),
    ],
)
def test_with_a_state_every_pair_of_currents_fires_the_level_of_the_equation(images, levels, signed, options):
    several = isinstance(options.get("decay"), list)
    model = network(levels, signed, timesteps=3, **({} if several else options))
    if several:
        model = channels_of_their_own(levels, options["decay"])
    content = export_tflite(model)
    assert verify(None, content, images).exact
    for proof in prove(flatbuffer.read(content)):
        assert proof.cases >= 256
        assert (proof.wrong, sum(proof.differing.values())) == (0, 0)


def channels_of_their_own(levels, decay):
    image = keras.Input((4, 4, 1))
    spikes = MultiLevelLIF(levels, threshold=0.1, decay=decay)(DirectEncoding(3)(layers.Conv2D(3, 3)(image)))
    return keras.Model(image, TimeAverage()(PerTimestep(layers.Flatten())(spikes)))


def with_biases(levels, bias, timesteps=1, **options):
    """Two graded layers, each behind a convolution with a bias; names as in a new session."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    image, biased = keras.Input((4, 4, 1)), {"bias_initializer": keras.initializers.Constant(bias)}
    neuron = [MultiLevelLIF(levels, threshold=0.125, name=name, **options) for name in ("first", "second")]
    spikes = neuron[0](DirectEncoding(timesteps)(layers.Conv2D(3, 3, name="a", **biased)(image)))
    spikes = neuron[1](PerTimestep(layers.Conv2D(2, 2, name="b", **biased), name="b_per_timestep")(spikes))
    return keras.Model(image, TimeAverage()(PerTimestep(layers.Flatten())(spikes)), name="biased")


def check_equal(*contents):
    """Files of the same operators and integers, of different Keras models."""
    one, other = map(flatbuffer.read, contents)
    assert one.operators == other.operators
    for tensor, twin in zip(one.tensors, other.tensors, strict=True):
        assert (tensor.name, tensor.shape) == (twin.name, twin.shape)
        np.testing.assert_array_equal(tensor.scale, twin.scale)
        np.testing.assert_array_equal(tensor.data, twin.data)


def test_a_dead_zone_of_unsigned_levels_is_a_smaller_current_in_the_file(images):
    content = export_tflite(with_biases(4, 0.5, signed=False, dead_zone=3.0))
    check_equal(content, export_tflite(with_biases(4, 0.25, signed=False)))  # less 2 thresholds of 1/8
    assert verify(None, content, images).exact


def test_a_dead_zone_of_one_level_is_its_threshold(images):
    options = {"reset": "subtract", "timesteps": 3}
    content = export_tflite(with_biases(1, 0.1, dead_zone=2.0, reset_amount=2.0, **options))
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    neuron = {"threshold": 0.25, "reset": "subtract"}
    image, biased = keras.Input((4, 4, 1)), {"bias_initializer": keras.initializers.Constant(0.1)}
    spikes = TernaryLIF(name="first", **neuron)(DirectEncoding(3)(layers.Conv2D(3, 3, name="a", **biased)(image)))
    currents = PerTimestep(layers.Conv2D(2, 2, name="b", **biased), name="b_per_timestep")(spikes)
    spikes = PerTimestep(layers.Flatten())(TernaryLIF(name="second", **neuron)(currents))
    check_equal(content, export_tflite(keras.Model(image, TimeAverage()(spikes), name="biased")))


@pytest.mark.parametrize("options", [{"signed": True}, {"signed": False, "timesteps": 2}])
def test_a_dead_zone_that_is_no_smaller_current_is_refused(options):
    with pytest.raises(ValueError, match=r"dead zone is exported as a smaller current.*'first'.*Use signed=False"):
        export_tflite(with_biases(2, 0.1, dead_zone=2.0, **options))


def test_one_step_a_call_carries_levels_and_state(images):
    program = flatbuffer.read(export_tflite(network(3, False, timesteps=4), form="step"))
    whole = flatbuffer.read(export_tflite(network(3, False, timesteps=4)))
    grid = whole.tensors[whole.inputs[0]]
    frames = np.clip(np.rint(images / float(grid.scale)) + grid.zero_point, -128, 127).astype(np.int8)
    names = [program.tensors[index].name for index in program.inputs]
    states = {
        name: np.zeros((40, *program.tensors[i].shape[1:]), np.int8)
        for name, i in zip(names, program.inputs, strict=True)
    }
    for _ in range(4):
        result = program.trace({**states, names[0]: frames})
        states = {name: result[name.replace("state_in", "state_out")] for name in names[1:]}
    outputs = result[program.tensors[program.outputs[0]].name]
    np.testing.assert_array_equal(outputs.reshape(40, 3), whole.run(frames))


def test_a_shortcut_brings_levels_into_a_sum(images):
    image = keras.Input((4, 4, 1))
    first = MultiLevelLIF(3, signed=False, threshold=0.1, name="first")(DirectEncoding(1)(layers.Conv2D(3, 3)(image)))
    branch = PerTimestep(layers.Conv2D(3, 3, padding="same"))(first)
    second = MultiLevelLIF(3, signed=False, threshold=0.3, name="second")(layers.Add()([first, branch]))
    model = keras.Model(image, TimeAverage()(PerTimestep(layers.Dense(2))(PerTimestep(layers.Flatten())(second))))
    report = verify(model, content := export_tflite(model), images)
    assert report.exact
    program = flatbuffer.read(content)
    trace = program.trace(np.full((1, 4, 4, 1), 127, np.int8))
    assert trace["first/spike/0"].max() > 1  # the shortcut has brought more than ones


def pooled(levels, signed, image=(5, 5)):
    """Levels over a whole image of 25 pixels, summed for a Dense; the current is 4 levels, so that they can be high."""
    shape = keras.Input((*image, 1), name="image")
    one = {"kernel_initializer": keras.initializers.Constant(4.0), "use_bias": False}
    neuron = MultiLevelLIF(levels, signed=signed, threshold=0.5, amplitude_per="channel", name="neuron")
    vectors = PerTimestep(layers.GlobalAveragePooling2D(name="pool"))(
        neuron(DirectEncoding(1)(layers.Conv2D(3, 1, **one)(shape)))
    )
    return keras.Model(shape, TimeAverage()(PerTimestep(layers.Dense(2, name="classes"))(vectors)))


@pytest.mark.parametrize(
    "size, levels, signed, zero_point, kernel",
    [
        (5, 5, False, 0, (2, 3)),  # 125 at most
        (5, 6, False, -128, (2, 3)),  # 150
        (7, 5, False, -128, (2, 3)),  # 245, in two steps: 7 columns, 7 rows
        (5, 10, False, -128, (2, 3)),  # 250: the last that fits
        (5, 11, False, 0, (2, 5 * 3)),  # 275: runs of 5 pixels
        (5, 6, True, 0, (2, 5 * 3)),  # -150 to 150
    ],
)
def test_sums_of_up_to_255_start_at_minus_128_and_larger_ones_are_cut(rng, size, levels, signed, zero_point, kernel):
    content = export_tflite(pooled(levels, signed, (size, size)), input_range=(-1, 3))
    program = flatbuffer.read(content)
    constants = {tensor.name: tensor for tensor in program.tensors}
    assert constants["classes/kernel"].shape == kernel
    assert constants["pool/sum"].zero_point == zero_point
    image = (size, size, 1)
    samples = np.concatenate([np.full((1, *image), 3.0), rng.uniform(-1, 3, (9, *image))]).astype("float32")
    assert verify(None, content, samples, also=("c",)).exact
    trace = program.trace(quantize_input(program, samples))
    sums = trace["pool/sum"].astype(int) - zero_point
    pixels = trace["neuron/spike/0"].astype(int)
    np.testing.assert_array_equal(sums.sum(axis=(1, 2)), pixels.sum(axis=(1, 2)))
    assert sums.sum(axis=(1, 2)).max() == size**2 * levels


def test_what_is_not_zero_of_sums_that_start_at_minus_128_is_counted(rng):
    program = flatbuffer.read(export_tflite(pooled(6, False), input_range=(-1, 3)))
    samples = np.where(rng.random((40, 5, 5, 1)) < 0.03, 2.0, 0.0).astype("float32")
    trace = program.trace(quantize_input(program, samples))
    fires = np.mean(samples.any(axis=(1, 2, 3)))
    assert 0 < fires < 1
    counts = {one.layer: one for one in count_operations(program, measure(program, trace)).layers}
    assert counts["classes"].additions_measured == pytest.approx(3 * 2 * fires)
    assert counts["classes"].additions_bound == 3 * 2 * 150
    weights = np.count_nonzero(next(t.data for t in program.tensors if t.name == "classes/kernel"))
    pixels = 3 * np.count_nonzero(samples) / 40
    assert nonzero_additions(program, trace) == pytest.approx(pixels + weights * fires)


def test_more_levels_than_int8_holds_beside_a_state_are_refused_with_the_most_that_fit():
    with pytest.raises(ValueError, match=r"'first'.*at most 41 levels. Received: levels=60. Use fewer"):
        export_tflite(network(60, False, timesteps=2))
    assert verify(None, export_tflite(network(41, True, timesteps=2)), np.zeros((1, 4, 4, 1), "float32")).exact


def test_different_levels_cannot_read_the_same_currents():
    currents = DirectEncoding(1)(layers.Conv2D(3, 3)(image := keras.Input((4, 4, 1))))
    spikes = [TernaryLIF(name="a")(currents), MultiLevelLIF(3, name="b")(currents)]
    model = keras.Model(image, [TimeAverage()(PerTimestep(layers.Flatten())(x)) for x in spikes])
    with pytest.raises(ValueError, match=r"'[ab]', '[ab]': neurons that read the same currents.*levels \[1, 3\]"):
        export_tflite(model)
