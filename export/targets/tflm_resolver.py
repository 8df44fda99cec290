"""The calls that register operators with TFLite Micro."""

from __future__ import annotations

from collections.abc import Mapping

from ..program.program import Program

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


def op_resolver(program: Program) -> tuple[str, ...]:
    """The calls that register a program's operators with TFLite Micro, in the order of the file.

    Raises: ValueError if the call of an operator is not known.
    """
    kinds = dict.fromkeys(operator.kind for operator in program.operators)
    unknown = [kind for kind in kinds if kind not in RESOLVER_CALLS]
    if unknown:
        raise ValueError(f"TFLite Micro must have a kernel for {unknown[0]}. Known: {', '.join(RESOLVER_CALLS)}")
    return tuple(RESOLVER_CALLS[kind] for kind in kinds)
