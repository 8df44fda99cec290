"""Rules for the layers of this package: neurons, and layers that make or remove the time axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import (
    BinaryLIF,
    BinaryLIFCell,
    DirectEncoding,
    LastTimestep,
    LeakyIntegrator,
    LeakyIntegratorCell,
    MultiLevelLIF,
    MultiLevelLIFCell,
    RecentTimesteps,
    TernaryLIF,
    TernaryLIFCell,
    TimeAverage,
    TimeMax,
)
from keras_ternary_spike.layers.overrides import check_call

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from .options import check_options
from .rule import BEGINNING, ENDING, SEQUENTIAL, Build, Rule, array, check_image, rule

MIN_RESET_AMOUNT, MAX_RESET_AMOUNT = 0.1, 2.0  # thresholds


def _direct_encoding(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (nodes.Repeat(**like(name, source, temporal=True)),)


def _over_time(kind: type[Node]) -> Build:
    def build(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
        return (kind(**like(name, source, temporal=False)),)

    return build


def _recent(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    check_image(layer, source)
    rows, *others = source.shape
    shape = (layer.timesteps * rows, *others)
    return (nodes.RecentTimesteps(timesteps=layer.timesteps, **like(name, source, shape=shape)),)


def _lif(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A TernaryLIF, a BinaryLIF, a MultiLevelLIF, or a keras.layers.RNN of one of their cells."""
    cell = layer.cell
    numbers = {"decay": _decay(layer, source), "threshold": _threshold(layer, source)}
    levels = {"signed": cell.dynamics.signed, "levels": cell.dynamics.highest, "dead_zone": cell.dynamics.dead_zone}
    amplitude = _amplitude(layer, source)
    lif = nodes.LIF(amplitude=amplitude, **levels, **_reset(layer), **numbers, **like(name, source))
    return (lif,)


