"""What files say of themselves: written, read, read from files of before, and refused where it is of other types."""

import copy
import json
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from keras_ternary_spike.export import verify
from keras_ternary_spike.export.certificate.proof import neurons, prove
from keras_ternary_spike.export.program.facts import Facts, NeuronFacts, flipped_by_notes
from keras_ternary_spike.export.tflite.flatbuffer import read, write

OLD_FILE = Path(__file__).with_name("version_0_1_0.tflite").read_bytes()  # before `flipped` was stated
METADATA = {
    "network": "net",
    "timesteps": 2,
    "form": "step",
    "input_range": {"image": [0.0, 1.0], "motion": [-1.0, 1.0]},
    "neurons": [
        {
            "name": "a",
            "levels": [-1, 0, 1],
            "trained_decay": 0.25,
            "decay": "16/63",
            "steps_per_unit": 201,
            "reset": "zero",
            "threshold": 0.5,
            "amplitude": [-0.5, 2.0],
            "flipped": [0, 3],
        },
        {
            "name": "b",
            "levels": [0, 1],
            "trained_decay": [0.5, 0.0],
            "decay": ["1/2", "0"],
            "steps_per_unit": 41,
            "reset": "subtract",
            "reset_steps": "20",
            "flipped": True,
        },
    ],
    "notes": ["a note"],
    "weights_sha256": "00ff",
}


def test_what_is_written_is_read_back():
    facts = Facts.from_json(METADATA)
    assert facts.to_json() == METADATA
    assert list(facts.to_json()) == list(METADATA)  # files keep their bytes
    assert facts.neurons[0] == NeuronFacts(
        name="a",
        decay=Fraction(16, 63),
        steps_per_unit=201,
        trained_decay=0.25,
        threshold=(0.5, 0.5),
        amplitude=(-0.5, 2.0),
        flipped=(0, 3),
    )
    assert facts.neurons[1].decay == (Fraction(1, 2), Fraction(0))
    assert (facts.neurons[0].signed, facts.neurons[1].signed) == (True, False)
    with pytest.raises(FrozenInstanceError):
        facts.form = "unrolled"


def test_a_file_that_states_nothing_has_defaults():
    assert Facts.from_json({}) == Facts()
    least = Facts(neurons=(NeuronFacts("a", Fraction(1, 3), 41),))
    assert Facts.from_json(least.to_json()) == least
    with pytest.raises(ValueError, match="must state its spiking layers"):
        neurons(replace(read(OLD_FILE), metadata={}))


def test_files_of_before_say_in_english_which_signs_are_flipped():
    program = read(OLD_FILE)
    assert read(write(program)).metadata == program.metadata
    assert {neuron.name: neuron.flipped for neuron in program.facts.neurons} == {"all": "all", "some": "some"}
    assert all(proof.holds for proof in prove(program))


@pytest.mark.parametrize("layer", ["lif", "it's", 'two "quotes"', "two\nlines"])
def test_notes_are_of_one_layer(layer):
    note = f"All channels of {layer!r} spike with the opposite sign: their amplitude is negative."
    some = note.replace("All", "Some")
    assert flipped_by_notes(["another note", note], layer) == "all"
    assert flipped_by_notes([note, some], layer) == "some"
    assert flipped_by_notes([note], "other") == "none"


def paths(value, path=()):
    """Where every value of a document stands."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from paths(one, (*path, key))


def changed(path, value):
    document = {"": copy.deepcopy(METADATA)}
    place, keys = document, ("", *path)
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return document[""]


HOSTILE = [5, -1, "text", "1/0", "9" * 400, True, [], [[]], {}, {"a": 1}, 1e400, float("nan"), 10**400, ["x"] * 3]


@pytest.mark.parametrize("path", list(paths(METADATA)), ids=str)
def test_a_value_of_another_type_is_an_error_that_names_its_key(path):
    refused = 0
    for value in (*HOSTILE, None):
        try:
            facts = Facts.from_json(changed(path, value))
        except ValueError as error:
            assert "metadata" in str(error) and "Received" in str(error) and len(str(error)) < 400
            assert not path or str(path[0]) in str(error)
            refused += 1
        else:
            json.dumps(facts.to_json(), allow_nan=False)
    assert refused >= 8


def test_a_file_with_other_metadata_is_refused_when_it_is_read():
    program = read(OLD_FILE)
    for metadata in ({"notes": 5}, {"neurons": "all"}, ["notes"], "text", 7):
        with pytest.raises(ValueError, match="metadata"):
            read(write(replace(program, metadata=metadata)))


def test_metadata_nested_without_end_is_refused():
    data = write(read(OLD_FILE))
    whole = json.dumps(read(OLD_FILE).metadata, ensure_ascii=False, separators=(",", ":")).encode()
    nested = b"[" * len(whole)
    with pytest.raises(ValueError, match="not JSON"):
        verify(None, data.replace(whole, nested), [])


@pytest.mark.parametrize("scale", [1e-7, 1e-12])
def test_a_damaged_scale_is_refused_before_a_runtime_sees_it(scale):
    """XNNPACK takes no product of scales of 256 times the output's or more."""
    program = read(OLD_FILE)
    last = next(o.output for o in reversed(program.operators) if o.kind == "FULLY_CONNECTED")
    tensors = list(program.tensors)
    tensors[last] = replace(tensors[last], scale=np.float32(scale))
    with pytest.raises(ValueError, match=r"less than 256 times .* XNNPACK does not compute others"):
        write(replace(program, tensors=tuple(tensors)))
