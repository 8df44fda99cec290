"""The order of operators changes the RAM and nothing else."""

import itertools

import numpy as np
import pytest

from keras_ternary_spike.export.network.nodes import LIF, Conv, Dense, Input, Network, Reshape, SumPool, TimeSum
from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.program.schedule import depth_first, peak_bytes, with_small_peak
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.runtimes.implementations import arena_bytes
from keras_ternary_spike.export.tflite import flatbuffer

ONE = np.float32(1)


def program_of(sizes, operators, inputs, outputs):
    tensors = tuple(Tensor(f"t{i}", (1, size), ONE) for i, size in enumerate(sizes))
    return Program("p", tensors, tuple(Operator("ADD", ins, out) for ins, out in operators), inputs, outputs)


def test_peak_of_a_chain_is_its_largest_pair():
    chain = program_of([10, 20, 30, 5], [((0, 0), 1), ((1, 1), 2), ((2, 2), 3)], (0,), (3,))
    assert peak_bytes(chain) == 10 + 20 + 30  # the caller's input stays


def test_value_read_later_stays_alive():
    skip = program_of([10, 20, 30, 5], [((0, 0), 1), ((1, 1), 2), ((1, 2), 3)], (0,), (3,))
    assert peak_bytes(skip) == 10 + 20 + 30 + 5


def test_value_that_nobody_reads_dies_at_once():
    program = program_of([1, 10, 50, 60], [((0, 0), 1), ((0, 0), 2), ((1, 1), 3)], (0,), (3,))
    assert peak_bytes(program) == 1 + 10 + 60


def test_depth_first_finishes_a_branch_before_the_next():
    operators = [((0, 0), 1), ((0, 0), 2), ((1, 1), 3), ((2, 2), 4), ((3, 4), 5)]
    program = program_of([1] * 6, operators, (0,), (5,))
    assert [operator.output for operator in depth_first(program)] == [1, 3, 2, 4, 5]


def sequence_network(rng, timesteps, size=8, channels=(2, 24, 4)):
    """Wide in the middle: layer by layer keeps the wide layer of every timestep."""
    nodes, last = [Input(name="x", shape=(size, size, channels[0]), temporal=True)], "x"
    for layer, (fan_in, filters) in enumerate(itertools.pairwise(channels)):
        shape = (size, size, filters)
        kernel = rng.normal(0, 0.6 / np.sqrt(fan_in), (3, 3, fan_in, filters))
        options = {"kernel": kernel, "bias": np.zeros(filters), "padding": ((1, 1), (1, 1))}
        nodes.append(Conv(name=f"conv{layer}", inputs=(last,), shape=shape, temporal=True, **options))
        neuron = {"decay": 0.25, "threshold": 0.5, "amplitude": 1.0}
        nodes.append(LIF(name=f"lif{layer}", inputs=(f"conv{layer}",), shape=shape, temporal=True, **neuron))
        last = f"lif{layer}"
    nodes.append(TimeSum(name="time", inputs=(last,), shape=shape, temporal=False))
    pooled = {"shape": (1, 1, filters), "size": (size, size), "strides": (size, size), "temporal": False}
    nodes.append(SumPool(name="sum", inputs=("time",), **pooled))
    nodes.append(Reshape(name="flat", inputs=("sum",), shape=(filters,), temporal=False))
    weights = {"kernel": rng.normal(0, 0.1, (filters, 3)), "bias": np.zeros(3)}
    nodes.append(Dense(name="logits", inputs=("flat",), shape=(3,), temporal=False, **weights))
    return Network("n", tuple(nodes), ("logits",), timesteps)


@pytest.mark.parametrize("timesteps", [2, 6])
def test_smaller_order_needs_the_smaller_arena_and_gives_the_same_bits(rng, timesteps):
    program = quantize(sequence_network(rng, timesteps))
    layers = sorted(program.operators, key=lambda operator: operator.output)
    by_layer = Program(**{**vars(program), "operators": tuple(layers)})
    by_timestep = Program(**{**vars(program), "operators": tuple(depth_first(by_layer))})
    peaks = [peak_bytes(order) for order in (by_layer, by_timestep)]
    arenas = [arena_bytes(flatbuffer.write(order)) for order in (by_layer, by_timestep)]
    assert peak_bytes(program) == min(peaks) == peak_bytes(with_small_peak(by_layer))
    assert np.argmin(peaks) == np.argmin(arenas)
    inputs = rng.integers(-128, 128, (3, timesteps, 8, 8, 2)).astype(np.int8)
    np.testing.assert_array_equal(by_layer.run(inputs), by_timestep.run(inputs))
    assert peaks[1] < peaks[0]
