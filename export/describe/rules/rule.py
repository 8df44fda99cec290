"""What a rule is, and what rules share: weights as arrays, and windows over an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...network.nodes import NO_PADDING, Node, Padding
from ...padding import same_padding

Build = Callable[[Any, str, Node], tuple[Node, ...]]

# What a layer makes of a time axis in front of it, if nothing wraps it.
MIXING = "mixing"  # the default: takes the timesteps for pixels or channels, which is refused
POINTWISE = "pointwise"  # one more batch axis: needs no PerTimestep
SEQUENTIAL = "sequential"  # reads whole sequences: must have one
BEGINNING = "beginning"  # makes it: must not have one
ENDING = "ending"  # reads whole sequences and gives one value of each


@dataclass(frozen=True)
class Rule:
    """How the layers of one type become nodes.

    build: (layer, name, source) -> nodes, the last of which holds the value; none where the layer changes nothing in
        inference. Of layers that read several values: `merging.MergeRule`.
    honours: options, keys of the layer's config, that `build` reads or refuses, or that its weights are made of.
    ignores: options that play no part in inference.
    time: one of MIXING, POINTWISE, SEQUENTIAL, BEGINNING and ENDING.
    """

    build: Callable[..., tuple[Node, ...]]
    honours: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    time: str = MIXING


def rule(build: Callable[..., tuple[Node, ...]], honours: str = "", ignores: str = "", time: str = MIXING) -> Rule:
    """A Rule; options separated by blanks."""
    return Rule(build, frozenset(honours.split()), frozenset(ignores.split()), time)


def array(layer: Any, weight: str) -> np.ndarray:
    """A weight as float64. Raises ValueError where it is not finite, or not stored as what it is computed with."""
    stored = keras.ops.convert_to_numpy(getattr(layer, weight))
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(stored.dtype)):
        raise ValueError(
            f"Weights must be stored as the numbers that the layer computes with. Received: {weight!r} of layer "
            f"{layer.name!r} as {stored.dtype}. Export the model as it was trained."
        )
    values = np.asarray(stored, np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"Weights must be finite. Received: NaN or infinity in {weight!r} of layer {layer.name!r}.")
    return values


def window(
    layer: Any, source: Node, window: tuple[int, int], strides: tuple[int, int]
) -> tuple[Padding, tuple[int, int]]:
    """Explicit padding, and the number of windows along height and width."""
    check_image(layer, source)
    sizes = source.shape[:2]
    padding = NO_PADDING
    if layer.padding == "same":
        padding = tuple(same_padding(*values) for values in zip(sizes, window, strides, strict=True))
    elif layer.padding == "causal":
        padding = ((0, 0), (window[1] - 1, 0))
    counts = tuple((sizes[i] + sum(padding[i]) - window[i]) // strides[i] + 1 for i in (0, 1))
    return padding, counts


def check_image(layer: Any, source: Node) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ValueError(
            f'`data_format` must be "channels_last". Received: layer {layer.name!r} with "channels_first".'
        )
    if len(source.shape) != 3:
        raise ValueError(
            f"{type(layer).__name__} needs (height, width, channels) at one timestep. Received: {source.shape} at "
            f"layer {layer.name!r}."
        )


def pair(value: Any) -> tuple[int, int]:
    """(height, width); one number counts for both, a tuple of one for the width of a row."""
    if isinstance(value, int):
        return value, value
    return (1, int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))
