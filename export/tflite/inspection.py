"""What a .tflite file says of itself, as text: its metadata if we wrote it, its inputs, outputs and operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..text import aligned, printable
from .contents import Contents, FileOperator, FileTensor, contents

USUAL_DTYPES = ("int8", "int32")
NOTHING = FileTensor("", (), "", np.empty(0, np.float32), np.empty(0, np.int64))  # of an operator that writes no tensor


def inspect(tflite_bytes: bytes) -> str:
    """Describes anybody's file in lines of text.

    Raises: ValueError if the file is corrupt.
    """
    found = contents(tflite_bytes)
    title = f"{found.name}: {len(tflite_bytes):,} bytes, {len(found.operators)} operators"
    title += f" in {found.subgraphs} subgraphs" if found.subgraphs > 1 else ""
    lines = [title, "", *metadata_lines(found.metadata), *tensor_table(found), "", *operator_table(found)]
    return "\n".join(printable(line) for line in lines)


def metadata_lines(metadata: object) -> list[str]:
    """Single facts as one table, lists of records as a table each, lists of sentences line by line.

    A file of somebody else may hold any JSON here.
    """
    if not isinstance(metadata, Mapping):
        return [f"metadata  {metadata}", ""]
    if not metadata:
        return ["no metadata: written by another program", ""]
    tables = {key: value for key, value in metadata.items() if _is_table(value)}
    rows = [(_words(key), text) for key, value in metadata.items() if key not in tables for text in _texts(value)]
    lines = [*aligned(rows, left=2), ""] if rows else []
    for key, records in tables.items():
        heads = [*dict.fromkeys(head for record in records for head in record)]
        cells = [tuple(_text(record.get(head, "")) for head in heads) for record in records]
        lines += [f"{_words(key)}:", *aligned([tuple(map(_words, heads)), *cells], left=len(heads)), ""]
    return lines


def tensor_table(found: Contents) -> list[str]:
    """Inputs and outputs: dtype, shape, and how integers stand for real numbers."""
    rows = [("", "name", "tensor", "type", "shape", "scale", "zero point")]
    for role, named in (("input", found.inputs), ("output", found.outputs)):
        for name, value in named.items():
            zero_points = ", ".join(map(str, np.unique(value.zero_points)))
            rows.append((role, name, value.name, value.dtype, _shape(value), _scale(value), zero_points))
    return aligned(rows, left=5)


def operator_table(found: Contents) -> list[str]:
    """One line per operator, in order of execution. Types are shown where one is neither int8 nor int32."""
    rows = [("", "operator", "activation", "writes", "shape", "scale", "constants")]
    typed = any(value.dtype not in USUAL_DTYPES for operator in found.operators for value in operator.outputs)
    for operator in found.operators:
        number = f"{operator.subgraph}:{operator.index}" if found.subgraphs > 1 else str(operator.index)
        activation = "" if operator.activation == "NONE" else operator.activation
        output = operator.outputs[0] if operator.outputs else NOTHING
        shape = f"{output.dtype} {_shape(output)}" if typed else _shape(output)
        name = f"{output.name} and {len(operator.outputs) - 1} more" if len(operator.outputs) > 1 else output.name
        rows.append((number, operator.kind, activation, name, shape, _scale(output), _constants(operator)))
    return aligned(rows, left=5)


def _constants(operator: FileOperator) -> str:
    """Bytes of the constants that an operator reads."""
    size = sum(value.constant or 0 for value in operator.inputs)
    return f"{size:,} bytes" if size else ""


def _shape(value: FileTensor) -> str:
    return "" if value is NOTHING else "x".join(map(str, value.shape)) or "scalar"


def _scale(value: FileTensor) -> str:
    scales = np.unique(value.scales)
    if not scales.size:
        return ""
    return f"{scales[0]:.6g}" if scales.size == 1 else f"{scales[0]:.3g} to {scales[-1]:.3g}"


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(record, Mapping) for record in value)


def _texts(value: object) -> list[str]:
    """One line, or one for each sentence of a list."""
    if isinstance(value, list) and any(isinstance(entry, str) for entry in value):
        return [_text(entry) for entry in value]
    return [_text(value)]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _words(key: str) -> str:
    return key.replace("_", " ")
