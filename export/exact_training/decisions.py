"""What is decided once when a network is made of integers: its grids, multipliers and where neurons fire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import keras
import numpy as np

from ..network import nodes
from ..network.nodes import Network, Node
from ..program.grid import Grid
from ..quantize.current_grids import effective_decay, keeps_rest
from ..quantize.emit.context import Context
from ..quantize.input_ranges import Range, Ranges, ranges_of
from ..quantize.integer_neuron import step
from ..quantize.to_program import emitted

DTYPE = "float32"  # of exact layers, whatever the user's policy: half precision does not count to 127 * 127
# Layers in order, and the weights of each.
Layers = list[tuple[keras.layers.Layer, list[np.ndarray]]]


@dataclass(frozen=True)
class Decisions:
    """What `quantize` decides for a folded network.

    folded: the network; its nodes become layers.
    context: of its emission; `context.network` is the same network with its sums cut and its shortcuts named.
    """

    folded: Network
    context: Context

    def grid(self, name: str) -> Grid:
        """Of the value of node `name`, in the real numbers of the folded network."""
        grid, unit = self.context.signals[name].grid, self.context.unit(name)
        if unit == 1:
            return grid
        currents = self.context.currents
        is_current = name in currents and grid.scale == currents[name].grid.scale  # otherwise it has fired already
        return replace(grid, scale=step(self.quiet_steps(name)) if is_current else 1.0, unit=1.0)

    def quiet_steps(self, name: str) -> int | None:
        """The threshold of the neurons that node `name` is a current of lies at quiet_steps + 1/2 steps."""
        return self.context.currents[name].quiet_steps if name in self.context.currents else None


def decide(folded: Network, input_range: Ranges, output_ranges: Mapping[str, Range]) -> Decisions:
    """Raises ValueError as `quantize` does, and for what cannot be trained on integers."""
    for node in folded.nodes:
        check_trainable(folded, node)
    return Decisions(folded, emitted(folded, ranges_of(folded, input_range), output_ranges)[0])


def check_trainable(network: Network, node: Node) -> None:
    """Raises ValueError for a node whose integers no exact layer computes."""
    if isinstance(node, nodes.TimestepAffine):
        raise ValueError(
            "Integer-exact training has one kernel for all timesteps. Received: layer "
            f"{node.name!r} with a factor per timestep. Use ThresholdDependentBatchNormalization, or export the float "
            "model."
        )
    if isinstance(node, nodes.Integrator | nodes.FinalState):
        raise ValueError(
            f"Integer-exact training knows no membranes that are read. Received: layer {node.name!r}. Export the float "
            "model: what leaves as numbers loses little in rounding."
        )
    if isinstance(node, nodes.LIF) and keeps_rest(network, node):
        raise ValueError(
            f'Integer-exact training needs reset="zero". Received: layer {node.name!r} with reset={node.reset!r}. '
            'Train it with reset="zero", or export the float model.'
        )
    if isinstance(node, nodes.LIF) and not isinstance(effective_decay(network, node), Fraction):
        raise ValueError(
            f"Integer-exact training needs one decay for all channels. Received: layer {node.name!r} with one decay "
            "per channel. Use a single decay, or export the float model."
        )
