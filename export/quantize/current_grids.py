"""The grids of currents: every value that adds up to one neuron's current lies on one grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.queries import count_bound, fires
from ..program.grid import INT8_MAX, LARGEST_ADD_RATIO, SMALLEST_ADD_RATIO, Grid, spike_grid
from .integer_neuron import Decay, distinct, drop_steps, most_quiet_steps, snap, spike_unit, step
from .membrane_bounds import bounded_quiet_steps

HEADROOM = 3.0  # units of 2 * threshold that a sum of several unbounded currents may reach before it saturates
LEVEL_HEADROOM = 1.0  # units beyond the highest level, of graded neurons


def headroom_quiet_steps(levels: int = 1) -> int:
    """The finest grid on which a sum of currents stays within its headroom; 0 if there is none."""
    return int((INT8_MAX / max(HEADROOM, levels + LEVEL_HEADROOM) - 1) / 2)


HEADROOM_QUIET_STEPS = headroom_quiet_steps()


@dataclass(frozen=True)
class CurrentGrid:
    """quiet_steps: the threshold lies at quiet_steps + 1/2 steps. proven: whether saturation changes no spike.

    unit: what 2 * threshold is worth in the file's real numbers.
    """

    quiet_steps: int
    proven: bool
    unit: float = 1.0

    @property
    def grid(self) -> Grid:
        return Grid(step(self.quiet_steps, self.unit))


def plan_currents(network: Network) -> dict[str, CurrentGrid]:
    """The grid of every value that reaches a neuron as a current, by node name."""
    plan = {}
    for group in current_groups(network):
        neurons = (node for node in network.nodes if isinstance(node, nodes.LIF | nodes.FinalState))
        readers = [node for node in neurons if node.inputs[0] in group]
        if readers:
            grid = _fixed(group_grid(network, [network[name] for name in group], readers), readers[0])
            grid = replace(grid, unit=_graded_unit(network, group, readers) or _unit(network, group, grid.quiet_steps))
            plan.update(dict.fromkeys(group, grid))
        elif any(fires(network, node) for name in group for node in network.consumers(name)):
            plan.update(dict.fromkeys(group, CurrentGrid(HEADROOM_QUIET_STEPS, proven=False)))
    return plan


def _fixed(grid: CurrentGrid, reader: nodes.LIF) -> CurrentGrid:
    """`grid`, or that on which the reader was trained."""
    trained = reader.quiet_steps
    return grid if trained is None else CurrentGrid(trained, grid.proven and trained <= grid.quiet_steps)


def _graded_unit(network: Network, group: tuple[str, ...], readers: list[nodes.LIF]) -> float | None:
    """What a level of the neurons that read the group is worth; None where they are not graded.

    Raises:
        ValueError: if they have different levels, or the currents leave the network beside.
    """
    levels = {(reader.levels, reader.signed) for reader in readers}
    if all(highest == 1 for highest, _ in levels):
        return None
    names = ", ".join(repr(reader.name) for reader in readers)
    if len(levels) > 1:
        signs = [signed for _, signed in sorted(levels)]
        raise ValueError(
            f"Cannot export layers {names}: neurons that read the same currents must have the same levels. Received: "
            f"levels {sorted(highest for highest, _ in levels)}, signed {signs}. Put a layer with weights in front of "
            "each."
        )
    if any(name in network.outputs for name in group):
        raise ValueError(
            f"Cannot export layer {names}: currents of graded neurons have a unit of their own in a file, and cannot "
            "be its outputs too. Put a layer with weights in front of the output."
        )
    ((highest, signed),) = levels
    return spike_grid(highest, signed=signed).unit


def _unit(network: Network, group: tuple[str, ...], quiet_steps: int) -> float:
    """`spike_unit` where a spike of all neurons that read the group is to be worth as many steps; else 1."""
    outside = [node for name in group for node in network.consumers(name) if node.name not in group]
    neurons = [node for node in outside if not isinstance(node, nodes.Linear)]
    wanted = {_spike_steps(network, node, quiet_steps) for node in neurons}
    if len(wanted) != 1 or None in wanted or any(name in network.outputs for name in group):
        return 1.0
    return spike_unit(quiet_steps, wanted.pop())


def _spike_steps(network: Network, node: Node, quiet_steps: int) -> Fraction | None:
    """How many steps of the membrane have to be worth a spike so that its reset is SUB of the spike; None: none are.

    Never 1: a grid whose steps are worth a spike is one of spikes.
    """
    if not isinstance(node, nodes.LIF | nodes.FinalState) or not node.signed or node.reset == "none":
        return None
    decay = effective_decay(network, node)
    if node.reset == "zero" and not isinstance(decay, Fraction):
        return None
    taken = Fraction(quiet_steps + 1) if node.reset == "zero" else drop_steps(decay, quiet_steps, node.reset_amount)
    steps = taken * decay if isinstance(decay, Fraction) else taken
    return steps if SMALLEST_ADD_RATIO <= steps <= LARGEST_ADD_RATIO and steps != 1 else None


def current_groups(network: Network) -> list[tuple[str, ...]]:
    """Nodes that are not counts, grouped so that whatever is added, pooled or concatenated is in one group."""
    group = {node.name: (node.name,) for node in network.nodes if count_bound(network, node) is None}
    for node in network.nodes:
        if node.name in group and node.keeps_counts:
            joined = tuple(dict.fromkeys(name for part in (*node.inputs, node.name) for name in group.get(part, ())))
            group.update(dict.fromkeys(joined, joined))
    return list(dict.fromkeys(group.values()))


def group_grid(network: Network, members: list[Node], readers: list[nodes.LIF]) -> CurrentGrid:
    """The finest grid on which saturation changes no spike of the readers; a stated range where none is proven.

    Proven: one unbounded current, with or without shortcuts of spikes beside it, read by neurons that a spike clears;
    and whatever intervals bound (`bounded_quiet_steps`). Not proven: sums of several, what a spike does not clear, and
    what a kernel reads too, whose sums see how large a current is.
    """
    soft = [reader for reader in readers if keeps_rest(network, reader)]
    hard = [reader for reader in readers if reader not in soft]
    grids = [_soft_grid(network, members, reader) for reader in soft]
    if hard:
        grids.append(_hard_grid(network, members, hard))
    return CurrentGrid(min(grid.quiet_steps for grid in grids), proven=all(grid.proven for grid in grids))


def _hard_grid(network: Network, members: list[Node], readers: list[nodes.LIF]) -> CurrentGrid:
    decay = max(max(distinct(effective_decay(network, reader))) for reader in readers)
    adds = [node for node in members if isinstance(node, nodes.Add)]
    unbounded = [node for node in members if isinstance(node, nodes.Linear | nodes.TimestepAffine)]
    signed, levels = all(reader.signed for reader in readers), max(reader.levels for reader in readers)
    if len(adds) > 1 or (adds and len(unbounded) > 1) or _read_by_kernels(network, members):
        return CurrentGrid(_bounded(headroom_quiet_steps(levels), readers, decay), proven=False)
    shortcuts = [shortcut_bounds(network, node) for node in members if isinstance(node, nodes.Affine)]
    quiet_steps = most_quiet_steps(decay, lambda quiet_steps: reserve(quiet_steps, shortcuts), levels)
    if quiet_steps is None and not adds:
        quiet_steps = _bounded(0, readers, decay)
    if quiet_steps is None:
        raise ValueError(
            f"Cannot export layer '{adds[0].name}': its shortcuts bring {sum(a * n for a, n in shortcuts):.3g} times "
            "twice the threshold, too much for int8. Use smaller amplitudes or a larger threshold."
        )
    return CurrentGrid(quiet_steps, proven=signed or (levels > 1 and decay == 0))


def _read_by_kernels(network: Network, members: list[Node]) -> bool:
    """Whether a shortcut takes the currents along."""
    names = {member.name for member in members}
    outside = (reader for member in members for reader in network.consumers(member.name) if reader.name not in names)
    return any(isinstance(reader, nodes.Linear) for reader in outside)


def _soft_grid(network: Network, members: list[Node], reader: nodes.LIF) -> CurrentGrid:
    """Where a spike does not clear the membrane: the grid of `bounded_quiet_steps`, or the stated one if finer."""
    shortcuts = [shortcut_bounds(network, node) for node in members if isinstance(node, nodes.Affine)]
    decay = effective_decay(network, reader)
    least = _bounded(headroom_quiet_steps(reader.levels), [reader], Fraction(1))
    quiet_steps = bounded_quiet_steps(
        network, members, reader, decay, lambda quiet_steps: reserve(quiet_steps, shortcuts), least=least
    )
    return CurrentGrid(quiet_steps or least, proven=quiet_steps is not None)


def _bounded(quiet_steps: int, readers: list[nodes.LIF], decay: Fraction) -> int:
    """`quiet_steps`, if int8 holds the highest level on that grid. Without a state a step may be a whole level: 0.

    Raises:
        ValueError: naming the layer and the most levels that fit.
    """
    if quiet_steps or decay == 0:
        return quiet_steps
    name, levels = max((reader.levels, reader.name) for reader in readers)[::-1]
    raise ValueError(
        f"Cannot export layer {name!r}: beside a state int8 must hold the highest level in steps of a third of a "
        f"level: at most {INT8_MAX // 3 - 1} levels. Received: levels={levels}. Use fewer, or one timestep."
    )


def keeps_rest(network: Network, node: nodes.LIF) -> bool:
    """Whether a spike leaves something of the membrane for the next timestep."""
    return node.reset != "zero" and effective_decay(network, node) != 0


def effective_decay(network: Network, node: nodes.LIF) -> Decay:
    """The decay in integers, a tuple where channels differ; 0 where a single timestep carries no state."""
    return snap(node.decay, even=node.reset == "subtract") if carries_states(network) else Fraction(0)


def carries_states(network: Network) -> bool:
    """Whether there is a next timestep."""
    return network.timesteps > 1 or network.endless


def shortcut_bounds(network: Network, node: nodes.Affine) -> tuple[float, int]:
    """The current of one spike, in units of 2 * threshold, and the largest sum of spikes."""
    bound = count_bound(network, network[node.inputs[0]])
    if bound is None:
        raise ValueError(
            f"Cannot export layer '{node.name}': a factor between currents must lie behind spikes or beside a layer "
            "with weights. Add a Conv2D or Dense layer before it."
        )
    return float(np.abs(node.scale).max()), bound


def reserve(quiet_steps: int, shortcuts: list[tuple[float, int]]) -> int:
    """Steps that the shortcuts may bring, each rounded to a whole number of steps a spike."""
    return sum(round_half_up(scale * (2 * quiet_steps + 1)) * bound for scale, bound in shortcuts)


def round_half_up(value: float) -> int:
    return math.floor(value + 0.5)
