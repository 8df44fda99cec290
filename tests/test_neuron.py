"""The unrolled integer neuron on every pair of operands, against exact rational arithmetic and every runtime."""

from fractions import Fraction

import numpy as np
import pytest

from keras_ternary_spike.export import flatbuffer
from keras_ternary_spike.export.boundary import slices
from keras_ternary_spike.export.builder import Builder
from keras_ternary_spike.export.grid import INT8_MAX, INT8_MIN, Grid, MembraneGrid, largest_half, snap_decay
from keras_ternary_spike.export.network import Input
from keras_ternary_spike.export.neuron import emit_neuron
from keras_ternary_spike.export.runtimes import RUNTIMES, expose

DECAYS = [0.02, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.9, 0.97, 1.0]
ALL_CURRENTS = np.arange(INT8_MIN, INT8_MAX + 1)


def membrane_grid(decay, timesteps):
    fraction = snap_decay(decay) if timesteps > 1 else Fraction(0)
    return MembraneGrid(fraction, largest_half(fraction))


def neuron_program(decay, timesteps, width, signed=True):
    """A program of one neuron layer alone: its input holds the currents of every timestep."""
    builder, grid = Builder(), membrane_grid(decay, timesteps)
    node = Input(name="current", shape=(width,), temporal=True)
    step = Grid(grid.step)
    tensor = builder.activation("current", (timesteps, width), step)
    currents = slices(builder, node, tensor, step, timesteps)
    spikes = emit_neuron(builder, "lif", currents, grid, signed=signed)
    return builder.program("neuron", (tensor,), (spikes[-1],)), grid


def constant_program(decay, timesteps, signed=True):
    """As `neuron_program`, but one current serves all timesteps."""
    builder, grid = Builder(), membrane_grid(decay, timesteps)
    tensor = builder.activation("current", (256,), Grid(grid.step))
    spikes = emit_neuron(builder, "lif", (tensor,) * timesteps, grid, signed=signed)
    return builder.program("neuron", (tensor,), (spikes[-1],)), grid, spikes


def all_pairs():
    """Currents of two timesteps: `(1, 2, 65536)`."""
    first, second = np.meshgrid(ALL_CURRENTS, ALL_CURRENTS)
    return np.stack([first.ravel(), second.ravel()])[None].astype(np.int8)


def rational_neuron(currents, grid, signed):
    """Spikes of integer currents `(timesteps, ...)`, by integer arithmetic on d times the membrane."""
    n, d = grid.decay.numerator, grid.decay.denominator
    state, spikes = np.zeros(currents.shape[1:], np.int64), []
    for t, current in enumerate(currents.astype(np.int64)):
        scaled = n * state + d * current  # d times the membrane: the file rounds it only where it is carried on
        if t < len(currents) - 1:
            scaled = d * np.clip((2 * scaled + d) // (2 * d), INT8_MIN, INT8_MAX)
        spike = (2 * scaled >= d * (2 * grid.half + 1)).astype(int)
        if signed:
            spike = spike - (2 * scaled <= -d * (2 * grid.half + 1))
        spikes.append(spike)
        state = np.where(spike == 0, scaled // d, 0)
    return np.stack(spikes)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("decay", DECAYS)
def test_every_pair_of_currents_gives_the_same_spike_on_every_runtime(decay, signed):
    program, grid = neuron_program(decay, 2, 65536, signed)
    pairs = all_pairs()
    trace, tflite = program.trace(pairs), expose(flatbuffer.write(program))
    expected = rational_neuron(pairs[0], grid, signed)
    np.testing.assert_array_equal(trace["lif/spike/0"][0], expected[0])
    np.testing.assert_array_equal(trace["lif/spike/1"][0], expected[1])
    for name, runtime in RUNTIMES.items():
        for tensor, values in runtime.run(tflite, pairs).items():
            np.testing.assert_array_equal(values, trace[tensor], err_msg=f"{name}: {tensor}")


@pytest.mark.slow
def test_every_decay_that_can_be_exported_is_exact_on_every_pair():
    fractions = sorted({Fraction(n, d) for d in range(1, 64, 2) for n in range(1, d + 1)})
    pairs, runtimes = all_pairs(), [RUNTIMES[name] for name in ("reference", "xnnpack")]
    for fraction in fractions:
        program, grid = neuron_program(float(fraction), 2, 65536)
        assert grid.decay == fraction
        tflite, expected = flatbuffer.write(program), rational_neuron(pairs[0], grid, True)[1]
        for runtime in runtimes:
            (values,) = runtime.run(tflite, pairs).values()
            np.testing.assert_array_equal(values[0], expected, err_msg=f"decay {fraction} on {runtime.name}")


@pytest.mark.parametrize("timesteps", [1, 3, 5, 16])
@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 1.0])
def test_long_sequences_follow_the_rational_recurrence(rng, decay, timesteps):
    program, grid = neuron_program(decay, timesteps, 500)
    currents = rng.normal(0, 0.8 * grid.half, (1, timesteps, 500))
    currents = np.clip(np.rint(currents), INT8_MIN, INT8_MAX).astype(np.int8)
    trace = program.trace(currents)
    spikes = np.stack([trace[f"lif/spike/{t}"][0] for t in range(timesteps)])
    np.testing.assert_array_equal(spikes, rational_neuron(currents[0], grid, True))
    assert set(np.unique(spikes)) == {-1, 0, 1}


@pytest.mark.parametrize("timesteps, operators", [(1, 1), (2, 5), (4, 15)])
def test_operators_per_layer(timesteps, operators):
    program, _ = neuron_program(0.25, timesteps, 8)
    inputs = 1 + (timesteps > 1) * timesteps  # the reshape and the slices of the test's own input
    assert len(program.operators) - inputs == operators


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("timesteps", [2, 4, 7, 16])
def test_constant_current_fires_every_jth_timestep_on_every_runtime(timesteps, decay, signed):
    program, grid, spikes = constant_program(decay, timesteps, signed)
    currents = ALL_CURRENTS[None].astype(np.int8)
    trace, tflite = program.trace(currents), expose(flatbuffer.write(program))
    expected = rational_neuron(np.repeat(currents, timesteps, axis=0), grid, signed)
    names = [program.tensors[index].name for index in spikes]
    np.testing.assert_array_equal(np.stack([trace[name][0] for name in names]), expected)
    for name, runtime in RUNTIMES.items():
        for tensor, values in runtime.run(tflite, currents).items():
            np.testing.assert_array_equal(values, trace[tensor], err_msg=f"{name}: {tensor}")


@pytest.mark.parametrize("timesteps, operators", [(2, 2), (3, 5), (4, 8)])
def test_operators_per_layer_of_constant_current(timesteps, operators):
    program, *_ = constant_program(1.0, timesteps)
    assert len(program.operators) == operators


def test_saturated_currents_change_no_spike():
    """Whatever current lies beyond int8 fires whatever the state, exactly as its saturated value does."""
    for decay in DECAYS:
        grid = membrane_grid(decay, 2)
        states = np.arange(-grid.half, grid.half + 1)
        for current in (128, 200, 10**6, -129, -200, -(10**6)):
            exact = np.sign(current)
            saturated = np.clip(current, INT8_MIN, INT8_MAX)
            membrane = grid.decay.numerator * states + grid.decay.denominator * saturated
            fired = 2 * np.abs(membrane) > grid.decay.denominator * (2 * grid.half + 1)
            assert np.all(fired) and np.all(np.sign(membrane) == exact)
