"""What a file costs, and the same for the network with ReLU: in size, arithmetic, memory and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..folding.passes import fold_network
from ..network.nodes import Network
from ..network.rectifiers import with_any_levels
from ..runtimes import implementations as runtimes
from ..runtimes.timing import Ratio, time_ratio
from ..targets.check import check
from ..targets.report import TargetReport
from ..text import Fact
from ..tflite import flatbuffer
from .operation_counts import LayerCounts, count_operations
from .relu_network import relu_network
from .sizes import MemoryUse, memory


@dataclass(frozen=True)
class Cost:
    """One call of one file. work: its arithmetic; target: the facts of `check`, {} without target."""

    work: LayerCounts
    memory: MemoryUse
    target: Mapping[str, Fact]


@dataclass(frozen=True)
class BesideRelu:
    """A spiking file beside its ReLU network, an int8 CNN of the same layers written by the same emitter, run once.

    Only costs are compared: the ReLU network is not trained, so nothing is known of its accuracy.

    spiking, relu: the cost of one call of each.
    time: of the spiking file in times of the ReLU network.
    """

    spiking: Cost
    relu: Cost
    time: Ratio


def beside_relu(
    network: Network, tflite_bytes: bytes, *, arena: int | None = None, target: TargetReport | None = None
) -> BesideRelu:
    """Writes a network with ReLU for neurons, and measures that file and the spiking one alike.

    Args:
        network: As `describe` returns it.
        tflite_bytes: The spiking file of that network, of any form.
        arena: Of the spiking file, as `runtimes.arena_bytes` returns it; None where TFLite Micro is not installed.
        target: What `check` says of the spiking file; the same target is asked about the ReLU network.

    Raises:
        ValueError: if the network cannot be folded, or the target's tool refuses the ReLU network as a whole.
    """
    other = flatbuffer.write(relu_network(fold_network(with_any_levels(network))))
    found = None if target is None else check(other, target=target.target)
    relu_arena = None if arena is None else runtimes.arena_bytes(other)
    return BesideRelu(
        spiking=cost(tflite_bytes, arena, target),
        relu=cost(other, relu_arena, found),
        time=time_ratio(tflite_bytes, other),
    )


def cost(tflite_bytes: bytes, arena: int | None, target: TargetReport | None) -> Cost:
    program = flatbuffer.read(tflite_bytes)
    facts = {} if target is None else target.facts
    return Cost(count_operations(program).total, memory(program, tflite_bytes, arena), facts)
