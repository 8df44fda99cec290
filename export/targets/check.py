"""Whether a target runs every operator of a file: asked of the target's own tools where they can be installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from ..runtimes import own_process
from ..text import Fact
from ..tflite.contents import Contents, FileOperator, contents
from . import ahead_of_time, vela
from .published_lists import TABLES, ListedOperator, Refusal
from .report import Placement, TargetReport
from .tflm_resolver import RESOLVER_CALLS

# What runtimes print of the operator that they cannot run: its place among the file's own, or its kind.
REFUSED_PLACE = re.compile(r"Node number (\d+) \(([^)]*)\) failed|Node (\S+) \(number (\d+)f?\) failed")
REFUSED_KIND = re.compile(r"builtin opcode '(\w+)'|registration from op code (\w+)")


def check(tflite_bytes: bytes, *, target: str) -> TargetReport:
    """Says of every operator of a file whether `target` runs it. Anybody's file, not only those of `export_tflite`.

    `litert` and `tflm` run the file, `cortex-m` is `tflm` again; `ethos-u...` compile it with Vela; `intel-...`,
    `qualcomm-...`, `mediatek-...` and `google-tensor-...` with LiteRT and the vendor's compiler; `edgetpu` and
    `qualcomm` are looked up in published lists, and the report says "not run". Where a runtime or Vela refuses the file
    as a whole, the operators that it names are refused, and the others not known; if it names none, all are refused.

    Args:
        tflite_bytes: The file.
        target: One of TARGETS.

    Returns:
        A `TargetReport`. `report.accepted` is the verdict.

    Raises:
        ValueError: if the target is unknown or the file is corrupt.
        ImportError: naming the extra to install, if the target's tool is missing.
    """
    check_target(target)
    found = contents(tflite_bytes)
    how, operators, facts = TARGETS[target](tflite_bytes, found, target)
    return TargetReport(target, found.name, target not in TABLES, how, operators, facts)


def require(tflite_bytes: bytes, target: str) -> TargetReport:
    """As `check`, but raises ValueError, naming the operators, if the target refuses any."""
    report = check(tflite_bytes, target=target)
    if report.refused:
        names = "; ".join(f"{placement.kind} {placement.name!r} ({placement.reason})" for placement in report.refused)
        raise ValueError(
            f"Every operator must run on {target}. Received {len(report.refused)} of {len(report.operators)} that do "
            f"not: {names}. Change the layers of these names, or export without `target`."
        )
    return report


def check_target(target: str) -> None:
    """Raises ValueError unless the target is one of TARGETS."""
    if target not in TARGETS:
        raise ValueError(f"`target` must be one of {', '.join(TARGETS)}. Received: {target!r}")


CORTEX_M, LITERT = "cortex-m", "litert"
NPU = "NPU"
Answer = tuple[str, tuple[Placement, ...], dict[str, Fact]]


def ask_litert(tflite_bytes: bytes, found: Contents, target: str) -> Answer:
    how = "LiteRT ran the file with its XNNPACK delegate"
    try:
        partitions = own_process.run_in_own_process("litert", tflite_bytes)
    except ValueError as error:
        return "LiteRT did not run the file", all_refused(found, str(error)), {}
    inside = set().union(*partitions)
    operators = tuple(_delegated(operator, inside) for operator in found.operators)
    return how, operators, {"partitions": len(partitions), "delegated_operators": len(inside)}


def ask_tflm(tflite_bytes: bytes, found: Contents, target: str) -> Answer:
    try:
        arena = own_process.run_in_own_process("tflm", tflite_bytes)
    except ValueError as error:
        return "TFLite Micro did not run the file", all_refused(found, str(error)), {}
    kinds = dict.fromkeys(operator.kind for operator in found.operators)
    calls = tuple(RESOLVER_CALLS.get(kind, f"(unknown for {kind})") for kind in kinds)
    operators = tuple(_place(operator, True, "ran") for operator in found.operators)
    return "TFLite Micro ran the file", operators, {"arena_bytes": arena, "op_resolver": calls}


def ask_vela(tflite_bytes: bytes, found: Contents, target: str) -> Answer:
    try:
        compilation = vela.compile_file(tflite_bytes, accelerator=target)
    except ValueError as error:
        return "Vela did not compile the file", all_refused(found, str(error)), {}
    operators = [_compiled(operator, compilation, found.subgraphs) for operator in found.operators]
    ours = {_vela_name(operator) for operator in found.operators}
    operators += [
        Placement(row.kind, row.name, False, "on the CPU, added by Vela")
        for row in compilation.rows
        if row.where != NPU and row.name not in ours
    ]
    return f"Vela {compilation.version} compiled the file", tuple(operators), dict(compilation.facts)


def ask_npu_compiler(tflite_bytes: bytes, found: Contents, target: str) -> Answer:
    """What a compiled file still holds of the operators, LiteRT's own kernels compute."""
    try:
        compiled = contents(ahead_of_time.compiled(tflite_bytes, target))
    except ValueError as error:
        return "LiteRT did not compile the file", all_refused(found, str(error)), {}
    left = {operator.name for operator in compiled.operators if not operator.kind.startswith("CUSTOM")}
    operators = tuple(
        _place(operator, False, "left to LiteRT's own kernels")
        if operator.name in left
        else _place(operator, True, "compiled for the NPU")
        for operator in found.operators
    )
    return "LiteRT compiled the file ahead of time", operators, {"left_operators": len(left)}


