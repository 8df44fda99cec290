"""What currents are worth in the file's real numbers: a label, which no integer depends on."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from branching_networks import BLOCKS, REFUSED, built
from keras_ternary_spike.decay import snap_decay
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network.nodes import Add
from keras_ternary_spike.export.program.grid import float32
from keras_ternary_spike.export.quantize import current_grids as currents
from keras_ternary_spike.export.quantize.current_grids import plan_currents
from keras_ternary_spike.export.quantize.integer_neuron import spike_unit, step
from keras_ternary_spike.export.quantize.to_program import current_units, quantize
from node_graphs import Graph, assert_exact


@pytest.mark.parametrize("block", sorted(BLOCKS.keys() - REFUSED))
def test_no_integer_depends_on_the_unit(block, rng, monkeypatch):
    network = fold_network(describe(built(BLOCKS[block], rng)))
    program = quantize(network)
    monkeypatch.setattr(currents, "_unit", lambda network, group, quiet_steps: 1.0)
    plain = quantize(network)
    data, expected = ({t.name: t.data for t in one.tensors if t.data is not None} for one in (program, plain))
    weights = [name for name in expected if name.endswith(("/kernel", "/bias", "/steps"))]
    assert weights
    for name in weights:
        np.testing.assert_array_equal(data[name], expected[name], err_msg=name)
    inputs = rng.integers(-128, 128, (4, *program.tensors[program.inputs[0]].shape[1:])).astype(np.int8)
    trace, expected = program.trace(inputs), plain.trace(inputs)
    spikes = [name for name in expected if "/spike/" in name]
    for name in spikes:
        np.testing.assert_array_equal(trace[name], expected[name], err_msg=name)


@pytest.mark.parametrize("decay", [0.02, 0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("quiet_steps", [1, 20, 63, 100])
def test_the_weakest_leaked_membrane_that_fires_is_worth_a_spike(quiet_steps, decay):
    fraction = snap_decay(decay)
    label = step(quiet_steps, spike_unit(quiet_steps, (quiet_steps + 1) * fraction))
    assert label == float32(1 / ((quiet_steps + 1) * fraction))
    np.testing.assert_allclose((quiet_steps + 1) * float(fraction) * label, 1.0, rtol=1e-6)


def two_neurons(rng, **changes):
    """On one current. changes: fields of the second."""
    graph = Graph(rng, 3)
    current = graph.conv("conv", graph.stem())
    network = graph.finish(graph.add(Add, "both", graph.lif("first", current), graph.lif("second", current)))
    nodes = (replace(node, **changes) if node.name == "second" else node for node in network.nodes)
    return network.with_nodes(tuple(nodes))


def test_neurons_of_one_decay_share_a_unit(rng):
    network = two_neurons(rng)
    quiet_steps = plan_currents(network)["conv"].quiet_steps
    assert current_units(network)["conv"] == spike_unit(quiet_steps, (quiet_steps + 1) * Fraction(16, 63))
    _, trace = assert_exact(network, rng)
    assert {"first/leaked/0", "second/leaked/0"} <= set(trace)


@pytest.mark.parametrize(
    "changes",
    [
        {"decay": 0.5},
        {"signed": False},
        {"reset": "none"},
        {"reset": "subtract"},
        {"decay": np.linspace(0.1, 0.9, 5)},
    ],
)
def test_currents_of_different_neurons_keep_theirs(rng, changes):
    network = two_neurons(rng, **changes)
    assert "conv" not in current_units(network)
    assert_exact(network, rng)


@pytest.mark.parametrize("amount, shared", [(0.1, True), (0.7, True), (2.0, True), (30.0, False)])
@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_neurons_that_a_threshold_is_taken_off_share_a_unit(rng, decay, amount, shared):
    """30 thresholds would be worth more steps than XNNPACK's SUB takes."""
    network = two_neurons(rng, reset="subtract")
    fields = {"reset": "subtract", "decay": decay, "reset_amount": amount}
    nodes = (replace(node, **fields) if node.name in ("first", "second") else node for node in network.nodes)
    network = network.with_nodes(tuple(nodes))
    assert ("conv" in current_units(network)) == shared
    _, trace = assert_exact(network, rng)
    assert ("first/drop/0" in trace) != shared


def test_no_current_lies_on_the_grid_of_spikes(rng):
    """21 steps of 1/21 of the membrane are worth a spike: so would a step be."""
    network = two_neurons(rng)
    fields = {"decay": 1 / 21, "quiet_steps": 20}
    nodes = (replace(node, **fields) if node.name in ("first", "second") else node for node in network.nodes)
    network = network.with_nodes(tuple(nodes))
    assert plan_currents(network)["conv"].quiet_steps == 20
    assert "conv" not in current_units(network)
    assert_exact(network, rng)


def test_currents_that_leave_the_network_keep_theirs(rng):
    network = two_neurons(rng)
    network = replace(network, outputs=("conv",), output_names=())
    assert "conv" not in current_units(network)
