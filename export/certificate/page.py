"""A certificate as one HTML page: readable on a phone and in print, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..costs.sizes import MemoryUse
from ..program.facts import Facts
from ..text import duration
from ..verification.report import Report
from .cost_sections import energy, flash, operations, relu_network, target, target_summary
from .html import STYLE, pairs, section, table, zero
from .proof import Proof
from .spikes import LayerSpikes
from .text import EXACT_MEANS, METHOD_NOTES, bytes_text, count, operands, range_text, share_text, shown

if TYPE_CHECKING:
    from .certificate import Certificate


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
            energy(certificate.energy),
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
