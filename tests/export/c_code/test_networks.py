"""Whole networks as C against Program.run: branches of every kind, both forms, resets, several inputs and outputs."""

import keras
import numpy as np
import pytest

from branching_networks import BLOCKS, built
from c_compilers import needs_compiler, run_checked
from certified_models import build
from keras_ternary_spike import (
    BinaryLIF,
    DirectEncoding,
    LeakyIntegrator,
    MultiLevelLIF,
    PerTimestep,
    TernaryLIF,
    TimeAverage,
)
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.tflite import flatbuffer
from random_programs import random_inputs

BRANCHES = ("post_add_projection", "membrane_shortcut", "concatenated_currents", "binary_shortcut")
MOVES = ("u_net", "borders", "separable_and_grouped", "lines")
SAFE = {"input_range": (0, 1), "output_range": (-8, 8), "verbose": 0}


def program_of(model, **options):
    return flatbuffer.read(export_tflite(model, **SAFE, **options))


def compared(programs):
    rng = np.random.default_rng(0)
    cases = [(program, random_inputs(rng, program, samples=2)) for program in programs]
    for (program, inputs), outputs in zip(cases, run_checked(cases), strict=True):
        trace = program.trace(inputs)
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, trace[name], err_msg=program.name)


@needs_compiler
def test_networks_with_branches_are_the_programs_bits():
    rng = np.random.default_rng(1)
    compared([program_of(built(BLOCKS[name], rng)) for name in BRANCHES + MOVES])


@needs_compiler
def test_every_neuron_and_both_forms_are_the_programs_bits():
    neurons = [
        *(lambda decay, name, reset=reset: TernaryLIF(decay=decay, reset=reset, name=name) for reset in RESETS),
        lambda decay, name: BinaryLIF(decay=decay, name=name),
        lambda decay, name: TernaryLIF(decay=np.linspace(0, decay, 4), threshold=np.linspace(0.2, 0.5, 4), name=name),
    ]
    models = [build(neuron=neuron, decays=(0.25, 0.5, 1.0)) for neuron in neurons]
    forms = [program_of(model, form=form) for model in models for form in ("unrolled", "step")]
    compared([*forms, *(program_of(build(timesteps=timesteps)) for timesteps in (1, 2))])


@needs_compiler
def test_graded_spikes_with_and_without_a_state_are_the_programs_bits():
    def graded(signed, **options):
        return lambda decay, name: MultiLevelLIF(4, signed=signed, decay=decay, threshold=0.2, name=name, **options)

    states = [build(neuron=graded(signed), decays=(0.25, 0.5)) for signed in (True, False)]
    zones = build(1, neuron=graded(False, dead_zone=1.7), decays=(0.25, 0.25))
    compared([*(program_of(model, form=form) for model in states for form in ("unrolled", "step")), program_of(zones)])


@needs_compiler
@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_membranes_read_at_the_end_are_the_programs_bits(form):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = (layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(5, kernel_initializer="he_normal"))
    first, flat, last = (PerTimestep(part) for part in parts)
    ends = (flat, last, LeakyIntegrator(decay=0.5))
    model = keras.Sequential([keras.Input((5, 5, 1)), DirectEncoding(3), first, TernaryLIF(threshold=0.2), *ends])
    compared([program_of(model, form=form)])


@needs_compiler
@pytest.mark.parametrize(
    ("timesteps", "channels", "padding"), [(3, 32, "same"), (4, 96, "same"), (5, 48, "same"), (5, 48, "valid")]
)
def test_neurons_of_any_number_of_timesteps_follow_events(timesteps, channels, padding):
    """The sums of 96 channels are computed part by part; spikes lie where those that they come from did, if as many."""
    program = program_of(separable(timesteps, channels, padding))
    found = design(program, "net")
    assert {step.facts.how for step in found.steps} == {"values", "event-driven"}
    assert len(found.steps) == 4
    assert ["scatter_layer" in step.kernels for step in found.steps] == [False, True, False, False]
    roots, pairs = found.memory.roots, [pair for step in found.steps for pair in step.in_place]
    assert [roots[read] == roots[written] for read, written in pairs] == [True] * len(pairs)
    assert len(pairs) >= (1 + (padding == "same")) * timesteps - 1
    compared([program])


def separable(timesteps, channels, padding):
    """A constant current, a depthwise and a pointwise layer."""
    keras.utils.set_random_seed(timesteps)
    layers = keras.layers
    convolutions = (
        layers.Conv2D(channels, 3, padding="same"),
        layers.DepthwiseConv2D(3, padding=padding, depthwise_initializer="he_normal"),
        layers.Conv2D(channels, 1, kernel_initializer="he_normal"),
    )
    parts = [part for one in convolutions for part in (PerTimestep(one), TernaryLIF(threshold=0.3))]
    ends = (PerTimestep(layers.Flatten()), PerTimestep(layers.Dense(3)), TimeAverage())
    return keras.Sequential([keras.Input((5, 7, 1)), DirectEncoding(timesteps), *parts, *ends])


RESETS = ("zero", "subtract", "none")


@needs_compiler
@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_several_inputs_and_outputs_are_the_programs_bits(form):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    one, other = keras.Input((4, 4, 2), name="image"), keras.Input((4, 4, 1), name="int")
    values = [PerTimestep(layers.Conv2D(3, 3, padding="same"))(DirectEncoding(2)(x)) for x in (one, other)]
    spikes = TernaryLIF()(layers.Add()(values))
    flat = PerTimestep(layers.Flatten())(spikes)
    outputs = {name: TimeAverage()(PerTimestep(layers.Dense(n))(flat)) for name, n in (("class", 3), ("size", 1))}
    compared([program_of(keras.Model([one, other], outputs), form=form)])
