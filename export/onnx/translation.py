"""Every operator of a Program as nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..program.operators import Operator
from ..program.program import Program
from ..program.ties import Values, every_reached
from . import moves
from .ends import entered, leave, value_info
from .forms import Form
from .graph import Call, Graph
from .quantized import QUANTIZED
from .whole_floats import WHOLE_FLOATS

if TYPE_CHECKING:
    import onnx

FORMS: Mapping[str, Form] = {"quantized": QUANTIZED, "float32": WHOLE_FLOATS}

Emitter = Callable[[Call, Form], str]


def translated(program: Program, form: Form) -> onnx.GraphProto:
    """The graph of a program. Raises: ValueError for an operator that is not known here, or names that come twice."""
    _check_names(program)
    graph = Graph(reserved=(*program.named_inputs, *program.named_outputs))
    reached = every_reached(program.operators, program.tensors)
    values = {index: entered(graph, program, name, form) for name, index in program.named_inputs.items()}
    for operator in program.operators:
        call = _call(graph, program, operator, values, reached)
        values[operator.output] = emitter(call)(call, form)
    for name, index in program.named_outputs.items():
        leave(graph, program, values[index], name, form)
    return _graph_proto(program, graph)


def _check_names(program: Program) -> None:
    both = [name for name in program.named_inputs if name in program.named_outputs]
    if both:
        raise ValueError(
            f"Inputs and outputs of an ONNX file must have different names. Received: {both[0]!r} for both. Rename the "
            "model's input or output."
        )


def emitter(call: Call) -> Emitter:
    found = EMITTERS.get(call.operator.kind)
    if found is None:
        raise ValueError(f"Cannot write {call.operator.kind} ({call.name!r}) as ONNX. Known: {', '.join(EMITTERS)}.")
    return found


def _call(
    graph: Graph,
    program: Program,
    operator: Operator,
    values: Mapping[int, str],
    reached: Mapping[int, Values],
) -> Call:
    return Call(
        graph,
        operator,
        tuple(program.tensors[index] for index in operator.inputs),
        program.tensors[operator.output],
        tuple(values.get(index, "") for index in operator.inputs),
        tuple(reached.get(index, ()) for index in operator.inputs),
    )


def _graph_proto(program: Program, graph: Graph) -> onnx.GraphProto:
    from onnx import helper

    inputs, outputs = (
        [value_info(program, name, index) for name, index in named.items()]
        for named in (program.named_inputs, program.named_outputs)
    )
    return helper.make_graph(graph.nodes, program.name or "network", inputs, outputs, graph.constants)


EMITTERS: Mapping[str, Emitter] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), lambda call, form: form.weighted(call)),
    "TRANSPOSE_CONV": lambda call, form: form.transposed(call),
    **dict.fromkeys(("ADD", "SUB", "MUL"), lambda call, form: form.elementwise(call)),
    "MAX_POOL_2D": moves.max_pool,
    "RESHAPE": moves.reshape,
    "PAD": moves.pad,
    "SLICE": moves.slice_,
    "CONCATENATION": moves.concatenation,
}
