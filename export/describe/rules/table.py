"""The rule for every supported Keras layer type that reads one value.

A row of pixels (steps, channels) is an image of height 1: a Reshape in front, another behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...network.nodes import Node
from .exact import EXACT
from .images import IMAGES, ROWS
from .linear import CONVOLUTIONS, CONVOLUTIONS_OF_ROWS, LINEAR
from .normalization import NORMALIZATION
from .rectifying import RECTIFYING
from .reshaping import RESHAPING, reshape
from .rule import MIXING, Rule
from .spiking import SPIKING


def _of_rows(rule: Rule) -> Rule:
    """The rule for rows of pixels, from the one for images."""

    def build(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
        if len(source.shape) != 2:
            raise ValueError(
                f"{type(layer).__name__} needs (steps, channels) at one timestep. Received: {source.shape} at layer "
                f"{layer.name!r}."
            )
        row = reshape(f"{name}_row", source, (1, *source.shape))
        nodes = rule.build(layer, name, row)
        last = nodes[-1]
        return (row, *nodes, reshape(f"{name}_line", last, last.shape[1:])) if len(last.shape) == 3 else (row, *nodes)

    return replace(rule, build=build)


RULES: Mapping[type, Rule] = {
    **NORMALIZATION,
    **LINEAR,
    **RESHAPING,
    **RECTIFYING,
    **SPIKING,
    **CONVOLUTIONS,
    **IMAGES,
    **EXACT,
    **{kind: _of_rows(rule) for kind, rule in (CONVOLUTIONS_OF_ROWS | ROWS).items()},
}


def time_of(layer: Any) -> str:
    """What a layer makes of a time axis, the `time` of its rule; a user's subclass, refused later, as what it is of."""
    return next((RULES[kind].time for kind in type(layer).__mro__ if kind in RULES), MIXING)
