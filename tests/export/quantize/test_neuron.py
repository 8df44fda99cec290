"""The unrolled integer neuron on every pair of operands, against exact rational arithmetic and every runtime."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

from every_runtime import assert_every_tensor_equals
from keras_ternary_spike.decay import snap_decay
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import INT8_MAX, INT8_MIN, Grid
from keras_ternary_spike.export.quantize.emit.neurons.neuron import emit_neuron
from keras_ternary_spike.export.quantize.integer_neuron import (
    Neuron,
    distinct,
    drop_steps,
    most_quiet_steps,
    snap,
    spike_unit,
)
from keras_ternary_spike.export.runtimes.implementations import RUNTIMES, litert, set_inputs
from keras_ternary_spike.export.tflite import flatbuffer

DECAYS = [0.02, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.9, 0.97, 1.0]
ALL_CURRENTS = np.arange(INT8_MIN, INT8_MAX + 1)
PAIRS = (ALL_CURRENTS[None, :], ALL_CURRENTS[:, None])  # as `all_pairs`: every first one with every second one


def neuron(decay, timesteps, signed=True, reset="zero", quiet_steps=None, *, plain=False):
    """decay: a number, or a tuple of one Fraction per channel. plain: 2 * threshold is worth 1, whatever the neuron."""
    if isinstance(decay, tuple):
        fraction = decay
    else:
        fraction = snap_decay(decay, even=reset == "subtract") if timesteps > 1 else Fraction(0)
    quiet_steps = quiet_steps or most_quiet_steps(max(distinct(fraction)))
    drop = drop_steps(fraction, quiet_steps)
    common = isinstance(fraction, Fraction)
    steps = {
        "zero": common and (quiet_steps + 1) * fraction,
        "subtract": drop * fraction if common else drop,
        "none": None,
    }[reset]
    unit = spike_unit(quiet_steps, steps) if steps and signed and not plain else 1.0
    return Neuron("lif", fraction, quiet_steps, signed, reset, drop, unit)


def neuron_program(one, timesteps, shape):
    """A program of one neuron layer alone: its input holds the currents of every timestep."""
    builder = Builder()
    grid = Grid(one.step)
    tensor = builder.activation("current", (timesteps, *shape), grid)
    spikes = emit_neuron(builder, one, builder.frames(tensor, "current", shape, grid, timesteps))
    return builder.program("neuron", (tensor,), (spikes[-1],))


def constant_program(one, timesteps):
    """As `neuron_program`, but one current serves all timesteps."""
    builder = Builder()
    tensor = builder.activation("current", (256,), Grid(one.step))
    spikes = emit_neuron(builder, one, (tensor,) * timesteps)
    return builder.program("neuron", (tensor,), (spikes[-1],)), spikes


def all_pairs():
    """Currents of two timesteps: `(1, 2, 65536)`."""
    first, second = np.meshgrid(ALL_CURRENTS, ALL_CURRENTS)
    return np.stack([first.ravel(), second.ravel()])[None].astype(np.int8)


def rational_neuron(currents, one):
    """Spikes of integer currents `(timesteps, ...)`."""
    return np.stack(rational_spikes(currents.astype(np.int64), one))


def rational_spikes(currents, one):
    """Of each timestep, by integer arithmetic on 2 d times the membrane. currents: arrays that broadcast, int64."""
    n, d = one.decay.numerator, one.decay.denominator
    doubled, spikes = np.zeros((), np.int64), []  # twice the state, in steps
    for current in currents:
        membrane = -((-2 * n * doubled - 2 * d) // (4 * d)) - 1  # the nearest whole number; there are no ties
        assert np.all((2 * n * doubled) % (4 * d) != 2 * d)
        membrane = np.clip(membrane + current, INT8_MIN, INT8_MAX)
        spike = (2 * membrane >= 2 * one.quiet_steps + 1).astype(int)
        if one.signed:
            spike = spike - (2 * membrane <= -(2 * one.quiet_steps + 1))
        spikes.append(spike)
        left = {"zero": 2 * membrane * (spike == 0), "none": 2 * membrane}
        left["subtract"] = 2 * membrane - int(2 * one.drop) * spike
        doubled = left[one.reset]
    return spikes


def check_everywhere(program, inputs, expected):
    """Program against the spikes expected, by tensor name, and every runtime against Program."""
    trace, tflite = program.trace(inputs), flatbuffer.write(program)
    for name, spikes in expected.items():
        np.testing.assert_array_equal(trace[name][0], spikes, err_msg=name)
    assert_every_tensor_equals(trace, tflite, inputs)


@pytest.mark.parametrize("signed, plain", [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("decay", DECAYS)
def test_every_pair_of_currents_gives_the_same_spike_on_every_runtime(decay, signed, plain):
    one = neuron(decay, 2, signed, plain=plain)
    pairs = all_pairs()
    expected = rational_neuron(pairs[0], one)
    check_everywhere(neuron_program(one, 2, (65536,)), pairs, {f"lif/spike/{t}": expected[t] for t in range(2)})


@pytest.mark.extended
@pytest.mark.parametrize("decay", [0.02, 0.25, 1.0])
def test_every_grid_is_exact_on_every_pair(decay):
    """Shortcuts beside a current leave coarser grids."""
    pairs = all_pairs()
    for quiet_steps in range(1, neuron(decay, 2).quiet_steps + 1):
        one = neuron(decay, 2, quiet_steps=quiet_steps)
        expected = rational_neuron(pairs[0], one)
        check_everywhere(neuron_program(one, 2, (65536,)), pairs, {f"lif/spike/{t}": expected[t] for t in range(2)})


@pytest.mark.parametrize(
    "decay, reset, signed, quiet_steps",
    [
        *((decay, "subtract", True, 20) for decay in (0.02, 0.1, 0.25, 0.5, 0.9, 1.0)),
        *((decay, "none", True, 20) for decay in (0.1, 0.5, 1.0)),
        *((0.25, "subtract", signed, quiet_steps) for signed in (True, False) for quiet_steps in (1, 126)),
        (1.0, "subtract", False, 20),
        (0.9, "none", False, 126),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_every_pair_is_exact_where_spikes_leave_something(decay, reset, signed, quiet_steps, plain):
    one = neuron(decay, 3, signed, reset, quiet_steps, plain=plain)
    currents = np.concatenate([all_pairs(), np.zeros((1, 1, 65536), np.int8)], axis=1)
    expected = rational_neuron(currents[0], one)
    check_everywhere(neuron_program(one, 3, (65536,)), currents, {f"lif/spike/{t}": expected[t] for t in range(3)})


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("plain", [False, True])
def test_every_pair_is_exact_with_a_decay_for_every_channel(reset, signed, plain):
    decays = snap(np.array([0.0, 0.1, 0.25, 0.5, 0.9, 1.0, 0.97]))
    assert decays == tuple(Fraction(k, 63) for k in (0, 6, 16, 32, 57, 63, 61))
    one = neuron(decays, 3, signed, reset, quiet_steps=None if reset == "zero" else 20, plain=plain)
    currents = np.concatenate([all_pairs(), np.zeros((1, 1, 65536), np.int8)], axis=1)
    program = neuron_program(one, 3, (65536, len(decays)))
    channels = [rational_neuron(currents[0], replace(one, decay=decay)) for decay in decays]
    expected = {f"lif/spike/{t}": np.stack([spikes[t] for spikes in channels], axis=-1) for t in range(3)}
    check_everywhere(program, np.repeat(currents[..., None], len(decays), axis=-1), expected)


@pytest.mark.extended
@pytest.mark.parametrize("largest", [0.49, 1.0])
def test_every_decay_that_a_channel_can_have_is_exact_on_every_pair(largest):
    decays = snap(np.linspace(0, largest, 64))
    one = neuron(decays, 2, True, "zero")
    pairs = np.repeat(all_pairs()[..., None], len(decays), axis=-1)
    program = neuron_program(one, 2, (65536, len(decays)))
    tflite, expected = (
        flatbuffer.write(program),
        [rational_neuron(pairs[0, ..., 0], replace(one, decay=d)) for d in decays],
    )
    for name in ("reference", "xnnpack"):
        (values,) = RUNTIMES[name].run(tflite, pairs).values()
        np.testing.assert_array_equal(values[0], np.stack([spikes[1] for spikes in expected], axis=-1), err_msg=name)


def only_output(tflite, resolver, sample):
    """Of LiteRT, without the file read first as `Runtime.run` does, which takes longer than the call."""
    interpreter = litert(tflite, resolver=resolver)
    set_inputs(interpreter, [sample[:1]])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


@pytest.mark.extended
@pytest.mark.parametrize("reset, plain", [("zero", False), ("zero", True), ("subtract", False), ("subtract", True)])
def test_every_decay_that_can_be_exported_is_exact_on_every_pair(reset, plain):
    fractions = sorted({Fraction(n, d) for d in range(1, 64, 2) for n in range(1, d + 1)})
    if reset == "subtract":
        fractions = [fraction for fraction in fractions if fraction.numerator % 2 == 0 or fraction == 1]
    pairs = all_pairs()
    for fraction in fractions:
        one = neuron(float(fraction), 2, True, reset, None if reset == "zero" else 20, plain=plain)
        assert one.decay == fraction
        program = neuron_program(one, 2, (65536,))
        tflite, expected = flatbuffer.write(program), rational_spikes(PAIRS, one)[1].ravel()
        for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.AUTO):
            values = only_output(tflite, resolver, pairs)
            np.testing.assert_array_equal(values, expected, err_msg=f"decay {fraction} on {resolver.name}")


@pytest.mark.parametrize("timesteps", [1, 3, 5, 16])
@pytest.mark.parametrize(
    "decay, reset, plain",
    [
        (0.0, "zero", True),
        *((decay, "zero", plain) for decay in (0.1, 1.0) for plain in (False, True)),
        *((0.5, "subtract", plain) for plain in (False, True)),
        (1.0, "none", True),
    ],
)
def test_long_sequences_follow_the_rational_recurrence(rng, decay, timesteps, reset, plain):
    one = neuron(decay, timesteps, True, reset, plain=plain)
    program = neuron_program(one, timesteps, (500,))
    currents = rng.normal(0, 0.8 * one.quiet_steps, (1, timesteps, 500))
    currents = np.clip(np.rint(currents), INT8_MIN, INT8_MAX).astype(np.int8)
    trace = program.trace(currents)
    spikes = np.stack([trace[f"lif/spike/{t}"][0] for t in range(timesteps)])
    np.testing.assert_array_equal(spikes, rational_neuron(currents[0], one))
    assert set(np.unique(spikes)) == {-1, 0, 1}


@pytest.mark.parametrize(
    "decay, reset, plain, counts",
    [
        (0.25, "zero", False, (1, 5, 13)),
        (0.25, "zero", True, (1, 5, 15)),
        (0.25, "subtract", False, (1, 5, 13)),
        (1.0, "subtract", False, (1, 4, 10)),
        (0.25, "subtract", True, (1, 5, 15)),
        (1.0, "subtract", True, (1, 4, 12)),
        (0.25, "none", True, (1, 3, 9)),
        (1.0, "none", True, (1, 2, 6)),
        ((Fraction(1, 3), Fraction(1, 7)) * 4, "zero", True, (1, 5, 15)),
        ((Fraction(1, 3), Fraction(1, 7)) * 4, "subtract", False, (1, 5, 13)),
        ((Fraction(1, 3), Fraction(1, 7)) * 4, "subtract", True, (1, 5, 15)),
        ((Fraction(1, 3), Fraction(1, 7)) * 4, "none", True, (1, 3, 9)),
    ],
)
def test_operators_per_layer(decay, reset, plain, counts):
    for timesteps, operators in zip((1, 2, 4), counts, strict=True):
        one = neuron(decay, timesteps, True, reset, quiet_steps=60, plain=plain)
        inputs = 1 + (timesteps > 1) * timesteps  # the reshape and the slices of the test's own input
        assert len(neuron_program(one, timesteps, (8,)).operators) - inputs == operators


@pytest.mark.parametrize("reset", ["zero", "none"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("timesteps", [2, 4, 7, 16])
def test_constant_current_fires_as_the_recurrence_does_on_every_runtime(timesteps, decay, signed, reset):
    one = neuron(decay, timesteps, signed, reset)
    program, spikes = constant_program(one, timesteps)
    currents = ALL_CURRENTS[None].astype(np.int8)
    expected = rational_neuron(np.repeat(currents, timesteps, axis=0), one)
    names = [program.tensors[index].name for index in spikes]
    trace = program.trace(currents)
    np.testing.assert_array_equal(np.stack([trace[name][0] for name in names]), expected)
    check_everywhere(program, currents, {})


@pytest.mark.parametrize("reset, counts", [("zero", (2, 5, 7, 19)), ("none", (2, 3, 4, 8))])
def test_operators_per_layer_of_constant_current(reset, counts):
    for timesteps, operators in zip((2, 3, 4, 8), counts, strict=True):
        program, _ = constant_program(neuron(1.0, timesteps, True, reset), timesteps)
        assert len(program.operators) == operators


def test_saturated_currents_change_no_spike():
    """Whatever current lies beyond int8 fires whatever the state, exactly as its saturated value does."""
    for decay in DECAYS:
        one = neuron(decay, 2)
        states = np.arange(-one.quiet_steps, one.quiet_steps + 1)
        for current in (128, 200, 10**6, -129, -200, -(10**6)):
            exact = np.sign(current)
            saturated = np.clip(current, INT8_MIN, INT8_MAX)
            membrane = one.decay.numerator * states + one.decay.denominator * saturated
            fired = 2 * np.abs(membrane) > one.decay.denominator * (2 * one.quiet_steps + 1)
            assert np.all(fired) and np.all(np.sign(membrane) == exact)
