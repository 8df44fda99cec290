"""Operators to the schema's objects and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..program.operators import ACTIVATIONS, FILE_KINDS, Kind, Operator
from .sharing import shared
from .unpacking import OPERATOR_FIELDS, check_fields, integers, kind_name
from .versions import check_version

PADDINGS: Mapping[str, int] = {"SAME": schema.Padding.SAME, "VALID": schema.Padding.VALID}
ACTIVATION_TYPES: Mapping[str, int] = {name: getattr(schema.ActivationFunctionType, name) for name in ACTIVATIONS}


def pack_code(kind: str, version: int) -> schema.OperatorCodeT:
    code = getattr(schema.BuiltinOperator, kind)
    return schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=version)


def pack_operator(operator: Operator, code: int) -> schema.OperatorT:
    kind = FILE_KINDS[operator.kind]
    options = shared(_options_class(kind))()
    for name, value in operator.options.items():
        setattr(options, _camel(name), _pack_option(name, value))
    if operator.activation != "NONE":
        options.fusedActivationFunction = ACTIVATION_TYPES[operator.activation]
    return schema.OperatorT(
        opcodeIndex=code,
        inputs=int32(operator.inputs),
        outputs=int32([operator.output]),
        builtinOptions=options,
        builtinOptionsType=getattr(schema.BuiltinOptions, f"{kind.table}Options"),
    )


def unpack_operator(operator: schema.OperatorT, kinds: Sequence[str]) -> Operator:
    outputs = integers(operator.outputs)
    if not 0 <= operator.opcodeIndex < len(kinds) or len(outputs) != 1:
        raise ValueError(
            "Every operator must have a code and one output. "
            f"Received: code {operator.opcodeIndex} of {len(kinds)}, {len(outputs)} outputs"
        )
    name = kinds[operator.opcodeIndex]
    options = operator.builtinOptions or _options_class(FILE_KINDS[name])()
    if not isinstance(options, _options_class(FILE_KINDS[name])):
        raise ValueError(f"{name} must have the options of {name}. Received: {type(options).__name__}")
    check_fields(name, options, {"fusedActivationFunction", *map(_camel, FILE_KINDS[name].options)})
    check_fields(name, operator, OPERATOR_FIELDS)
    activation = getattr(options, "fusedActivationFunction", schema.ActivationFunctionType.NONE)
    return Operator(
        kind=name,
        inputs=integers(operator.inputs),
        output=outputs[0],
        activation=next((key for key, code in ACTIVATION_TYPES.items() if code == activation), str(activation)),
        options={key: _unpack_option(key, getattr(options, _camel(key))) for key in FILE_KINDS[name].options},
    )


def _pack_option(name: str, value: object) -> object:
    if name == "padding":
        if value not in PADDINGS:
            raise ValueError(f"`padding` must be one of {', '.join(PADDINGS)}. Received: {value!r}")
        return PADDINGS[value]
    return int32(value) if name == "new_shape" else int(value)


def _unpack_option(name: str, value: object) -> object:
    if name == "padding":
        if value not in PADDINGS.values():
            raise ValueError(f"`padding` must be one of {', '.join(PADDINGS)}. Received: number {value}")
        return next(key for key, code in PADDINGS.items() if code == value)
    return integers(value) if name == "new_shape" else int(value)


def unpack_kind(code: schema.OperatorCodeT) -> str:
    name = kind_name(code)
    if name not in FILE_KINDS:
        raise ValueError(f"Operator {name} is not supported. Supported: {', '.join(FILE_KINDS)}")
    check_version(name, code.version)
    return name


def _options_class(kind: Kind) -> type:
    return getattr(schema, f"{kind.table}OptionsT")


def _camel(snake: str) -> str:
    head, *tail = snake.split("_")
    return head + "".join(word.capitalize() for word in tail)


def int32(values: Sequence[int]) -> np.ndarray:
    return np.asarray(values, np.int32).reshape(-1)
