"""The certificate: every layer proven, spikes of the model's own layers."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import keras
import numpy as np
import pytest

from certified_models import build
from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import certify, energy, export_tflite
from keras_ternary_spike.export.certificate.certificate import memory
from keras_ternary_spike.export.certificate.front import front
from keras_ternary_spike.export.costs.energy import TABLES
from keras_ternary_spike.export.tflite.flatbuffer import read, write

RUNTIMES = ["reference", "optimized", "xnnpack", "tflm"]


def test_an_exported_file_is_exact_and_every_layer_is_proven(certificate):
    assert certificate.exact
    assert [proof.holds for proof in certificate.proofs] == [True, True, True]
    assert [(proof.layer, proof.method) for proof in certificate.proofs] == [
        ("lif_0", "currents"),
        ("lif_1", "pairs"),
        ("lif_2", "kernel"),
    ]


def test_every_operand_is_tried_on_every_runtime(certificate):
    constant, changing, kernel = certificate.proofs
    # 256 currents; 65,536 pairs at the second and third timestep; 4 channels.
    assert [proof.cases for proof in certificate.proofs] == [256, 2 * 65536, 4]
    # The values of a case: a constant current brought into shape (2), 5 operators; three currents stacked (3), cut (3),
    # brought into shape (3), 9 operators.
    assert constant.compared == dict.fromkeys(RUNTIMES, 256 * (2 + 5))
    assert changing.compared == dict.fromkeys(RUNTIMES, 2 * 65536 * (9 + 9))
    assert changing.differing == dict.fromkeys(RUNTIMES, 0)
    assert kernel.compared == {}


def test_spike_tensors_of_a_layer_are_those_of_its_timesteps(certificate):
    assert [proof.spikes for proof in certificate.proofs] == [
        ("lif_0/spike/0", "lif_0/spike/1", "lif_0/spike/2"),
        ("lif_1/spike/0", "lif_1/spike/1", "lif_1/spike/2"),
        ("lif_2/spike/0", "lif_2/spike/1", "lif_2/spike/2"),
    ]


def test_spikes_are_compared_with_those_of_the_models_own_layers(model, tflite_bytes, samples, certificate):
    layers = [model.get_layer(f"lif_{index}").output for index in range(3)]
    expected = [np.sign(x) for x in computed(keras.Model(model.inputs, layers), samples)]
    program = read(tflite_bytes)
    scale = program.tensors[program.inputs[0]]
    integers = np.clip(np.rint(samples / np.float64(scale.scale)) + scale.zero_point, -128, 127).astype(np.int8)
    trace = program.trace(integers)
    for layer, proof, theirs in zip(certificate.spikes, certificate.proofs, expected, strict=True):
        ours = np.stack([trace[name] for name in proof.spikes], axis=1)
        assert (layer.same, layer.compared) == (np.count_nonzero(ours == theirs), 12 * 3 * 6 * 6 * 4)
        assert layer.firing_rate == np.mean(ours != 0)
        assert layer.share > 0.8


def test_a_negative_amplitude_leaves_the_spikes_comparable(samples):
    model = build(2, (0.25,))
    model.get_layer("lif_0").amplitude.assign(-1.5)
    (layer,) = certify(model, export_tflite(model), samples).spikes
    assert layer.share > 0.9


def small(middle, **neuron):
    """A chain with `middle` behind its neuron."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(2)])
    for layer in (PerTimestep(layers.Conv2D(8, 3, kernel_initializer="he_normal")), TernaryLIF(name="lif", **neuron)):
        model.add(layer)
    for layer in (*middle, PerTimestep(layers.Flatten()), PerTimestep(layers.Dense(5)), TimeAverage()):
        model.add(layer)
    return model


@pytest.mark.parametrize("amplitude", [0.5, -0.5])
def test_spikes_of_the_opposite_sign_are_those_of_keras(samples, amplitude):
    """-spike(x) = spike(-x), and a maximum takes positive amplitudes only: the file's spikes are -spike."""
    model = small([PerTimestep(keras.layers.MaxPooling2D())])
    model.get_layer("lif").amplitude.assign(amplitude)
    (layer,) = certify(model, export_tflite(model), samples).spikes
    assert (layer.flipped, layer.unsigned) == (amplitude < 0, False)
    assert layer.firing_rate > 0.1
    assert layer.share > 0.95


def test_signs_are_compared_channel_by_channel(samples):
    keras.utils.set_random_seed(0)
    norm, layers = keras.layers.BatchNormalization(), keras.layers
    model = keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(2)])
    for layer in (layers.Conv2D(8, 3, kernel_initializer="he_normal"), layers.MaxPooling2D(), norm):
        model.add(PerTimestep(layer))
    model.add(TernaryLIF(name="lif"))
    for layer in (PerTimestep(layers.Flatten()), PerTimestep(layers.Dense(5)), TimeAverage()):
        model.add(layer)
    norm.gamma.assign(np.where(np.arange(8) % 3, 2.0, -2.0))
    tflite_bytes = export_tflite(model)
    (layer,) = certify(model, tflite_bytes, samples).spikes
    assert read(tflite_bytes).facts.neurons[0].flipped == (0, 3, 6)
    assert layer.flipped and not layer.unsigned
    assert layer.firing_rate > 0.2
    assert layer.share > 0.95
    old = without_flips(tflite_bytes)  # as a file of before, it says "Some channels" in a note
    (unsigned,) = certify(model, old, samples).spikes
    assert (unsigned.flipped, unsigned.unsigned, unsigned.compared) == (True, True, layer.compared)
    assert unsigned.same >= layer.same


