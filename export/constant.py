"""A neuron whose current does not change over time: it fires every j-th timestep, j decided by the current alone.

    reached after j timesteps without a spike: current * (1 + decay + ... + decay**(j-1))

`within(j)`: the sign of the current if j timesteps suffice to reach the threshold, else 0: one operator. The neuron
fires at timestep n (counted from 1) exactly if the first j that suffices divides n:

    spike[n] = sum over the divisors j of n of within(j) - within(j - 1)      reset="zero"
    spike[n] = within(n)                                                      reset="none"

Two timesteps cost 2 operators instead of 5, four cost 8 instead of 15, and every spike is the one that the unrolled
recurrence of `neuron` would give.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from .builder import Builder
from .grid import INT8_MAX, Grid, Neuron, float32

FACTOR = 4  # of currents, so that their products lie far enough apart


def emit_constant_neuron(builder: Builder, neuron: Neuron, current: int, timesteps: int) -> tuple[int, ...]:
    """Emits the layer for one current, an int8 tensor on its grid, at all timesteps. Returns the spike tensors.

    neuron: with one decay for all channels, and reset "zero" or "none".
    """
    name = neuron.name
    if not neuron.signed:  # a current below 0 never fires; without it, clipping to [-1, 1] leaves {0, 1}
        zero = builder.scalar("zero", 0, 1.0, len(builder.shape(current)))
        current = builder.emit(
            "ADD",
            (current, zero),
            f"{name}/positive",
            builder.shape(current),
            Grid(neuron.step, low=0),
            activation="RELU",
        )
    spike = Grid(1.0, low=-1 if neuron.signed else 0, high=1)
    quiet = quiet_currents(neuron, timesteps)
    within = {}
    for j, largest in enumerate(quiet, start=1):
        role = f"spike/{j - 1}" if j <= 2 else f"within/{j}"
        if largest not in within:
            within[largest] = _emit_within(builder, f"{name}/{role}", current, largest, neuron, spike)
    spikes = []
    for n in range(1, timesteps + 1):
        terms = divisor_terms(n, quiet) if neuron.reset == "zero" else Counter({quiet[n - 1]: 1})
        spikes.append(_emit_terms(builder, f"{name}/spike/{n - 1}", terms, within, spike))
        if spikes[-1] not in spikes[:-1]:  # it may be one of `within`
            builder.rename(spikes[-1], f"{name}/spike/{n - 1}")
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
        quiet.append(int(currents[largest <= neuron.half].max()))
    return quiet


def divisor_terms(n: int, quiet: list[int]) -> Counter:
    """spike[n] as {quiet current of within(j): sign}; terms that cancel are gone."""
    terms = Counter()
    for j in (j for j in range(1, n + 1) if n % j == 0):
        terms[quiet[j - 1]] += 1
        if j > 1:
            terms[quiet[j - 2]] -= 1
    return Counter({key: sign for key, sign in terms.items() if sign})


def _emit_within(builder, name: str, current: int, quiet: int, neuron: Neuron, spike: Grid) -> int:
    """MUL by a constant whose scale puts the threshold midway between `quiet` and `quiet` + 1.

    The products nearest to the threshold lie FACTOR / 2 from it; the first of two roundings moves them by less than 1.
    """
    shape = builder.shape(current)
    scale = float32(1 / (FACTOR * (2 * quiet + 1) * neuron.step))
    constant = builder.scalar(f"within/{quiet}of{2 * neuron.half + 1}", FACTOR, scale, len(shape))
    return builder.emit("MUL", (current, constant), name, shape, spike, activation="RELU_N1_TO_1")


def _emit_terms(builder: Builder, name: str, terms: Counter, within: dict[int, int], spike: Grid) -> int:
    """Adds and subtracts spikes; the largest quiet current comes first and is never negative."""
    first, *others = sorted(terms, reverse=True)
    total = within[first]
    for position, key in enumerate(others, start=1):
        last = position == len(others)
        kind = "ADD" if terms[key] > 0 else "SUB"
        grid = spike if last else Grid(1.0, low=spike.low - 1, high=spike.high + 1)
        total = builder.emit(
            kind, (total, within[key]), name if last else f"{name}/term/{position}", builder.shape(total), grid
        )
    return total
