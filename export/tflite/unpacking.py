"""Any .tflite file as the generated code's objects, and what stands in them: bytes may be of anyone, and damaged."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
METADATA_KEY = "keras_ternary_spike"
KIND_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


def unpack(tflite_bytes: bytes) -> schema.ModelT:
    """The generated code's objects, or ValueError. It checks no offset and fails in many ways."""
    if tflite_bytes[4:8] != IDENTIFIER:
        raise ValueError(
            f"A .tflite file must have the identifier {IDENTIFIER.decode()} in its bytes 4 to 7. "
            f"Received: {tflite_bytes[4:8]!r} in {len(tflite_bytes)} bytes"
        )
    try:
        model = schema.ModelT.InitFromPackedBuf(tflite_bytes)
    except (struct.error, IndexError, TypeError, ValueError, AssertionError, AttributeError) as error:
        raise ValueError(f"The .tflite file of {len(tflite_bytes)} bytes is truncated or corrupt ({error}).") from error
    if model.version != SCHEMA_VERSION or not model.buffers:
        raise ValueError(f"The schema version must be {SCHEMA_VERSION}. Received: {model.version}")
    return model


TENSOR_FIELDS = {"name", "shape", "type", "buffer", "quantization", "hasRank", "shapeSignature"}
OPERATOR_FIELDS = {"opcodeIndex", "inputs", "outputs", "builtinOptionsType", "builtinOptions", "debugMetadataIndex"}
QUANTIZATION_FIELDS = {"min", "max", "scale", "zeroPoint", "quantizedDimension"}  # runtimes read no min and max


def check_fields(what: str, table: object, read: Collection[str]) -> None:
    """Raises ValueError unless every field that nobody reads has its default: others change what is computed."""
    defaults = vars(type(table)())
    for field, value in vars(table).items():
        # The generated code gives numbers and arrays for some vectors that are absent.
        empty = value is None or (isinstance(value, np.ndarray) and not value.any())
        if field not in read and not empty and value != defaults[field]:
            raise ValueError(f"Option {field} of {what} must be {defaults[field]}. Received: {value}")


def kind_name(code: schema.OperatorCodeT) -> str:
    """Of any operator; "CUSTOM (<name>)" where it is not builtin."""
    # Files older than the 127th operator have the code in the one-byte field only.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = KIND_NAMES.get(number, f"number {number}")
    return f"CUSTOM ({text(code.customCode)})" if name == "CUSTOM" else name


def unpack_names(model: schema.ModelT) -> Mapping[int, str]:
    """The names of inputs and outputs in the file's first signature; none if two inputs or two outputs share one."""
    names: dict[int, str] = {}
    for signature in listed(model.signatureDefs)[:1]:
        for entries in (listed(signature.inputs), listed(signature.outputs)):
            named = {entry.tensorIndex: text(entry.name) for entry in entries}
            if len(set(named.values())) < len(entries):
                return {}
            names |= named
    return names


def unpack_metadata(model: schema.ModelT) -> Mapping[str, object]:
    for entry in model.metadata or []:
        if text(entry.name) == METADATA_KEY:
            if not 0 <= entry.buffer < len(model.buffers) or model.buffers[entry.buffer].data is None:
                raise ValueError(f"Metadata {METADATA_KEY!r} refers to no buffer. The file is corrupt.")
            return _from_json(model.buffers[entry.buffer].data.tobytes())
    return {}


def _from_json(data: bytes) -> Mapping[str, object]:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Metadata {METADATA_KEY!r} is not JSON ({error}). The file is corrupt.") from error


def integers(values: Sequence[int] | None) -> tuple[int, ...]:
    # The generated code gives the number 0, not None, for some vectors that are absent or empty.
    return tuple(int(value) for value in np.atleast_1d(values)) if values is not None else ()


def listed(values: Sequence | None) -> Sequence:
    return values or []


def text(value: bytes | None) -> str:
    try:
        return (value or b"").decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"Names must be UTF-8. Received: {value[:40]!r}. The file is corrupt.") from error