def look_up(tflite_bytes: bytes, found: Contents, target: str) -> Answer:
    name, rows, rule = TABLES[target]
    operators = tuple(_look_up(operator, rows, rule) for operator in found.operators)
    return f"not run: published operator lists of {name}", operators, {}


def all_refused(found: Contents, said: str) -> tuple[Placement, ...]:
    """The operators of a file that a tool did not take: refused are those that it names, or all if it names none."""
    named = [operator for operator in found.operators if _is_named(operator, said)]
    why = " ".join(said.split())
    return tuple(
        _place(operator, False, why)
        if operator in (named or found.operators)
        else _place(operator, None, "the file did not run")
        for operator in found.operators
    )


def _is_named(operator: FileOperator, said: str) -> bool:
    """Whether a runtime's message is about this operator."""
    names = {operator.kind, operator.kind.removeprefix("CUSTOM (").removesuffix(")")}
    for number, name, other_name, other_number in REFUSED_PLACE.findall(said):
        if operator.subgraph == 0 and operator.index == int(number or other_number) and (name or other_name) in names:
            return True
    kinds = {first or second for first, second in REFUSED_KIND.findall(said)}
    return operator.kind.split(" ")[0] in kinds


def _delegated(operator: FileOperator, inside: set[int]) -> Placement:
    if operator.subgraph:
        return _place(operator, None, "LiteRT shows who computes the first subgraph, not those called by it")
    if not operator.outputs:
        return _place(operator, None, "it writes no tensor, so LiteRT does not show who computes it")
    if operator.index in inside:
        return _place(operator, True, "XNNPACK")
    return _place(operator, False, "not taken by XNNPACK: LiteRT's own kernels")


def _compiled(operator: FileOperator, compilation: vela.Compilation, subgraphs: int) -> Placement:
    name, reason = _vela_name(operator), compilation.reasons.get(_vela_name(operator))
    places = {row.where for row in compilation.rows if row.name == name}
    if places - {NPU} or (reason and subgraphs > 1):
        return _place(operator, False, f"on the CPU: {reason or 'Vela gives no reason'}")
    if places:
        return _place(operator, True, NPU)
    if subgraphs > 1:
        return _place(operator, None, "Vela lists the operators of one subgraph only")
    return _place(operator, True, "computed by Vela when compiling" if reason else "NPU, merged into other operators")


def _vela_name(operator: FileOperator) -> str:
    return operator.name if operator.outputs else f"placeholder-for-{operator.index}-OFM"


def _look_up(operator: FileOperator, rows: Mapping[str, ListedOperator], rule: Refusal) -> Placement:
    row = rows.get(operator.kind)
    if row is None:
        return _place(operator, None, "not in the table: in no list that was found")
    refusal = rule(operator)
    if refusal is None and operator.activation != "NONE" and not row.fuses:
        refusal = f"no fused activation, received {operator.activation}"
    reason = refusal or ("listed" if not row.limits else f"listed: {row.limits}")
    return replace(_place(operator, refusal is None, reason), source=row.source)


def _place(operator: FileOperator, accepted: bool | None, reason: str) -> Placement:
    return Placement(operator.kind, operator.name, accepted, reason)


TARGETS: Mapping[str, Callable[[bytes, Contents, str], Answer]] = {
    LITERT: ask_litert,
    "tflm": ask_tflm,
    CORTEX_M: ask_tflm,
    **dict.fromkeys(vela.ACCELERATORS, ask_vela),
    **dict.fromkeys(ahead_of_time.CHIPS, ask_npu_compiler),
    **dict.fromkeys(TABLES, look_up),
}
