"""Arguments of `TernaryLIF` that reproduce what others compute, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_RELEASED = {
    "decay": 0.25,
    # The code sets V_th = 1 and fires at |membrane| >= V_th / 2.
    "threshold": 0.5,
    "surrogate": "rectangular",
    "reset": "zero",
    "detach_reset": False,
    "amplitude_per": "layer",
    "amplitude_initializer": "ones",
}

# paper: the equations of Guo et al., 2024 (arXiv 2312.06372), with the numbers of the code released for it.
# official_code: that code as it is, github.com/yfguo91/Ternary-Spike. It keeps the amplitude at 1.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": {**_RELEASED, "trainable_amplitude": True},
        "official_code": {**_RELEASED, "trainable_amplitude": False},
    }
)


def preset(name: str) -> dict[str, Any]:
    """The arguments of one preset.

    Raises:
        ValueError: if nothing by that name is known.
    """
    if name not in PRESETS:
        names = ", ".join(repr(known) for known in PRESETS)
        raise ValueError(f"`preset` must be one of {names}. Received: preset={name!r}")
    return dict(PRESETS[name])
