"""What `fast_front` trains: what fires, how many channels and weights there are, the trainer's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

SOFT = 0.7  # of the loss, what the ReLU network teaches
# Of signed neurons, in steps: they start so far to the right that few fire below 0, as binary ones, free to use the
# other sign. Nearer to 0 (1.5 and 1) one training of three lost 3.6 points.
DEAD_ZONE, SHIFT = 2.0, 1.5
LEVELS, FINE_LEVELS = 4, 15
KEPT = 0.3  # of the weights of a pruned network

RELU, DISTILLED, SILENCED = "ReLU", "ReLU, distilled", "ReLU, distilled, L1"
OWN, OWN_SILENCED = "ReLU, distilled, own file", "ReLU, distilled, L1, own file"
GRADED, FINE, BINARY, TERNARY = f"{{0..{LEVELS}}}", f"{{0..{FINE_LEVELS}}}", "{0, 1}", "{-1, 0, 1}"
SIGNED_GRADED = "{-2..2}"
PRUNED, PRUNED_FINE = "ReLU, distilled, pruned", f"{FINE}, pruned"
CHANNELS = {
    3 / 4: "3/4 of the channels",
    5 / 8: "5/8 of the channels",
    1 / 2: "half the channels",
    3 / 8: "3/8 of the channels",
    1 / 4: "1/4 of the channels",
}
RECTIFIER: Mapping[str, object] = MappingProxyType({"alphabet": "r"})
LEVELLED = {"alphabet": "u", "levels": LEVELS, "high": LEVELS, "step": 0.5}
FINER = {"alphabet": "u", "levels": FINE_LEVELS, "high": FINE_LEVELS, "step": 0.25}

SIGNED = {
    **{"alphabet": "s", "levels": 1, "step": 1, "shift": SHIFT},
    **{"dead": DEAD_ZONE, "low": DEAD_ZONE - 0.5, "high": DEAD_ZONE + 0.5},
}
# Of `front_over_time` alone. Files have no dead zone of several signed levels: the first threshold is as far from 0 as
# that of ternary neurons, the second one three times as far. Nearer ones end up dense, and lose 1 to 12 points more.
SIGNED_LEVELLED = {"alphabet": "s", "levels": 2, "step": 1, "threshold": DEAD_ZONE, "width": 1 / 4, "shift": SHIFT}


@dataclass(frozen=True)
class Network:
    """neuron: the trainer's options. width: share of the channels; keep: of the weights that pruning leaves.

    weights_of: the network whose weights it has, in a file of this package, for the C that skips zeros. None: its own.
    """

    neuron: Mapping[str, object] = field(default_factory=lambda: RECTIFIER)
    width: float = 1.0
    keep: float = 1.0
    weights_of: str | None = None

    @property
    def relu(self) -> bool:
        return self.neuron["alphabet"] == "r"

    @property
    def own_file(self) -> bool:
        """Or one of TensorFlow's converter."""
        return not self.relu or self.weights_of is not None


def narrow(name: str, width: float) -> str:
    return f"{name}, {CHANNELS[width]}"


NETWORKS = {
    **dict.fromkeys((RELU, DISTILLED, SILENCED), Network()),
    **{narrow(DISTILLED, width): Network(width=width) for width in CHANNELS},
    **{narrow(OWN, width): Network(width=width, weights_of=narrow(DISTILLED, width)) for width in CHANNELS},
    OWN: Network(weights_of=DISTILLED),
    OWN_SILENCED: Network(weights_of=SILENCED),
    GRADED: Network(LEVELLED),
    **{narrow(GRADED, width): Network(LEVELLED, width) for width in CHANNELS},
    FINE: Network(FINER),
    PRUNED: Network(keep=KEPT),
    PRUNED_FINE: Network(FINER, keep=KEPT),
    BINARY: Network({"alphabet": "u", "levels": 1, "high": 1, "step": 1}),
    TERNARY: Network(SIGNED),
    SIGNED_GRADED: Network(SIGNED_LEVELLED),
}
# In the order in which they are trained; a training's name has its place, so that others are added at the end.
KINDS = (
    *((RELU, None), (GRADED, 0.1), (TERNARY, 0.25), (DISTILLED, None)),
    *((GRADED, 0.05), (GRADED, 0.2), (BINARY, 0.25), (SILENCED, 0.1)),
    *((narrow(DISTILLED, 5 / 8), None), (narrow(DISTILLED, 1 / 2), None)),
    *((OWN_SILENCED, 0.1), (narrow(OWN, 1 / 2), None), (FINE, 0.21), (PRUNED, None), (OWN, None)),
    *((narrow(DISTILLED, 3 / 8), None), (narrow(OWN, 3 / 8), None), (narrow(DISTILLED, 1 / 4), None)),
    *((narrow(OWN, 1 / 4), None), (narrow(GRADED, 1 / 2), 0.05), (PRUNED_FINE, 0.045)),
)