def _integrator(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """A LeakyIntegrator, or a keras.layers.RNN of its cell."""
    return (nodes.Integrator(decay=_decay(layer, source), **like(name, source)),)


def _recurrent(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    """What the cell computes at every timestep, or at the last."""
    cell = layer.cell
    if type(cell) not in CELLS:  # a subclass may compute anything
        raise ValueError(
            f"Of recurrent layers only RNN of {', '.join(kind.__name__ for kind in CELLS)} is supported. Received: "
            f"layer {layer.name!r} with a {type(cell).__name__}."
        )
    check_call(cell)
    check_options(cell, CELLS[type(cell)])
    _check_recurrence(layer)
    *_, whole = built = CELLS[type(cell)].build(layer, name, source)
    return built if layer.return_sequences else (*built, last_timestep(f"{name}_last", whole))


def last_timestep(name: str, source: Node) -> nodes.LastTimestep:
    return nodes.LastTimestep(**like(name, source, temporal=False))


def last_state(layer: Any, name: str, outputs: Node, source: Node) -> tuple[Node, ...]:
    """What a layer with `return_state=True` gives beside its outputs.

    outputs: the node that holds them. source: the node that the layer reads.
    """
    if isinstance(layer.cell, LeakyIntegratorCell):
        return (last_timestep(name, outputs),) if outputs.temporal else (outputs,)
    (lif,) = _lif(layer, name, source)
    if lif.reset != "zero" or lif.dead_zone != 1:
        raise ValueError(
            "The state of a neuron that is read must be one that a spike clears, without a dead zone. Received: layer "
            f'{layer.name!r} with reset={lif.reset!r}, dead_zone={lif.dead_zone:g}. Build it with reset="zero" and '
            "dead_zone=1, or read the membrane of a LeakyIntegrator beside it."
        )
    numbers = {key: getattr(lif, key) for key in ("decay", "threshold", "signed", "levels")}
    return (nodes.FinalState(**numbers, **like(name, source, temporal=False)),)


def _reset(layer: Any) -> dict[str, Any]:
    """The fields of the node. What a spike takes off must leave the membrane within int8, and be a step at least."""
    reset, amount = (layer.cell.get_config()[option] for option in ("reset", "reset_amount"))
    if reset == "subtract" and not MIN_RESET_AMOUNT <= amount <= MAX_RESET_AMOUNT:
        raise ValueError(
            f"`reset_amount` must lie in [{MIN_RESET_AMOUNT}, {MAX_RESET_AMOUNT}] to be exported. Received: layer "
            f"{layer.name!r} with reset_amount={amount}. Train the layer with one in that range."
        )
    return {"reset": reset, "reset_amount": amount if reset == "subtract" else 1.0}


def _decay(layer: Any, source: Node) -> float | np.ndarray:
    decay = _one_or_channels(layer, "decay", source)
    if not np.all((decay >= 0) & (decay <= 1)):
        raise ValueError(f"`decay` must lie in [0, 1]. Received: {decay} in layer {layer.name!r}.")
    return decay


def _threshold(layer: Any, source: Node) -> float | np.ndarray:
    threshold = _one_or_channels(layer, "threshold", source)
    if not np.all(threshold > 0):
        raise ValueError(f"`threshold` must be positive. Received: {threshold} in layer {layer.name!r}.")
    return threshold


def _one_or_channels(layer: Any, name: str, source: Node) -> float | np.ndarray:
    """A number of the cell, or one per channel; a number where all channels have the same."""
    values = array(layer.cell, name)
    if values.shape not in ((), source.shape[-1:]):
        raise ValueError(
            f"`{name}` must be one number, or one per channel. Received: shape {values.shape} in layer "
            f"{layer.name!r} on {source.shape[-1]} channels."
        )
    return float(values.flat[0]) if np.all(values == values.flat[0]) else values


def _amplitude(layer: Any, source: Node) -> np.ndarray:
    """One number, or one per channel."""
    amplitude = array(layer.cell, "amplitude")
    if amplitude.shape not in ((), source.shape[-1:]):
        raise ValueError(
            f"Kernels that pixels share can take up one amplitude, or one per channel. Received: layer {layer.name!r} "
            f'with one per element, {amplitude.shape}. Build it with amplitude_per="channel", or behind Flatten.'
        )
    if np.all(amplitude == 0):
        raise ValueError(f"`amplitude` must not be 0: no spike would arrive anywhere. Received: layer {layer.name!r}.")
    return amplitude


def _check_recurrence(layer: Any) -> None:
    ways_out = {
        "go_backwards": ", and feed the frames in the other order",
        "stateful": ', and export form="step": the caller keeps the states',
    }
    for option, way_out in ways_out.items():
        if getattr(layer, option):
            raise ValueError(
                f"`{option}` must be False to be exported. Received: layer {layer.name!r} with {option}=True. Build "
                f"it with {option}=False{way_out}."
            )


NEURON = "decay decay_per snap_decay threshold threshold_per amplitude_per reset reset_amount"
TRAINING = "trainable_decay trainable_threshold trainable_amplitude surrogate detach_reset separate_bumps"
SEQUENCES = "return_sequences return_state go_backwards stateful"
UNREAD = "unroll zero_output_for_mask spike_regularizer"  # there is no mask
LEAK, LEVELS = "decay decay_per snap_decay", "levels signed dead_zone"
CELL, LEVELS_CELL = rule(_lif, NEURON, TRAINING), rule(_lif, f"{LEVELS} {NEURON}", TRAINING)
CELLS: Mapping[type, Rule] = {
    TernaryLIFCell: CELL,
    BinaryLIFCell: CELL,
    MultiLevelLIFCell: LEVELS_CELL,
    LeakyIntegratorCell: rule(_integrator, LEAK, "trainable_decay"),
}

SPIKING: Mapping[type, Rule] = {
    keras.layers.RNN: rule(_recurrent, f"cell {SEQUENCES}", UNREAD, SEQUENTIAL),
    DirectEncoding: rule(_direct_encoding, "timesteps", time=BEGINNING),
    TernaryLIF: rule(_recurrent, f"{NEURON} {SEQUENCES}", f"{TRAINING} {UNREAD}", SEQUENTIAL),
    BinaryLIF: rule(_recurrent, f"{NEURON} {SEQUENCES}", f"{TRAINING} {UNREAD}", SEQUENTIAL),
    MultiLevelLIF: rule(_recurrent, f"{LEVELS} {NEURON} {SEQUENCES}", f"{TRAINING} {UNREAD}", SEQUENTIAL),
    LeakyIntegrator: rule(_recurrent, f"{LEAK} {SEQUENCES}", "trainable_decay unroll zero_output_for_mask", SEQUENTIAL),
    TimeAverage: rule(_over_time(nodes.TimeAverage), time=ENDING),
    TimeMax: rule(_over_time(nodes.TimeMax), time=ENDING),
    LastTimestep: rule(_over_time(nodes.LastTimestep), time=ENDING),
    RecentTimesteps: rule(_recent, "timesteps", time=SEQUENTIAL),
}
