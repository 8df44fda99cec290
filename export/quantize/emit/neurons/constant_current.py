"""A neuron whose current does not change over time: it fires every j-th timestep, j decided by the current alone.

    reached after j timesteps without a spike: current * (1 + decay + ... + decay**(j-1))

`within(j)`: the sign of the current if j timesteps suffice to reach the threshold, else 0: one operator. A current for
which j is the first number that suffices fires at timestep n (counted from 1) exactly if j divides n. So, with
`first(j) = within(j) - within(j - 1)`, of which at most one differs from 0,

    spike[n] = sum of first(j) over the divisors j of n      reset="zero"
    spike[n] = within(n), the sum over all j up to n         reset="none"

Each spike starts from the nearest sum that is there already, as in `spike[4] = within(4) - first(3)`. Two timesteps
cost 2 operators instead of 4, four cost 7 instead of 12, and every spike is the one that the unrolled recurrence of
`neuron` would give.
"""

from __future__ import annotations

import numpy as np

from ....program.builder import Builder
from ....program.grid import BINARY_SPIKE, INT8_MAX, SPIKE, Grid
from ....program.names import ZERO, Name
from ...integer_neuron import Neuron
from .firing import emit_beyond


def emit_constant_neuron(builder: Builder, neuron: Neuron, current: int, timesteps: int) -> tuple[int, ...]:
    """Emits the layer for one current, an int8 tensor on its grid, at all timesteps. Returns the spike tensors.

    neuron: with one decay for all channels, and reset "zero" or "none".
    """
    name = neuron.name
    if not neuron.signed:  # a current below 0 never fires; without it, clipping to [-1, 1] leaves {0, 1}
        zero = builder.scalar(ZERO, 0, 1.0, len(builder.shape(current)))
        current = builder.emit(
            "ADD",
            (current, zero),
            Name(name, "positive"),
            builder.shape(current),
            Grid(neuron.step, low=0),
            activation="RELU",
        )
    within, smallest = {}, INT8_MAX + 1  # {j: tensor}, of the js that are the first to suffice for some current
    for j, quiet in enumerate(quiet_currents(neuron, timesteps), start=1):
        if quiet < smallest:
            own = Name(name, "spike", j - 1) if j <= 2 else Name(name, "within", index=str(j))
            within[j] = emit_beyond(builder, own, current, quiet, neuron)
            smallest = quiet
    sums = _Sums(builder, name, SPIKE if neuron.signed else BINARY_SPIKE, within)
    spikes = []
    for n in range(1, timesteps + 1):
        firsts = frozenset(j for j in within if (n % j == 0 if neuron.reset == "zero" else j <= n))
        spikes.append(sums.emit(firsts, Name(name, "spike", n - 1)))
        if spikes[-1] not in spikes[:-1]:  # it may be one of `within`
            builder.rename(spikes[-1], Name(name, "spike", n - 1))
    return tuple(spikes)


def quiet_currents(neuron: Neuron, timesteps: int) -> list[int]:
    """For j = 1 ... timesteps: the largest |current|, in steps, that does not fire within j timesteps.

    Membranes are rounded to whole steps, as the recurrence on the grid rounds them. They grow with the current.
    """
    n, d = neuron.decay.numerator, neuron.decay.denominator
    currents = np.arange(INT8_MAX + 1)
    membrane, largest, quiet = 0, np.zeros_like(currents), []
    for _ in range(timesteps):
        membrane = (2 * n * membrane + d) // (2 * d) + currents
        largest = np.maximum(largest, membrane)
        quiet.append(int(currents[largest <= neuron.quiet_steps].max()))
    return quiet


class _Sums:
    """Sums of first(j), each emitted once, from the one at hand that lacks the fewest operators.

    No two of first(j) differ from 0 for one current: sums of any of them are spikes, and so is what lies between two.
    """

    def __init__(self, builder: Builder, name: str, spike: Grid, within: dict[int, int]):
        self.builder, self.name, self.spike = builder, name, spike
        self.tensors = {frozenset(j for j in within if j <= last): tensor for last, tensor in within.items()}
        self.within = within

    def emit(self, firsts: frozenset[int], name: Name) -> int:
        """The tensor of the sum of first(j) for all j in `firsts`."""
        start = min(self.tensors, key=lambda start: self._operators(start ^ firsts))
        for j in sorted(start ^ firsts):
            kind, operands = "SUB" if j in start else "ADD", (self.tensors[start], self._first(j))
            start ^= {j}
            own = Name(self.name, "sum", index="+".join(map(str, sorted(start))))
            self.tensors[start] = self._emit(kind, operands, name if start == firsts else own)
        return self.tensors[firsts]

    def _operators(self, missing: frozenset[int]) -> int:
        return sum(1 + (frozenset({j}) not in self.tensors) for j in missing)

    def _first(self, j: int) -> int:
        alone = frozenset({j})
        if alone not in self.tensors:
            before = max(other for other in self.within if other < j)
            self.tensors[alone] = self._emit(
                "SUB", (self.within[j], self.within[before]), Name(self.name, "first", index=str(j))
            )
        return self.tensors[alone]

    def _emit(self, kind: str, operands: tuple[int, int], name: Name) -> int:
        return self.builder.emit(kind, operands, name, self.builder.shape(operands[0]), self.spike)
