"""The grammar of tensor names: what is made is read back, and nothing else is made or proven."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from branching_networks import BLOCKS, built
from keras_ternary_spike import DirectEncoding, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.certificate.isolation import own_operators
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import SPIKE, Grid
from keras_ternary_spike.export.program.names import Name, is_state, parse, partner, read
from keras_ternary_spike.export.tflite.flatbuffer import read as read_file

WRITTEN = {
    "image": Name("image"),
    "lif/spike/0": Name("lif", "spike", 0),
    "conv/current": Name("conv", "current"),
    "conv/current/1/full": Name("conv", "current", 1, parts=("full",)),
    "lif/spike/1/padded": Name("lif", "spike", 1, parts=("padded",)),
    "both/sum/2/0": Name("both", "sum", 0, index="2"),
    "lif/sum/1+3": Name("lif", "sum", index="1+3"),
    "lif/within/3": Name("lif", "within", index="3"),
    "pool/ones_2x2": Name("pool", "ones", index="2x2"),
    "pool/sum/0/stage1": Name("pool", "sum", 0, parts=("stage1",)),
    "pool/stage1": Name("pool", parts=("stage1",)),
    "zero/2d": Name("", "zero", index="2d"),
    "beyond/5@1.5e-05/3d": Name("", "beyond", index="5@1.5e-05/3d"),
    "conv/kernel@0": Name("conv", "kernel@0"),
    "lif/spike/0#2": Name("lif", "spike", 0, copy="2"),
    "state_in/lif": Name("lif", "state_in"),
    "state_out/outer/lif": Name("outer/lif", "state_out"),
}
AWKWARD = ["outer/lif", "spike", "outer/spike", "sum", "conv/0", "rows", "a\nb", "x#1", "1", "spike/0"]


@pytest.mark.parametrize("text, name", WRITTEN.items())
def test_a_name_is_written_and_read_back(text, name):
    assert str(name) == text
    assert parse(text) == name


@pytest.mark.parametrize("layer", AWKWARD)
def test_a_layer_may_be_called_as_it_likes(layer):
    for name in (
        Name(layer, "spike", 2),
        Name(layer, "membrane", 0),
        Name(layer, "kernel"),
        Name(layer, "decay").ranked(3),
    ):
        assert parse(str(name)) == name


@pytest.mark.parametrize("text", ["lif/hold/0", "lif/spike", "lif/Spike/0", "outer/lif", "lif/spike/0/again", "a/"])
def test_anything_else_is_no_name(text):
    assert read(text) is None
    with pytest.raises(ValueError, match=r"role one of spike.*Received"):
        parse(text)


def test_an_unknown_role_cannot_be_made():
    with pytest.raises(ValueError, match=r"Received: role 'hold' of layer 'lif'.*ROLES"):
        Name("lif", "hold", 0)
    with pytest.raises(ValueError, match=r"Received: parts .'again',. of layer"):
        Name("lif", "spike", 0).part("again")
    builder = Builder()
    tensor = builder.activation("image", (4,), Grid(1.0))
    with pytest.raises(ValueError, match="Received: 'lif/hold/0'"):
        builder.emit("ADD", (tensor, tensor), "lif/hold/0", (4,), SPIKE)
    with pytest.raises(ValueError, match="Received: 'lif/holds'"):
        builder.constant("lif/holds", np.zeros(4, np.int8))
    with pytest.raises(ValueError, match="Received: 'lif/spike'"):  # of which timestep?
        builder.rename(tensor, Name("lif", "spike"))


def test_timesteps_and_states():
    assert str(parse("lif/spike/0").at(2)) == "lif/spike/2"
    assert str(parse("conv/current/full").at(2)) == "conv/current/2/full"
    assert str(parse("add/sum/1").at(2)) == "add/sum/1/2"  # the first of several sums
    assert str(parse("state_out/lif").at(2)) == "lif/state/2"
    assert parse("state_in/spike/0") == Name("state_in", "spike", 0)  # of a spiking layer that is called so
    assert is_state("state_in/lif", "state_in") and not is_state("state_out/lif", "state_in")
    assert partner("state_in/outer/lif") == "state_out/outer/lif"


@pytest.fixture(scope="module")
def program():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3), TernaryLIF(name="first"), keras.layers.Dense(3), TernaryLIF(name="second")]
    layers += [keras.layers.Dense(2), TimeAverage()]
    return read_file(export_tflite(keras.Sequential([keras.Input((5,)), DirectEncoding(3), *layers])))


def renamed(program, old, new):
    tensors = (replace(tensor, name=tensor.name.replace(old, new)) for tensor in program.tensors)
    return replace(program, tensors=tuple(tensors))


@pytest.mark.parametrize("role", ["state", "leaked", "membrane", "spike"])
def test_a_renamed_role_is_an_error_of_the_proof(program, role):
    assert all(proof.holds for proof in prove(program))
    with pytest.raises(ValueError, match=rf"Received: 'second/{role}s/\d'"):
        prove(renamed(program, f"second/{role}/", f"second/{role}s/"))
    with pytest.raises(ValueError, match=r"'second/scaled/\d' among the operators of a spiking layer"):
        prove(renamed(program, f"second/{role}/", "second/scaled/"))


def test_layers_with_one_name_in_front_of_another_are_told_apart(program):
    """The operators of "second" are those of the layer "first/second", too, once it is called so."""
    moved = renamed(program, "second/", "first/second/")
    assert len(own_operators(moved, "first")) == len(own_operators(program, "first"))
    assert len(own_operators(moved, "first/second")) == len(own_operators(program, "second"))
    neurons = [dict(one, name=one["name"].replace("second", "first/second")) for one in program.metadata["neurons"]]
    proofs = prove(replace(moved, metadata=dict(program.metadata, neurons=neurons)))
    assert [proof.layer for proof in proofs] == ["first", "first/second"]
    assert all(proof.holds and proof.spikes for proof in proofs)


@pytest.mark.parametrize("form", ["unrolled", "step"])
@pytest.mark.parametrize("block", ["u_net", "separable_and_grouped", "added_twice"])
def test_every_name_of_a_file_is_read_back(block, form):
    model = built(BLOCKS[block], np.random.default_rng(0), static=form == "unrolled")
    program = read_file(export_tflite(model, form=form))
    layers = {neuron["name"] for neuron in program.metadata["neurons"]}
    for tensor in program.tensors:
        name = parse(tensor.name)
        assert str(name) == tensor.name
        assert name.role != "spike" or name.layer in layers
