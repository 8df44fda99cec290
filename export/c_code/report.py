"""NAME.json: what is computed how and why, and where every byte of flash and RAM goes."""

from __future__ import annotations

import json

from .c_text import INDENT
from .design import Design
from .source import code
from .steps import Step


def report(design: Design) -> dict[str, object]:
    """Facts of the C code, ready for JSON.

    layers: in order of execution. how: "event-driven" where work follows the spikes, "values" where zeros are left out,
        "dense", or "memory" where bytes only move. sums: (least, largest) that can occur, and the bits that hold them.
        flash: bytes of the constants that this layer is the first to use. arena: bytes alive while it runs.
        cheaper_below: the share of inputs that fire below which it takes fewer instructions than the same layer with
        int8 values in CMSIS-NN on a Cortex-M7; 1 for every share.
    """
    constants, lines, seen = design.constants, code(design), set()
    layers = []
    for number, step in enumerate(design.steps):
        own = constants.names(lines[number]) - seen
        seen |= own
        layers.append(_layer(design, number, step, sum(constants.flash[name] for name in own)))
    return {
        "name": design.name,
        "network": design.program.name,
        "timesteps": design.timesteps,
        "arena_bytes": design.memory.size,
        "input_bytes": {name: design.size(index) for name, index in design.inputs.items()},
        "output_bytes": {name: design.size(index) for name, index in design.outputs.items()},
        "constant_bytes": sum(constants.flash[name] for name in seen),
        "layers": layers,
    }


def report_text(design: Design) -> str:
    return json.dumps(report(design), indent=len(INDENT)) + "\n"


def _layer(design: Design, number: int, step: Step, flash: int) -> dict[str, object]:
    alive = [root for root, (first, last) in design.memory.lives.items() if first <= number <= last]
    facts = step.facts
    return {
        "layer": step.layer,
        "computes": step.note,
        "how": facts.how,
        "why": facts.why,
        **({"sums": list(facts.sums), "sum_bits": facts.bits} if facts.sums else {}),
        **({"cheaper_below": facts.cheaper_below} if facts.cheaper_below else {}),
        "kernels": list(step.kernels),
        "flash_bytes": flash,
        "arena_bytes": sum(design.memory.sizes[root] for root in alive),
    }
