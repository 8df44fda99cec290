"""What a file costs, in sections of the page: work, energy, the ReLU network beside it, the target, flash."""

from __future__ import annotations

from collections.abc import Sequence

from ..costs.beside_relu import BesideRelu
from ..costs.energy import TABLES, Energy
from ..costs.operation_counts import OperationCounts
from ..costs.sizes import Flash
from ..targets.report import VERDICTS, TargetReport
from ..text import fact_text
from .front import front
from .html import pairs, section, some, table
from .text import bytes_text, count, ratio_text, relu_rows, relu_text, shown

MICRO = 1e6


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


def energy(found: Sequence[Energy]) -> str:
    """Nothing where nothing was measured."""
    if not found:
        return ""
    first = found[0]
    rows = [
        (
            one.table,
            *map(_micro, (one.event_driven, one.dense_joules, one.relu)),
            f"{one.break_even:.1%}",
            (TABLES[one.table].source, "text"),
        )
        for one in found
    ]
    effective = count(round(first.additions)), count(round(first.multiply_accumulates))
    text = (
        f"Microjoules for one sample, mean on the samples. Event-driven: {effective[0]} additions and {effective[1]} "
        f"multiply-accumulates of values that are not 0, of {count(first.dense)} weights times activations. A spike "
        "adds, a level or a sum of spikes multiplies. ReLU: the same layers once, dense. Break-even: the share of "
        f"additions at which event-driven costs what ReLU costs; it is {first.share:.1%} now. Spikes tell "
        f"{first.bits_per_addition:.2g} bits an addition. Drawn by the first table: what this network would take with "
        "fewer or more additions."
    )
    heads = ("table", "event-driven", "dense", "ReLU", "break-even", ("of what", "text"))
    return section("Energy", text, table(heads, rows) + front(first))


def _micro(joules: float) -> str:
    return f"{MICRO * joules:.3g}"


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


def target_summary(found: TargetReport | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    accepted = sum(one.accepted is True for one in found.operators)
    text = f"{accepted} of {len(found.operators)} operators" + ("" if found.ran else " listed, not run")
    if "milliseconds" in found.facts:
        text += f", {found.facts['milliseconds']:.3g} ms (estimate)"
    return [(f"On {found.target}", text)]


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
