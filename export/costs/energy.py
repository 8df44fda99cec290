"""Energy and information of a file on samples: joules by named tables, and what its spikes tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ..program.grid import INT8_MAX, INT8_MIN
from ..program.names import layer_of, spike_tensors
from ..program.operators import source_position
from ..program.program import Program
from ..program.samples import Samples, check_samples, quantize_input
from ..tflite import flatbuffer
from .operation_counts import APPLICATIONS, Nonzero, count_operator, measure, spike_bounds

PICO = 1e-12


@dataclass(frozen=True)
class Table:
    """Joules of one operation. source: where the numbers are from, and what they are of.

    multiply_accumulate, addition: on int8, operands in registers; of a measured system all that belongs to it.
    byte: of a byte of weights or activations read or written; 0 where it is part of the others.
    """

    multiply_accumulate: float
    addition: float
    byte: float
    source: str


def _system(pico_joules: float, name: str) -> Table:
    source = f"{name}, MLPerf Tiny image classification, energy over 12.5 M multiply-accumulates; additions as these"
    return Table(pico_joules * PICO, pico_joules * PICO, 0.0, source)


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "horowitz": Table(0.23 * PICO, 0.03 * PICO, 0.0, "Horowitz, ISSCC 2014, 45 nm, int8; no memory"),
        "horowitz_memory": Table(
            *(0.23 * PICO, 0.03 * PICO, 24.96 * PICO),
            "Horowitz, ISSCC 2014, 45 nm, int8; memory as SpikingJelly's preset after Lemaire et al., 2022",
        ),
        "cortex_m4": _system(439, "STM32L4R5"),
        "cortex_m7": _system(407, "STM32H7A3"),
        "cortex_m33": _system(205, "STM32U575"),
        "ndp9120": _system(8.1, "Syntiant NDP9120"),
        "gap9": _system(2.2, "GreenWaves GAP9"),
    }
)


@dataclass(frozen=True)
class LayerInformation:
    """What the spikes of a layer tell, over samples, timesteps and neurons.

    firing_rate: share of spikes other than 0. bits: entropy of a neuron's spike at one timestep, in bits.
    """

    layer: str
    firing_rate: float
    bits: float

    @property
    def bits_per_spike(self) -> float:
        """The entropy over the firing rate; 0 where nothing fires."""
        return self.bits / self.firing_rate if self.firing_rate else 0.0


@dataclass(frozen=True)
class Energy:
    """Joules for one sample, mean over samples. `print(energy)` shows them.

    table: its name.
    multiply_accumulates: effective ones, of a real input or of levels and sums other than 0 and +-1 at most
        (NeuroBench's Effective_MACs).
    additions: effective ones, weights that meet a spike (Effective_ACs).
    elementwise: int8 values that neurons compute, an addition each.
    dense: weights times activations, zeros among them (Dense).
    event_driven: joules where work follows the spikes; dense_joules: where all of `dense` are multiply-accumulates.
    relu: joules of the same layers once, dense, with ReLU.
    break_even: the share of `dense` additions at which event-driven costs what ReLU costs; above 1: always below.
    share: that share now.
    information: of each spiking layer.
    """

    table: str
    multiply_accumulates: float
    additions: float
    elementwise: int
    dense: int
    event_driven: float
    dense_joules: float
    relu: float
    break_even: float
    share: float
    information: tuple[LayerInformation, ...]

    @property
    def bits_per_addition(self) -> float:
        """Bits of all neurons' spikes over the additions that they ask for; 0 where there are none."""
        effective = self.additions + self.multiply_accumulates
        return sum(one.bits for one in self.information) / effective if effective else 0.0

    def __str__(self) -> str:
        rows = [
            ("energy by", f"{self.table}: {TABLES[self.table].source}"),
            ("event-driven", f"{1e6 * self.event_driven:.4g} microjoule"),
            ("dense", f"{1e6 * self.dense_joules:.4g} microjoule"),
            ("ReLU, once, dense", f"{1e6 * self.relu:.4g} microjoule"),
            (
                "additions",
                f"{self.additions:,.0f}, multiply-accumulates {self.multiply_accumulates:,.0f}, of {self.dense:,}",
            ),
            ("break-even", f"{self.break_even:.1%} of the additions; now {self.share:.1%}"),
            *(
                (f"{one.layer}", f"fires {one.firing_rate:.1%}, {one.bits:.3f} bits, {one.bits_per_spike:.2f} a spike")
                for one in self.information
            ),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {text}" for name, text in rows)


def energy(tflite_bytes: bytes, samples: Samples, *, table: str = "horowitz") -> Energy:
    """What a file of this package costs on samples, event-driven and dense, beside its layers once with ReLU.

    A spike of one level adds a weight; a level above 1, a sum of spikes and a real value multiply it. What neurons
    compute counts, what only moves integers does not. Of memory, where a table has it: every effective operation
    reads its weight, and every neuron writes its value and is read once.

    Args:
        samples: as `verify` takes them.
        table: one of TABLES.

    Raises:
        ValueError: if the table is not known, the samples do not fit, or the file is none of this package.
    """
    if table not in TABLES:
        raise ValueError(f"`table` must be one of {', '.join(TABLES)}. Received: table={table!r}")
    program = flatbuffer.read(tflite_bytes)
    trace = program.trace(quantize_input(program, check_samples(program, samples)))
    levels = count_levels(program, trace)
    return energy_of(program, measure(program, trace), information_of(levels), table=table)


def energy_of(
    program: Program, activity: Nonzero, information: tuple[LayerInformation, ...], *, table: str = "horowitz"
) -> Energy:
    """As `energy`, of what was measured already. activity: as `count_operations` takes it."""
    effective, all_of = arithmetic(program, activity), arithmetic(program)
    dense = all_of["additions"] + all_of["multiplied"] + all_of["real"]
    once = dense - _repeated(program)
    joules = TABLES[table]
    neurons = joules.addition * effective["elementwise"] + joules.byte * 2 * effective["elementwise"]
    first = (joules.multiply_accumulate + joules.byte) * effective["real"]
    spikes = _joules(joules, effective)
    most = _joules(joules, all_of)
    per_weight = joules.multiply_accumulate + joules.byte
    spread = effective["additions"] + effective["multiplied"]
    could = all_of["additions"] + all_of["multiplied"]
    return Energy(
        table=table,
        multiply_accumulates=effective["multiplied"] + effective["real"],
        additions=effective["additions"],
        elementwise=int(effective["elementwise"]),
        dense=int(dense),
        event_driven=first + spikes + neurons,
        dense_joules=per_weight * dense + neurons,
        relu=per_weight * once,
        break_even=max(0.0, (per_weight * once - first - neurons) / most) if most else 0.0,
        share=spread / could if could else 0.0,
        information=information,
    )


def _joules(table: Table, counts: Mapping[str, float]) -> float:
    """Of weights that meet spikes, levels and sums."""
    multiplied = (table.multiply_accumulate + table.byte) * counts["multiplied"]
    return multiplied + (table.addition + table.byte) * counts["additions"]


def arithmetic(program: Program, activity: Nonzero | None = None) -> dict[str, float]:
    """Weights that meet a spike ("additions"), a level or sum ("multiplied"), a real value ("real"); "elementwise".

    activity: without it as if nothing were 0.
    """
    bounds = spike_bounds(program)
    totals = dict.fromkeys(("additions", "multiplied", "real", "elementwise"), 0.0)
    for operator in program.operators:
        found = count_operator(program, operator, bounds, activity)
        met = found.additions if activity is None else found.additions_measured or 0.0
        kind = "additions"
        if operator.kind in APPLICATIONS:
            kind = "additions" if bounds.get(operator.inputs[source_position(operator)]) == 1 else "multiplied"
        totals[kind] += met
        totals["real"] += found.multiply_accumulates
        totals["elementwise"] += found.elementwise
    return totals


def _repeated(program: Program) -> int:
    """Weights times activations of kernels beyond the first use of each: other timesteps."""
    bounds, seen, total = spike_bounds(program), set(), 0
    for operator in program.operators:
        if operator.kind not in APPLICATIONS:
            continue
        found = count_operator(program, operator, bounds, None)
        layer = layer_of(program, operator)
        total += found.additions + found.multiply_accumulates if layer in seen else 0
        seen.add(layer)
    return total


def count_levels(program: Program, trace: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By spiking layer how often each int8 value occurs, -128 first: `(256,)`; of several traces they add up."""
    counts: dict[str, np.ndarray] = {}
    for layer, tensor in spike_tensors(program):
        found = np.bincount(trace[tensor.name].ravel().astype(np.int64) - INT8_MIN, minlength=INT8_MAX - INT8_MIN + 1)
        counts[layer] = counts.get(layer, 0) + found
    return counts


def information_of(levels: Mapping[str, np.ndarray]) -> tuple[LayerInformation, ...]:
    """Of `count_levels`: entropy of the levels, -sum of p log2 p."""
    return tuple(_of_layer(layer, counts) for layer, counts in levels.items())


def _of_layer(layer: str, counts: np.ndarray) -> LayerInformation:
    shares = counts / counts.sum()
    used = shares[shares > 0]
    bits = float(-(used * np.log2(used)).sum())
    return LayerInformation(layer, 1 - float(shares[-INT8_MIN]), abs(bits))
