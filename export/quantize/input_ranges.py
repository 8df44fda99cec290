"""What a program shows its users: the names of its inputs and outputs, and the ranges of the inputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.nodes import Network
from ..network.queries import input_shift
from ..program.program import Program
from ..program.samples import sample_tensors, saturating_shares

Range = tuple[float, float]  # (low, high)
RAW = "int8"  # instead of a range: the samples are the file's integers themselves, as of an event camera
RAW_RANGE: Range = (-128.0, 127.0)  # in steps of 1, with 0 at 0
Ranges = Range | str | Mapping[str, Range | str]  # for all inputs, or for each by name
UNIT_RANGE: Range = (0.0, 1.0)
FEWEST_STEPS = 8  # of samples that are not all alike


def with_names(program: Program, network: Network) -> Program:
    """The inputs and outputs under the names that users give them; states keep those of their tensors."""
    inputs = zip(program.inputs, network.named_inputs, strict=False)  # states come last
    outputs = zip(program.outputs, network.output_names or network.outputs, strict=False)
    return replace(program, names={**dict(inputs), **dict(outputs)})


def ranges_of(network: Network, input_range: Ranges) -> dict[str, Range]:
    """The range of every Input by node name; that with which a network was trained on integers, where it was.

    "int8" stands for (-128, 127) in steps of 1: the samples are the file's integers.

    Raises: ValueError if a range is not finite and ascending, the names are not those of the inputs, or the network was
        trained with another range.
    """
    named = network.named_inputs
    ranges = input_range if isinstance(input_range, Mapping) else dict.fromkeys(named, input_range)
    if set(ranges) != set(named):
        raise ValueError(
            f"`input_range` must be (low, high) for all inputs, or such a range for each of {list(named)}. Received "
            f"ranges for: {list(ranges)}"
        )
    for name, node in named.items():
        if isinstance(ranges[name], str):
            _check_raw(network, node, ranges[name])
    found = {name: RAW_RANGE if isinstance(ranges[name], str) else ranges[name] for name in named}
    return {node.name: fixed_range(node, checked_range(found[name])) for name, node in named.items()}


def _check_raw(network: Network, node: nodes.Input, word: str) -> None:
    """Raises ValueError if `word` is not "int8", or an offset needs another grid than that of integers."""
    if word != RAW:
        raise ValueError(f"`input_range` must be (low, high), or {RAW!r} for samples that are int8. Received: {word!r}")
    if input_shift(network, node):
        raise ValueError(
            f"With input_range={RAW!r} no offset may stand in front of a zero-padded convolution: it needs a grid of "
            f"its own. Received: one behind input {node.name!r}. Leave the offset out, or give the range, {RAW_RANGE}."
        )


def input_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Of one sample of every input, by the name that users give it."""
    return {
        name: (network.timesteps, *node.shape) if node.temporal else node.shape
        for name, node in network.named_inputs.items()
    }


def fixed_range(node: nodes.Input, input_range: Range) -> Range:
    """`input_range`, or the one that the input was trained with on integers; ValueError where they contradict."""
    if node.range is None:
        return input_range
    if tuple(input_range) not in (node.range, UNIT_RANGE):
        raise ValueError(
            f"A model trained on integers has its input range in it. Received: input_range={tuple(input_range)} for "
            f"{node.name!r}, trained with {node.range}. Leave `input_range` out."
        )
    return node.range


def checked_range(numbers: Range, argument: str = "input_range") -> Range:
    """`numbers` if they are a range; ValueError otherwise."""
    low, high = numbers
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"`{argument}` must be (low, high) with low < high, both finite. Received: {numbers}")
    return low, high


def check_told_ranges(program: Program, told: Mapping[str, Range], samples: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError if samples contradict ranges that nobody gave: some lie beyond, or use next to nothing."""
    shares = saturating_shares(program, samples)
    for name, values in samples.items():
        if name in shares or _is_next_to_nothing(program, name, values):
            low, high = float(np.min(values)), float(np.max(values))
            raise ValueError(
                f"`input_range` must be given for samples like these. Received: values from {low:g} to {high:g} at "
                f"input {name!r}, for which {told[name]} is the default. Give input_range=({low:g}, {high:g}), or "
                "samples in the units of the model's input."
            )


def warn_of_saturation(program: Program, samples: Mapping[str, np.ndarray]) -> None:
    """A UserWarning for every input of whose samples some lie beyond the range that the user gave."""
    for name, share in saturating_shares(program, samples).items():
        warnings.warn(
            f"{100 * share:.2g} % of the samples' values of input {name!r} lie outside `input_range` and saturate.",
            stacklevel=3,
        )


def _is_next_to_nothing(program: Program, name: str, values: np.ndarray) -> bool:
    """Whether samples that are not all alike keep within a few steps of the input."""
    spread = float(np.max(values)) - float(np.min(values)) if values.size else 0.0
    return 0 < spread < FEWEST_STEPS * float(sample_tensors(program)[name].scale)


def stated_ranges(network: Network, ranges: Mapping[str, Range]) -> Ranges:
    """(low, high) of the only input, or of several by name. ranges: as `ranges_of` returns them."""
    stated = {name: tuple(map(float, ranges[node.name])) for name, node in network.named_inputs.items()}
    return next(iter(stated.values())) if len(stated) == 1 else stated
