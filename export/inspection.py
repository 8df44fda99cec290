"""What a .tflite file of ours says of itself, as text: its metadata, its inputs and outputs, its operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from . import flatbuffer
from .program import Operator, Program, Tensor
from .report import aligned


def inspect(tflite_bytes: bytes) -> str:
    """Describes a file in lines of text.

    Raises: ValueError if the file is corrupt or holds other operators than ours.
    """
    program = flatbuffer.read(tflite_bytes)
    title = f"{program.name}: {len(tflite_bytes):,} bytes, {len(program.operators)} operators"
    lines = [title, "", *metadata_lines(program.metadata), *tensor_table(program), "", *operator_table(program)]
    return "\n".join(_printable(line) for line in lines)


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


def tensor_table(program: Program) -> list[str]:
    """Inputs and outputs: dtype, shape, and how integers stand for real numbers."""
    rows = [("", "name", "tensor", "type", "shape", "scale", "zero point")]
    for role, named in (("input", program.named_inputs), ("output", program.named_outputs)):
        for name, index in named.items():
            tensor = program.tensors[index]
            grid = (_shape(tensor), _scale(tensor), str(tensor.zero_point))
            rows.append((role, name, tensor.name, tensor.dtype, *grid))
    return aligned(rows, left=5)


def operator_table(program: Program) -> list[str]:
    """One line per operator, in order of execution."""
    rows = [("", "operator", "activation", "writes", "shape", "scale", "constants")]
    for index, operator in enumerate(program.operators):
        output = program.tensors[operator.output]
        activation = "" if operator.activation == "NONE" else operator.activation
        rows.append(
            (
                str(index),
                operator.kind,
                activation,
                output.name,
                _shape(output),
                _scale(output),
                _constants(program, operator),
            )
        )
    return aligned(rows, left=5)


def _constants(program: Program, operator: Operator) -> str:
    """Bytes of the constants that an operator reads."""
    tensors = [program.tensors[index] for index in operator.inputs]
    size = sum(tensor.data.nbytes for tensor in tensors if tensor.data is not None)
    return f"{size:,} bytes" if size else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _scale(tensor: Tensor) -> str:
    scales = np.unique(tensor.scale)
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


def _printable(line: str) -> str:
    """Names come from a file that may be anybody's: no control characters for the terminal."""
    return "".join(character if character.isprintable() else "?" for character in line)