def without_flips(tflite_bytes):
    program = read(tflite_bytes)
    neurons = [{key: value for key, value in one.items() if key != "flipped"} for one in program.metadata["neurons"]]
    return write(replace(program, metadata=program.metadata | {"neurons": neurons}))


def meeting_in_a_maximum(amplitude):
    keras.utils.set_random_seed(1)
    inputs, layers = keras.Input((6, 6, 1)), keras.layers
    first = TernaryLIF(name="first")(PerTimestep(layers.Conv2D(4, 3, padding="same"))(DirectEncoding(2)(inputs)))
    second = TernaryLIF(name="second")(PerTimestep(layers.Conv2D(4, 3, padding="same"))(first))
    pooled = PerTimestep(layers.MaxPooling2D(2))(layers.Add()([first, second]))
    third = TernaryLIF(name="third")(PerTimestep(layers.Conv2D(4, 3, padding="same"))(pooled))
    model = keras.Model(inputs, TimeAverage()(layers.Dense(3)(PerTimestep(layers.Flatten())(third))))
    for name in ("first", "second"):
        model.get_layer(name).amplitude.assign(amplitude)
    return model


def test_signs_of_a_shortcut_are_compared(samples):
    """The first two layers spike alike whatever the sign of the amplitude."""
    positive, negative = (
        certify(model, export_tflite(model), samples).spikes for model in map(meeting_in_a_maximum, (1.0, -1.0))
    )
    assert [layer.flipped for layer in negative] == [True, True, False]
    assert [layer.same for layer in negative[:2]] == [layer.same for layer in positive[:2]]
    assert all(layer.firing_rate > 0.2 and layer.share > 0.9 for layer in negative)


def test_without_a_model_nothing_is_compared_with_keras(tflite_bytes, samples):
    found = certify(None, tflite_bytes, samples)
    assert found.exact
    assert [(layer.compared, layer.share) for layer in found.spikes] == [(0, None)] * 3
    assert "not compared" in found.to_html()


def test_work_on_spikes_is_measured_on_the_samples(certificate):
    first, *_, total = (*certificate.work.layers, certificate.work.total)
    # 16 of 18 kernel rows meet a pixel of each axis: once, for the current is constant.
    assert (first.multiply_accumulates, first.additions) == (16 * 16 * 4, 0)
    # Two convolutions at three timesteps, the classes once, on the sum of spikes.
    assert total.additions == 2 * 3 * 16 * 16 * 4 * 4 + 144 * 5
    assert 0 < total.additions_measured < total.additions


def test_memory_counts_equal_constants_once(tflite_bytes):
    program = read(tflite_bytes)
    sizes = memory(program, tflite_bytes, None)
    assert (sizes.arena, sizes.file) == (None, len(tflite_bytes))
    assert 3 * 3 * 4 * 9 + 144 * 5 < sizes.constants < sizes.file
    assert sizes.gzip < sizes.file
    assert memory(replace(program, tensors=program.tensors * 2), tflite_bytes, None).constants == sizes.constants


def test_energy_is_that_of_the_file_on_the_samples_by_every_table(tflite_bytes, samples, certificate):
    assert [one.table for one in certificate.energy] == list(TABLES)
    expected = energy(tflite_bytes, samples, table="horowitz")
    found, page = certificate.energy[0], certificate.to_html()
    for name in ("event_driven", "dense_joules", "relu", "break_even", "share", "additions", "multiply_accumulates"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))
    assert [one.bits for one in found.information] == pytest.approx([one.bits for one in expected.information])
    assert f"<td>horowitz</td><td>{1e6 * expected.event_driven:.3g}</td>" in page
    assert f"it is {expected.share:.1%} now" in page
    assert certificate.to_dict()["energy"][0]["bits_per_addition"] == pytest.approx(expected.bits_per_addition)


def test_the_drawing_has_the_file_on_the_line_that_meets_relu_at_break_even(certificate):
    found = replace(certificate.energy[0], event_driven=2e-6, relu=3e-6, share=0.25, break_even=0.75)
    drawing = ElementTree.fromstring(front(found))
    line, relu = (path.get("d") for path in drawing.findall("path")[1:])
    low, high = (float(number) for number in re.findall(r"(?<= )[0-9.]+", line))
    dashes, dot = float(re.findall(r"[0-9.]+", relu)[1]), drawing.find("circle")
    height, across = float(dot.get("cy")), (float(dot.get("cx")) - 10) / 330
    assert across == pytest.approx(0.25, abs=1e-3)
    assert height == pytest.approx(low + 0.25 * (high - low), abs=0.1)
    assert dashes == pytest.approx(low + 0.75 * (high - low), abs=0.1)
    assert (170 - height) / (170 - dashes) == pytest.approx(2 / 3, abs=1e-3)  # of the joules
    assert front(replace(found, break_even=0.0)) == ""
    assert front(certificate.energy[0]) in certificate.to_html()


def test_json_holds_everything(certificate):
    document = json.loads(certificate.to_json())
    assert document == certificate.to_dict()
    assert document["exact"] is True
    assert document["report"]["exact"] is True
    assert [proof["holds"] for proof in document["proofs"]] == [True] * 3
    assert document["metadata"]["timesteps"] == 3
    assert document["target"] is None
    assert re.fullmatch(r"[0-9a-f]{64}", document["sha256"])


def test_an_unknown_target_is_refused_first(tflite_bytes):
    with pytest.raises(ValueError, match=r"`target` must be one of litert, .*Received: 'abacus'"):
        certify(None, b"no file", np.zeros((1, 6, 6, 1)), target="abacus")


def test_a_file_without_our_metadata_is_refused(tflite_bytes, samples):
    foreign = write(replace(read(tflite_bytes), metadata={}))
    with pytest.raises(ValueError, match="The file must state its spiking layers"):
        certify(None, foreign, samples)
