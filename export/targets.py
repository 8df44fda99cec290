"""Whether a target runs every operator of a file: asked of the target's own tools where they can be installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import flatbuffer, trial, vela
from .program import Operator, Program
from .target_report import Fact, Placement, TargetReport
from .target_tables import TABLES, Row, Rule

# The calls of tflite::MicroMutableOpResolver, by kind.
RESOLVER_CALLS: Mapping[str, str] = {
    "ADD": "AddAdd",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "RESHAPE": "AddReshape",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
    "SLICE": "AddSlice",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "TRANSPOSE": "AddTranspose",
    "TRANSPOSE_CONV": "AddTransposeConv",
}


def check(tflite_bytes: bytes, *, target: str) -> TargetReport:
    """Says of every operator of a file whether `target` runs it.

    `litert` and `tflm` run the file; `ethos-u...` compile it with Vela; `edgetpu` and `qualcomm` are looked up in
    published lists, and the report says "not run".

    Args:
        tflite_bytes: The file, as `export_tflite` returns it.
        target: One of TARGETS.

    Returns:
        A `TargetReport`. `report.accepted` is the verdict.

    Raises:
        ValueError: if the target is unknown, the file is corrupt or holds other operators than ours, or the target's
            tool refuses the file as a whole.
        ImportError: naming the extra to install, if the target's tool is missing.
    """
    check_target(target)
    program = flatbuffer.read(tflite_bytes)
    how, operators, facts = TARGETS[target](tflite_bytes, program, target)
    return TargetReport(target, program.name, target not in TABLES, how, operators, facts)


def require(tflite_bytes: bytes, target: str) -> TargetReport:
    """As `check`, but raises ValueError, naming the operators, if the target refuses any."""
    report = check(tflite_bytes, target=target)
    if report.refused:
        names = "; ".join(f"{one.kind} {one.name!r} ({one.reason})" for one in report.refused)
        raise ValueError(
            f"Every operator must run on {target}. Received {len(report.refused)} of {len(report.operators)} that do "
            f"not: {names}. Change the layers of these names, or export without `target`."
        )
    return report


def check_target(target: str) -> None:
    """Raises ValueError unless the target is one of TARGETS."""
    if target not in TARGETS:
        raise ValueError(f"`target` must be one of {', '.join(TARGETS)}. Received: {target!r}")


Answer = tuple[str, tuple[Placement, ...], dict[str, Fact]]


def ask_litert(tflite_bytes: bytes, program: Program, target: str) -> Answer:
    partitions = trial.ask("litert", tflite_bytes)
    inside = set().union(*partitions)
    operators = tuple(
        _place(program, operator, True, "XNNPACK")
        if index in inside
        else _place(program, operator, False, "not taken by XNNPACK: LiteRT's own kernels")
        for index, operator in enumerate(program.operators)
    )
    facts = {"partitions": len(partitions), "delegated_operators": len(inside)}
    return "LiteRT ran the file with its XNNPACK delegate", operators, facts


def ask_tflm(tflite_bytes: bytes, program: Program, target: str) -> Answer:
    facts = {"arena_bytes": trial.ask("tflm", tflite_bytes), "op_resolver": op_resolver(program)}
    operators = tuple(_place(program, operator, True, "ran") for operator in program.operators)
    return "TFLite Micro ran the file", operators, facts


def ask_vela(tflite_bytes: bytes, program: Program, target: str) -> Answer:
    compilation = vela.compile_file(tflite_bytes, accelerator=target)
    where = {row.name: row.where for row in compilation.rows}
    on_cpu = {row.name for row in compilation.rows if row.where != "NPU"}
    operators = []
    for operator in program.operators:
        name = program.tensors[operator.output].name
        if name in on_cpu:
            reason = f"on the CPU: {compilation.reasons.get(name, 'Vela gives no reason')}"
        else:
            reason = where.get(name, "NPU, merged into other operators")
        operators.append(_place(program, operator, name not in on_cpu, reason))
    ours = {operator.name for operator in operators}
    operators += [
        Placement(row.kind, row.name, False, "on the CPU, added by Vela")
        for row in compilation.rows
        if row.name in on_cpu - ours
    ]
    return f"Vela {compilation.version} compiled the file", tuple(operators), dict(compilation.facts)


def look_up(tflite_bytes: bytes, program: Program, target: str) -> Answer:
    name, rows, rule = TABLES[target]
    operators = tuple(_look_up(program, operator, rows, rule) for operator in program.operators)
    return f"not run: published operator lists of {name}", operators, {}


def op_resolver(program: Program) -> tuple[str, ...]:
    """The calls that register a program's operators with TFLite Micro, in the order of the file.

    Raises: ValueError if the call of an operator is not known.
    """
    kinds = dict.fromkeys(operator.kind for operator in program.operators)
    unknown = [kind for kind in kinds if kind not in RESOLVER_CALLS]
    if unknown:
        raise ValueError(f"TFLite Micro must have a kernel for {unknown[0]}. Known: {', '.join(RESOLVER_CALLS)}")
    return tuple(RESOLVER_CALLS[kind] for kind in kinds)


def _look_up(program: Program, operator: Operator, rows: Mapping[str, Row], rule: Rule) -> Placement:
    row = rows.get(operator.kind)
    if row is None:
        return _place(program, operator, None, "in no list that was found")
    inputs = tuple(program.tensors[index] for index in operator.inputs)
    refusal = rule(operator, inputs, program.tensors[operator.output])
    if refusal is None and operator.activation != "NONE" and not row.fuses:
        refusal = f"no fused activation, received {operator.activation}"
    reason = refusal or ("listed" if not row.limits else f"listed: {row.limits}")
    return _place(program, operator, refusal is None, reason, row.source)


def _place(program: Program, operator: Operator, accepted: bool | None, reason: str, source: str = "") -> Placement:
    return Placement(operator.kind, program.tensors[operator.output].name, accepted, reason, source)


TARGETS: Mapping[str, Callable[[bytes, Program, str], Answer]] = {
    "litert": ask_litert,
    "tflm": ask_tflm,
    **dict.fromkeys(vela.ACCELERATORS, ask_vela),
    **dict.fromkeys(TABLES, look_up),
}
