"""The words of a certificate."""

from __future__ import annotations

from .proof import Proof
from .report import Agreement
from .target_report import Fact

PAIRS = 2**16
METHOD_NOTES = (
    "Exact means: the file computes the same integers on every runtime named here. It does not mean that the file "
    "computes what the float model computes; the table of spikes says how near it comes.",
    "Operands are enumerated for the operators of spiking layers. Convolutions, sums and everything else are compared "
    "on the samples.",
)


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
    if proof.method == "currents":
        return f"{proof.cases} currents: " + ("no state" if proof.decay == "0" else "the same at all timesteps")
    return f"no state: the kernel fires, {proof.cases - proof.wrong} of {proof.cases} channels cannot tie"


def fact_text(value: Fact) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value
