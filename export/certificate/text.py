"""The words of a certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..costs.beside_relu import BesideRelu, Cost
from ..text import Fact, fact_text, listed, printable
from ..verification.report import Agreement
from .proof import Proof

PAIRS = 2**16
EXACT_MEANS = (
    "Exact means: the file computes the same integers on every runtime named here. It does not mean that the file "
    "computes what the float model computes; the table of spikes says how near it comes."
)
METHOD_NOTES = (
    "Operands are enumerated for the operators of spiking layers. Convolutions, sums and everything else are compared "
    "on the samples.",
)


@dataclass(frozen=True)
class CostRow:
    """One quantity. ours, theirs: in words; times: ours / theirs, None where theirs is 0; more: above 0 if ours is."""

    name: str
    unit: str
    ours: str
    theirs: str
    times: float | None
    more: float


def shown(text: str) -> str:
    """Text of anybody's in HTML: neither tags, nor characters that a browser obeys without showing them."""
    return escape(printable(text))


def count(number: int) -> str:
    return f"{number:,}"


def bytes_text(number: int | None) -> str:
    return "not measured" if number is None else f"{number:,} bytes"


def share_text(agreement: Agreement | None) -> str:
    if agreement is None:
        return "not compared"
    return f"{100 * agreement.share:.1f} % ({count(agreement.same)} of {count(agreement.compared)})"


def operands(proof: Proof) -> str:
    """What was tried, in words."""
    if proof.method == "pairs":
        steps = proof.cases // PAIRS
        return f"{count(PAIRS)} pairs of state and current" + (f", {steps} timesteps" if steps > 1 else "")
    if proof.method == "summands":
        return f"{count(proof.cases)} pairs of summands: no state"
    if proof.method == "currents":
        return f"{proof.cases} currents: " + ("no state" if proof.decay == "0" else "the same at all timesteps")
    return f"no state: the kernel fires, {proof.cases - proof.wrong} of {proof.cases} channels cannot tie"


def range_text(stated: Sequence[float] | Mapping[str, Sequence[float]] | None) -> str:
    """As in: 0 to 1; for several inputs one after the other."""
    if stated is None:
        return "not stated"
    if isinstance(stated, Mapping):
        return ", ".join(f"{name} {range_text(one)}" for name, one in stated.items())
    return " to ".join(f"{end:g}" for end in stated)


def relu_rows(costs: BesideRelu) -> list[CostRow]:
    """What both cost, quantity by quantity; those that nobody measured, and those that are 0 on both, left out."""
    rows = []
    for name, unit, value in QUANTITIES:
        ours, theirs = value(costs.spiking), value(costs.relu)
        if ours is not None and theirs is not None and (ours or theirs):
            ratio = ours / theirs if theirs else None
            rows.append(CostRow(name, unit, fact_text(ours), fact_text(theirs), ratio, ours - theirs))
    time = costs.time
    spread = f"quartiles {time.low:.2f} to {time.high:.2f}, {time.rounds} turns"
    rows.append(CostRow("time, XNNPACK, one thread", "times ReLU", spread, "1", time.median, time.median - 1))
    return rows


def ratio_text(times: float | None) -> str:
    return "" if times is None else f"{times:.2f}"


def relu_text(costs: BesideRelu, *, step: bool = False) -> str:
    """What is compared, and where each of the two costs less. step: whether a call of the file is one timestep."""
    rows = relu_rows(costs)
    ours = [row.name for row in rows if row.more < 0]
    theirs = [row.name for row in rows if row.more > 0]
    return (
        "An ordinary int8 CNN of the same layers, ReLU in the place of every spiking layer, written by the same "
        "exporter. It is not trained: costs are compared, accuracy is not. "
        f"One call of each{', of this file one timestep' if step else ''}. "
        f"This file costs less in {listed(ours) if ours else 'nothing'}. "
        f"The ReLU network costs less in {listed(theirs) if theirs else 'nothing'}."
    )


def _fact(key: str) -> Callable[[Cost], Fact | None]:
    return lambda cost: cost.target.get(key)


# What one call costs. Additions stand beside multiplications: today's kernels take as long for either.
QUANTITIES: tuple[tuple[str, str, Callable[[Cost], Fact | None]], ...] = (
    ("multiply-accumulates", "", lambda cost: cost.work.multiply_accumulates),
    ("multiply-accumulates and additions", "", lambda cost: cost.work.multiply_accumulates + cost.work.additions),
    ("int8 values of ADD, SUB, MUL", "", lambda cost: cost.work.elementwise),
    ("operators", "", lambda cost: cost.work.operators),
    ("file", "bytes", lambda cost: cost.memory.file),
    ("file with gzip", "bytes", lambda cost: cost.memory.gzip),
    ("RAM of TFLite Micro", "bytes", lambda cost: cost.memory.arena),
    ("operators on the target's CPU", "", _fact("cpu_operators")),
    ("estimated cycles", "", _fact("cycles")),
    ("estimated time", "ms", _fact("milliseconds")),
    ("estimated SRAM", "bytes", _fact("sram_bytes")),
    ("estimated on-chip flash", "bytes", _fact("on_chip_flash_bytes")),
    ("estimated off-chip flash", "bytes", _fact("off_chip_flash_bytes")),
)
