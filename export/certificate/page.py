"""A certificate as one HTML page: readable on a phone and in print, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..costs.beside_relu import BesideRelu
from ..costs.operation_counts import OperationCounts
from ..costs.sizes import Flash, MemoryUse
from ..program.facts import Facts
from ..targets.report import VERDICTS, TargetReport
from ..text import duration, fact_text
from ..verification.report import Report
from .proof import Proof
from .spikes import LayerSpikes
from .text import (
    EXACT_MEANS,
    METHOD_NOTES,
    bytes_text,
    count,
    operands,
    range_text,
    ratio_text,
    relu_rows,
    relu_text,
    share_text,
    shown,
)

if TYPE_CHECKING:
    from .certificate import Certificate

STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #b42318; --doubt: #b26a00; --quiet: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { margin: .4rem 0; max-width: 46rem; }
.verdict { border-left: .5rem solid var(--good); background: var(--quiet); padding: .7rem 1rem; max-width: none; }
.verdict.doubt { border-color: var(--doubt); }
.verdict.bad { border-color: var(--bad); }
.verdict b { color: var(--good); font-size: 1.2rem; margin-right: .5rem; }
.verdict.doubt b { color: var(--doubt); }
.verdict.bad b, td.bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; }
td:first-child, th:first-child, th.text, td.text, th.unit, td.unit, .facts td { text-align: left; }
.wide td:first-child, .wide th:first-child { position: sticky; left: 0; background: Canvas; white-space: nowrap; }
td.text { min-width: 11rem; }
.facts td:first-child { white-space: nowrap; opacity: .75; padding-right: 1.5rem; }
.facts td { overflow-wrap: anywhere; }
td.less { font-weight: 600; }
tr.total td { font-weight: 600; border-bottom: none; }
code { font-size: .85em; overflow-wrap: anywhere; }
@media screen and (prefers-color-scheme: dark) { :root { --good: #57c274; --bad: #ff8574; --doubt: #e2a33d; } }
@media (max-width: 600px) {
  body { padding: 1rem .75rem 2rem; }
  table { font-size: .85rem; }
  /* A long name would leave no room beside it. */
  .wide td:first-child, .wide th:first-child { position: static; }
  .facts, .facts tbody, .facts tr, .facts td { display: block; border: none; padding: 0; }
  .facts tr { border-bottom: 1px solid var(--line); padding: .3rem 0; }
  .facts td:first-child { white-space: normal; font-size: .8rem; }
}
@media print {
  :root { color-scheme: light; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding-right: .5rem; }
  tr, .verdict { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""

Cell = str | tuple[str, str]  # text, or (text, class)


def page(certificate: Certificate) -> str:
    """The page, a whole HTML document."""
    report, stated, name = certificate.report, certificate.facts, shown(certificate.report.name)
    body = "".join(
        (
            summary(certificate),
            runtimes(report),
            proofs(certificate.proofs),
            spikes(certificate.spikes),
            operations(certificate.work),
            relu_network(certificate.beside_relu, step=stated.form == "step"),
            target(certificate.target),
            flash(certificate.flash),
            facts(report, stated, certificate.memory),
            notes(report),
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: certificate</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{name}</h1>\n{body}</body></html>\n"
    )


def summary(certificate: Certificate) -> str:
    report, work = certificate.report, certificate.work.total
    style = (" doubt" if report.doubts else "") if certificate.exact else " bad"
    verdict = "EXACT" if certificate.exact else "NOT EXACT"
    doubts = f" But {'; '.join(map(shown, report.doubts))}." if report.doubts else ""
    compared = sum(one.values + one.output_values for one in report.runtimes.values())
    unequal = sum(one.differing + one.output_differing for one in report.runtimes.values())
    holding = sum(proof.holds for proof in certificate.proofs)
    samples = f"{count(report.samples)} sample{'s' * (report.samples != 1)}"
    sentence = (
        f"{count(unequal)} of {count(compared)} int8 values differ, on {samples} and "
        f"{len(report.runtimes)} runtimes. {holding} of {len(certificate.proofs)} spiking layers are proven for every "
        "operand."
    )
    rows = [
        ("Same class as the Keras model", share_text(report.agreement)),
        ("Additions, multiply-accumulates", f"{count(work.additions)}, {count(work.multiply_accumulates)} a sample"),
        ("RAM, TFLite Micro", bytes_text(certificate.memory.arena)),
        ("Flash", f"{bytes_text(certificate.memory.file)} ({bytes_text(certificate.memory.gzip)} with gzip)"),
        ("Time", f"{duration(report.latency.median_ms)} a sample (XNNPACK, one thread, where this page was written)"),
        *target_summary(certificate.target),
        ("File", certificate.file or "not named"),
        ("SHA-256 of the file", certificate.sha256),
        ("Date", certificate.date or "not stated"),
    ]
    means = f"<p>{shown(EXACT_MEANS)}</p>"
    return f'<p class="verdict{style}"><b>{verdict}</b>{doubts} {sentence}</p>{means}{pairs(rows)}'


def target_summary(found: TargetReport | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    accepted = sum(one.accepted is True for one in found.operators)
    text = f"{accepted} of {len(found.operators)} operators" + ("" if found.ran else " listed, not run")
    if "milliseconds" in found.facts:
        text += f", {found.facts['milliseconds']:.3g} ms (estimate)"
    return [(f"On {found.target}", text)]


def runtimes(report: Report) -> str:
    heads = ("runtime", "all tensors", "differing", "outputs as shipped", "differing")
    rows = [
        (name, count(one.values), zero(one.differing), count(one.output_values), zero(one.output_differing))
        for name, one in report.runtimes.items()
    ]
    unequal = [f"{pair}: {count(number)}" for pair, number in report.pairs.items() if number]
    text = "Every tensor that an operator writes, on the samples, against the integers of the NumPy program. "
    text += f"Between two runtimes differ: {', '.join(unequal) or 'no values'}."
    return section("Values compared", text, table(heads, rows))


def proofs(found: Sequence[Proof]) -> str:
    heads = ("layer", "", "int8 values", "differing", "off the equation", "decay", "steps a unit", ("operands", "text"))
    rows = []
    for one in found:
        compared, differing = sum(one.compared.values()), sum(one.differing.values())
        values = (count(compared), zero(differing)) if one.compared else ("", "")
        verdict = "proven" if one.holds else ("not proven", "bad")
        grid = (one.decay, count(one.steps_per_unit))
        rows.append((one.layer, verdict, *values, zero(one.wrong), *grid, (operands(one), "text")))
    text = (
        "The operators of each layer, taken out of this file and run now, for every operand rather than for samples: "
        "on every runtime against the NumPy program, and the program against the neuron's equation in integers."
    )
    return section("Spiking layers, every operand", text, table(heads, rows))


def spikes(layers: Sequence[LayerSpikes]) -> str:
    heads = ("layer", "firing rate", "same spikes as Keras", "compared")
    rows = []
    for one in layers:
        rate = "not known" if one.firing_rate is None else f"{one.firing_rate:.3f}"
        share = "not compared" if one.share is None else f"{100 * one.share:.2f} %"
        rows.append((one.layer + (" (signs left out)" if one.unsigned else ""), rate, share, count(one.compared)))
    text = (
        "On the samples. The Keras model computes in float32, the file in int8: kernels are rounded, so some spikes "
        "differ. All runtimes agree on the spikes of the file."
    )
    return section("Spikes", text, table(heads, rows))


def operations(counts: OperationCounts) -> str:
    heads = (
        "layer",
        "operators",
        "MACs",
        "additions",
        "not of 0",
        "at most",
        "rescalings",
        "int8 values",
    )
    rows = []
    for one in (*counts.layers, counts.total):
        measured = "" if one.additions_measured is None or not one.additions else count(round(one.additions_measured))
        numbers = (one.multiply_accumulates, one.additions), (one.additions_bound, one.rescalings, one.elementwise)
        rows.append((one.layer, count(one.operators), *map(some, numbers[0]), measured, *map(some, numbers[1])))
    text = (
        "For one sample, all timesteps. Kernel weights on spikes or sums of spikes are additions, on real values "
        "multiply-accumulates (MACs). Not of 0: mean on the samples, inputs of 0 skipped. At most: a sum of n counts n "
        "times. Rescalings: accumulators made int8, one multiplication each. Int8 values: written by ADD, SUB and MUL."
    )
    return section("Work", text, table(heads, rows, total=True))


def relu_network(found: BesideRelu | None, *, step: bool) -> str:
    """step: whether a call of the file is one timestep."""
    title = "The same network with ReLU"
    if found is None:
        return section(title, "Not compared: it is made of the Keras model, and there was none.", "")
    rows = [
        (
            row.name,
            (row.unit, "unit"),
            (row.ours, "less" * (row.more < 0)),
            (row.theirs, "less" * (row.more > 0)),
            ratio_text(row.times),
        )
        for row in relu_rows(found)
    ]
    heads = ("the lesser in bold", ("unit", "unit"), "this file", "ReLU", "times ReLU")
    return section(title, shown(relu_text(found, step=step)), table(heads, rows))


def target(found: TargetReport | None) -> str:
    if found is None:
        return section("Target", "None was asked for.", "")
    rows = [(key.replace("_", " "), fact_text(value)) for key, value in found.facts.items()]
    refused = [(f"not run: {one.kind}", f"{one.name}: {one.reason}") for one in found.refused]
    text = f"{found.how}. Every operator accepted: {VERDICTS[found.accepted]}."
    return section(f"Target {found.target}", shown(text), pairs([*rows, *refused]))


def flash(sizes: tuple[Flash, Flash] | None) -> str:
    """Nothing where no file from before compression was given."""
    if sizes is None:
        return ""
    heads = ("", "file", "with gzip", "encoded for Ethos-U55")
    rows = [
        (name, bytes_text(one.raw), bytes_text(one.gzip), bytes_text(one.encoded))
        for name, one in zip(("before compression", "this file"), sizes, strict=True)
    ]
    return section("Flash", "Encoded: weights, biases and commands as Vela stores them.", table(heads, rows))


def facts(report: Report, stated: Facts, memory: MemoryUse) -> str:
    rows = [
        ("timesteps", str(stated.timesteps) + (", one a call" if stated.form == "step" else "")),
        ("input range", range_text(stated.input_range)),
        ("constants", f"{bytes_text(memory.constants)} of the file"),
        ("operators", ", ".join(f"{number} {kind}" for kind, number in report.operators.items())),
        ("not int8 or int32", ", ".join(report.float_tensors) or "none"),
        ("spike tensors", f"{len(report.spike_tensors)}, improper: {', '.join(report.improper_spikes) or 'none'}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())),
    ]
    return section("File", "", pairs(rows))


def notes(report: Report) -> str:
    lines = [*report.notes, *METHOD_NOTES]
    return section("Notes", "", "<ul>" + "".join(f"<li>{shown(line)}</li>" for line in lines) + "</ul>")


def section(title: str, text: str, content: str) -> str:
    paragraph = f"<p>{text}</p>" if text else ""
    return f"<h2>{shown(title)}</h2>{paragraph}{content}\n"


def table(heads: Sequence[Cell], rows: Iterable[Sequence[Cell]], *, total: bool = False) -> str:
    """total: the last row is the sum of the others."""
    rows = list(rows)
    head = "".join(cell(text, "th") for text in heads)
    lines = [f"<tr{' class=total' if total and row is rows[-1] else ''}>{''.join(map(cell, row))}</tr>" for row in rows]
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<tr>{cell(name)}{cell(value)}</tr>" for name, value in rows)
    return f'<table class="facts">{lines}</table>'


def cell(content: Cell, tag: str = "td") -> str:
    text, kind = content if isinstance(content, tuple) else (content, "")
    return f"<{tag}{f' class={kind}' if kind else ''}>{shown(text)}</{tag}>"


def zero(number: int) -> Cell:
    """A number that should be 0: anything else stands out."""
    return (count(number), "bad") if number else "0"


def some(number: int) -> str:
    """A number, or nothing for 0."""
    return count(number) if number else ""
