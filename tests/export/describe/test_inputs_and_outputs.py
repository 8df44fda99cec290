"""Several inputs and several outputs, through the whole of export: order, ranges, structure, the same bits."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, certify, check, export_tflite, fold, load, verify
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.network.nodes import Input, Repeat
from keras_ternary_spike.export.program.samples import dequantize_output, quantize_input
from keras_ternary_spike.export.tflite import flatbuffer

T = 3
RANGES = {"image": (0, 1), "motion": (-1, 1)}


def two_branches():
    """An image without time axis and a sequence, joined; logits, a current, spikes, the logits again."""
    image, motion = keras.Input((6, 6, 2), name="image"), keras.Input((T, 5), name="motion")
    seen = PerTimestep(layers.Conv2D(4, 3, padding="same", use_bias=False))(DirectEncoding(T)(image))
    seen = TernaryLIF(name="seen")(PerTimestep(layers.BatchNormalization())(seen))
    seen = PerTimestep(layers.Dense(6))(PerTimestep(layers.GlobalAveragePooling2D())(seen))
    seen = TernaryLIF(name="pooled", threshold=0.1)(seen)
    felt = TernaryLIF(name="felt", amplitude_initializer=keras.initializers.Constant(0.7))(
        PerTimestep(layers.Dense(7))(motion)
    )
    current = PerTimestep(layers.Dense(9, name="current"))(layers.Concatenate(name="both")([seen, felt]))
    spikes = TernaryLIF(name="hidden", threshold=0.3)(current)
    logits = TimeAverage(name="mean")(PerTimestep(layers.Dense(4, name="head"))(spikes))
    return [image, motion], {"class": logits, "current": current, "again": logits, "spikes": spikes}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Model(*two_branches(), name="branches")


@pytest.fixture(scope="module")
def tflite_bytes(model):
    return export_tflite(model, input_range=RANGES)


@pytest.fixture
def samples(rng):
    return {
        "image": rng.uniform(0, 1, (12, 6, 6, 2)).astype("float32"),
        "motion": rng.uniform(-1, 1, (12, T, 5)).astype("float32"),
    }


def test_verify_finds_nothing_that_differs_on_four_runtimes(model, tflite_bytes, samples):
    report = verify(model, tflite_bytes, samples)
    assert [one.differing + one.output_differing for one in report.runtimes.values()] == [0, 0, 0, 0]
    # 12 samples of 4 classes twice, and of 3 timesteps of 9 currents and 9 spikes
    assert report.runtimes["tflm"].output_values == 12 * (4 + 4 + 27 + 27)
    assert list(report.agreements) == ["again", "class", "current", "spikes"]
    assert [one.compared for one in report.agreements.values()] == [12, 12, 36, 36]
    assert report.agreement.compared == 96
    assert report.agreement.same == sum(one.same for one in report.agreements.values()) > 80


def test_a_list_in_the_models_order_is_the_same_as_a_mapping(model, tflite_bytes, samples):
    one, other = (load(tflite_bytes).predict(x) for x in (samples, [samples["image"], samples["motion"]]))
    assert list(one) == list(other) == ["again", "class", "current", "spikes"]
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    assert verify(model, tflite_bytes, list(samples.values())).exact


def test_predictions_are_keras_up_to_the_rounding_of_kernels(model, tflite_bytes, samples):
    expected, found = computed(model, samples), load(tflite_bytes).predict(samples)
    assert {name: values.shape for name, values in found.items()} == {n: x.shape for n, x in expected.items()}
    assert np.mean(np.sign(expected["spikes"]) == found["spikes"]) > 0.9
    np.testing.assert_array_equal(found["class"], found["again"])
    # The neuron needs the current up to twice the threshold, 0.6 and a bit; the output must reach further.
    largest = np.abs(expected["current"]).max()
    assert largest > 1.2
    assert np.abs(found["current"]).max() > 0.8 * largest


def test_the_program_takes_and_gives_mappings(tflite_bytes, samples):
    predictor = load(tflite_bytes)
    integers = quantize_input(predictor.program, samples)
    outputs = dequantize_output(predictor.program, predictor.program.run(integers))
    for name, values in predictor.predict(samples).items():
        np.testing.assert_array_equal(outputs[name], values)
    assert predictor.input_shape == {"image": (6, 6, 2), "motion": (T, 5)}
    assert predictor.output_shape == {"again": (4,), "class": (4,), "current": (T, 9), "spikes": (T, 9)}


def test_the_files_signature_has_keras_names_and_the_runtime_finds_the_values_by_them(tflite_bytes, samples):
    interpreter = Interpreter(model_content=tflite_bytes)
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image", "motion"], "outputs": ["again", "class", "current", "spikes"]}
    }
    program = flatbuffer.read(tflite_bytes)
    integers = quantize_input(program, {name: values[:1] for name, values in samples.items()})
    outputs = interpreter.get_signature_runner()(**integers)
    for name, values in program.run(integers).items():
        np.testing.assert_array_equal(outputs[name], values)


def test_a_written_file_is_read_back_with_its_names(tflite_bytes):
    assert flatbuffer.write(flatbuffer.read(tflite_bytes)) == tflite_bytes


def test_folding_keeps_the_structure_and_every_spike(model, samples):
    folded = fold(model)
    assert [x.name for x in folded.inputs] == ["image", "motion"]
    expected, found = computed(model, samples), computed(folded, samples)
    assert list(found) == list(expected)
    np.testing.assert_array_equal(found["spikes"], expected["spikes"])
    for name in ("class", "current"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_steps_equal_the_unrolled_file(model, tflite_bytes, samples):
    expected = load(tflite_bytes).predict(samples)
    runner = StepRunner(export_tflite(model, input_range=RANGES, form="step"))
    for i in range(3):
        image, motion = samples["image"][i], samples["motion"][i]
        steps = [runner.step({"image": image, "motion": frame}) for frame in motion]
        for name in ("current", "spikes"):
            np.testing.assert_array_equal([step[name] for step in steps], expected[name][i])
        last = runner.run({"image": np.stack([image] * T), "motion": motion})
        np.testing.assert_array_equal(last["class"], expected["class"][i])
        runner.reset()


def test_stopping_early_needs_one_output(model):
    runner = StepRunner(export_tflite(model, input_range=RANGES, form="step"))
    with pytest.raises(ValueError, match=r"Stopping early needs one output.*confidence=0.9.*'class'.*Call step\(\)"):
        runner.run({}, confidence=0.9)


def test_a_frame_without_one_of_the_inputs_is_refused(model, samples):
    runner = StepRunner(export_tflite(model, input_range=RANGES, form="step"))
    with pytest.raises(ValueError, match=r"`frame`.*\['image', 'motion'\].*Missing: \['motion'\], unknown: \[\]"):
        runner.step({"image": samples["image"][0]})
    with pytest.raises(ValueError, match=r"`frames` must hold equally many.*'image': 12, 'motion': 3"):
        runner.run({"image": samples["image"], "motion": samples["motion"][0]})


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
def test_no_operator_is_left_to_the_cpu(target, tflite_bytes):
    pytest.importorskip("ethosu", reason="needs the extra ethos-u")
    assert check(tflite_bytes, target=target).refused == ()


def test_the_certificate_states_a_range_for_each_input(model, tflite_bytes, samples):
    certificate = certify(model, tflite_bytes, samples)
    assert certificate.exact
    assert [layer.compared for layer in certificate.spikes] == [12 * T * n for n in (144, 6, 7, 9)]
    assert certificate.metadata["input_range"] == {"image": [0, 1], "motion": [-1, 1]}
    assert "image 0 to 1, motion -1 to 1" in certificate.to_html()


def test_one_range_serves_all_inputs():
    program = flatbuffer.read(export_tflite(chain_of_two(), input_range=(-3, 3)))
    assert [float(program.tensors[index].scale) for index in program.inputs] == [float(np.float32(3 / 127))] * 2
    assert program.metadata["input_range"] == {"input": [-3, 3], "input_1": [-3, 3]}


def chain_of_two(shape=(T, 4)):
    """Two inputs that Keras names itself; only the sum goes through a neuron."""
    inputs = [keras.Input(shape), keras.Input(shape)]
    spikes = TernaryLIF()(layers.Add()([layers.Dense(4)(x) for x in inputs]))
    return keras.Model(inputs, TimeAverage(name="mean")(layers.Dense(3)(spikes)))


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"image": (0, 1)}, r"a range for each of \['image', 'motion'\]\. Received ranges for: \['image'\]"),
        ({**RANGES, "sound": (0, 1)}, r"Received ranges for: \['image', 'motion', 'sound'\]"),
        ({"image": (0, 1), "motion": (1, 0)}, r"low < high, both finite\. Received: \(1, 0\)"),
    ],
)
def test_ranges_that_do_not_fit_the_inputs_are_refused(ranges, message, model):
    with pytest.raises(ValueError, match=message):
        export_tflite(model, input_range=ranges)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"image": x["image"]}, r"each of \['image', 'motion'\].*Missing: \['motion'\], unknown: \[\]"),
        (lambda x: {**x, "sound": x["image"]}, r"Missing: \[\], unknown: \['sound'\]"),
        (lambda x: x["image"], r"each of \['image', 'motion'\], by name\. Received: one ndarray"),
        (lambda x: [x["image"]], "by name. Received: one list"),
        (lambda x: {**x, "motion": x["motion"][:, :2]}, r"`samples\['motion'\]` must have shape \('samples', 3, 5\)"),
        (lambda x: {**x, "motion": x["motion"][:5]}, "equally many samples.*'image': 12, 'motion': 5"),
        (lambda x: {**x, "image": x["image"] * np.nan}, r"`samples\['image'\]` must be finite"),
    ],
)
def test_samples_that_do_not_fit_the_inputs_are_refused(change, message, tflite_bytes, samples):
    for function in (load(tflite_bytes).predict, lambda x: verify(None, tflite_bytes, x)):
        with pytest.raises(ValueError, match=message):
            function(change(samples))


def test_a_model_of_other_inputs_than_the_file_is_refused(tflite_bytes, samples):
    other = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"equally many inputs\. Received: 1 of the model, \['image', 'motion'\]"):
        verify(other, tflite_bytes, samples)


def test_an_input_whose_time_axis_only_a_merge_needs_is_a_sequence():
    image, motion = keras.Input((4,), name="image"), keras.Input((T, 4), name="motion")
    sum_ = layers.Add(name="sum")([TernaryLIF()(layers.Dense(4)(DirectEncoding(T)(image))), motion])
    network = describe(keras.Model([image, motion], sum_))
    assert [(node.name, node.temporal, node.shape) for node in network.nodes if isinstance(node, Input)] == [
        ("image", False, (4,)),
        ("motion", True, (4,)),
    ]


def test_a_vector_added_to_a_sequence_stays_without_time_axis():
    vector, motion = keras.Input((4,), name="vector"), keras.Input((T, 4), name="motion")
    network = describe(keras.Model([vector, motion], TernaryLIF()(layers.Add()([vector, motion]))))
    assert [(node.temporal, node.shape) for node in network.nodes if isinstance(node, Input)] == [
        (False, (4,)),
        (True, (4,)),
    ]
    assert any(isinstance(node, Repeat) and node.inputs == ("vector",) for node in network.nodes)


def test_time_reaches_both_sides_of_a_sum_through_any_reader():
    network = describe(chain_of_two())
    assert [node.temporal for node in network.nodes if isinstance(node, Input)] == [True, True]
    assert network.timesteps == T


@pytest.mark.parametrize("second", [4, 1])
def test_inputs_with_different_timesteps_are_refused_with_both_lengths(second):
    one, other = keras.Input((T, 4), name="one"), keras.Input((second, 4), name="other")
    values = [TernaryLIF()(layers.Dense(4)(x)) for x in (one, other)]
    with pytest.raises(ValueError, match=rf"must be equal, on both sides of a shortcut.*'one': 3, 'other': {second}"):
        export_tflite(keras.Model([one, other], [TimeAverage()(value) for value in values]))


def test_an_input_that_leaves_as_it_is_and_one_that_nobody_reads_pass_through(rng):
    read, unread = keras.Input((4,), name="read"), keras.Input((3,), name="unread")
    model = keras.Model([read, unread], [layers.Dense(2, name="head")(read), read])
    tflite_bytes = export_tflite(model, input_range=(-1, 1))
    samples = {"read": rng.uniform(-1, 1, (5, 4)), "unread": rng.uniform(-1, 1, (5, 3))}
    assert verify(model, tflite_bytes, samples).exact
    found = load(tflite_bytes).predict(samples)
    assert list(found) == ["head", "read"]
    np.testing.assert_allclose(found["read"], samples["read"], atol=0.5 * 2 / 254)  # one rounding


def test_a_softmax_of_a_value_that_also_leaves_without_it_is_left_out_once():
    inputs = keras.Input((4,))
    value = layers.Dense(3, name="head")(inputs)
    network = describe(keras.Model(inputs, [value, layers.Softmax(name="soft")(value)]))
    assert (network.outputs, network.output_names) == (("head", "head"), ("head", "soft"))
    assert network.notes == ("softmax left out: the file's outputs are logits",)


def test_a_softmax_that_a_layer_reads_past_a_linear_activation_is_refused():
    chain = [layers.Softmax(name="soft"), layers.Activation("linear"), layers.Dense(2)]
    with pytest.raises(ValueError, match=r"softmax may stand at the very end.*'soft'"):
        describe(keras.Sequential([keras.Input((4,)), *chain]))


def test_the_same_model_gives_the_same_bytes_twice(model, tflite_bytes):
    assert export_tflite(model, input_range=dict(reversed(RANGES.items()))) == tflite_bytes
