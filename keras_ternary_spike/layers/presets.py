"""Arguments of the neurons that reproduce what others compute, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..neuron.surrogate import ATan, Sigmoid

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


def _paper(decay: float = 0.25) -> dict[str, Any]:
    """The equations of Guo et al., 2024 (arXiv 2312.06372), with the numbers of the code released for it."""
    return {**_RELEASED, "decay": decay, "trainable_amplitude": True}


def _official_code(decay: float = 0.25) -> dict[str, Any]:
    """That code as it is, github.com/yfguo91/Ternary-Spike. It keeps the amplitude at 1."""
    return {**_RELEASED, "decay": decay, "trainable_amplitude": False}


def _spikingjelly(decay: float = 0.5) -> dict[str, Any]:
    """LIFNode and TernaryLIFNode of SpikingJelly 2.0 with their defaults; decay = 1 - 1 / tau.

    With decay_input=True it has v = decay * v + (1 - decay) * current and v_threshold = 1. For v / (1 - decay) that is
    our recurrence, with threshold 1 / (1 - decay).
    """
    return {
        "decay": decay,
        "threshold": 1.0 / (1.0 - decay),
        "surrogate": Sigmoid(0.25),  # alpha = 4
        "separate_bumps": True,
        "reset": "zero",
        "detach_reset": False,
        "trainable_amplitude": False,
    }


def _snntorch(decay: float = 0.9) -> dict[str, Any]:
    """Leaky of snnTorch 1.0 with its defaults; decay = beta, which has no default there: 0.9 as in its tutorials.

    It takes the threshold off one timestep later, after the decay: threshold / decay before the decay.
    """
    return {
        "decay": decay,
        "threshold": 1.0,
        "surrogate": ATan(1.0 / math.pi),  # alpha = 2
        "reset": "subtract",
        "reset_amount": 1.0 / decay,
        "detach_reset": True,
        "trainable_amplitude": False,
    }


PRESETS: Mapping[str, Callable[..., dict[str, Any]]] = MappingProxyType(
    {"paper": _paper, "official_code": _official_code, "spikingjelly": _spikingjelly, "snntorch": _snntorch}
)


def preset(name: str, decay: float | None = None) -> dict[str, Any]:
    """The arguments of one preset; other numbers may follow from the decay.

    Raises:
        ValueError: if nothing by that name is known, or the decay is not a number between 0 and 1, both excluded,
            where others follow from it.
    """
    if name not in PRESETS:
        names = ", ".join(repr(known) for known in PRESETS)
        raise ValueError(f"`preset` must be one of {names}. Received: preset={name!r}")
    if decay is None:
        return PRESETS[name]()
    if name in ("spikingjelly", "snntorch") and not (isinstance(decay, int | float) and 0 < decay < 1):
        raise ValueError(
            f"The preset {name!r} derives other numbers from the decay, which must lie between 0 and 1, both "
            f"excluded. Received: decay={decay}"
        )
    return PRESETS[name](decay)
