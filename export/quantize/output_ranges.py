"""What is known of the numbers that leave a network: given by the user, or reached on samples."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping

from ..network import nodes
from ..network.nodes import Network
from ..program.program import Program
from .input_ranges import Range, Ranges, checked_range

UNCHANGED = (nodes.Reshape, nodes.TimeMax, nodes.LastTimestep)  # their values are some of those that they read
SAME_GRID = (*UNCHANGED, nodes.Repeat, nodes.Integrator)
MEANS = (nodes.TimeSum, nodes.Affine)  # on grids of their own, as far as those that they read
MARGIN = 1 / 32  # of the span of what samples reach, on either side: the next ones reach a little further


def named_ranges(network: Network, output_range: Ranges) -> dict[str, Range]:
    """What users give, by the names of `network.outputs`.

    output_range: (low, high) for all outputs, or for some of them by the names that users give them.

    Raises: ValueError if a range is not finite and ascending, or a name is not that of an output.
    """
    if network.exact:
        raise ValueError(
            f"A model trained on integers has its output range in it. Received: output_range={output_range}. Leave "
            "`output_range` out."
        )
    called = dict(zip(network.output_names or network.outputs, network.outputs, strict=True))
    given = output_range if isinstance(output_range, Mapping) else dict.fromkeys(called, output_range)
    if not set(given) <= set(called):
        raise ValueError(
            f"`output_range` must be (low, high) for all outputs, or such a range for some of {list(called)}. Received "
            f"ranges for: {list(given)}"
        )
    return {called[name]: checked_range(limits, "output_range") for name, limits in given.items()}


def with_margin(reached: Range) -> Range:
    """A range for outputs of which samples reached `reached`."""
    low, high = reached
    margin = MARGIN * (high - low or abs(low) or 1.0)
    return low - margin, high + margin


def linear_ranges(network: Network, output_ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges of outputs as ranges of the linear nodes whose values they are; one node may be several outputs.

    Outputs that are spikes, or whole numbers of them, have no other range than their own: none is stated for them.
    """
    found: dict[str, Range] = {}
    for name, (low, high) in output_ranges.items():
        source = linear_source(network, name)
        if source is not None:
            before = found.get(source, (low, high))
            found[source] = min(low, before[0]), max(high, before[1])
    return found


def linear_source(network: Network, output: str, *, through: tuple[type[nodes.Node], ...] = SAME_GRID) -> str | None:
    """The linear node whose value leaves the network as `output`; None where spikes do, or sums of them.

    through: kinds of nodes that may lie between.
    """
    node = network[output]
    while isinstance(node, through):
        node = network[node.inputs[0]]
    return node.name if isinstance(node, nodes.Linear) else None


def warn_of_guesses(program: Program, *, classes: Collection[str]) -> None:
    """A UserWarning for outputs whose range nobody told. classes: outputs of which only the largest number counts."""
    for name in program.facts.guessed_outputs:
        if name in classes:
            continue
        warnings.warn(
            f"The range of output {name!r} is a guess, twice what noise brings; numbers beyond it saturate. Give "
            "samples=..., some hundred inputs, or output_range=(low, high).",
            stacklevel=3,
        )
