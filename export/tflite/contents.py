"""What any .tflite file holds, operator by operator, whoever wrote it: for those who look and do not compute."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..text import printable
from . import unpacking

DTYPE_NAMES = {code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
ACTIVATION_NAMES = {c: name for name, c in vars(schema.ActivationFunctionType).items() if isinstance(c, int)}
BITS = {"bool": 8, "complex64": 64, "complex128": 128}  # the other names end with their bits
ABSENT = -1  # index of an optional input that is left out
CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, eq=False)
class FileTensor:
    """One tensor.

    shape: as the file states it, with the batch axis.
    scales, zero_points: float32 and int64, one of each, one per channel, or none.
    dtype: the schema's name in lower case, such as "int8" or "resource".
    constant: its bytes in the file, None for an activation.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: np.ndarray
    zero_points: np.ndarray
    constant: int | None = None

    @property
    def size(self) -> int:
        """Bytes of its elements, 0 where a type has no fixed size."""
        return (math.prod(self.shape) * _bits(self.dtype) + 7) // 8


@dataclass(frozen=True)
class FileOperator:
    """One operator.

    kind: the name in TFLite's BuiltinOperator; "CUSTOM (<name>)" for others.
    name: of the first tensor that it writes; "operator <index>" where it writes none.
    inputs: without the optional ones that are left out.
    options: by their names in the schema in snake_case, the activation aside.
    index, subgraph: where it stands. Subgraphs behind the first are called by operators of another.
    """

    kind: str
    name: str
    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    index: int
    subgraph: int = 0
    activation: str = "NONE"
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """A whole file. inputs, outputs: of the first subgraph, by the names that users give them."""

    name: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: Mapping[str, FileTensor]
    outputs: Mapping[str, FileTensor]
    metadata: object
    subgraphs: int = 1


def contents(tflite_bytes: bytes) -> Contents:
    """Reads any file of TFLite's schema.

    Raises: ValueError, saying what is wrong, if the bytes are not a whole .tflite file.
    """
    return _contents(bytes(tflite_bytes))


@functools.lru_cache(maxsize=2)  # as flatbuffer.read
def _contents(tflite_bytes: bytes) -> Contents:
    model = unpacking.unpack(tflite_bytes)
    if not model.subgraphs:
        raise _corrupt("it has no subgraph")
    codes = [unpacking.kind_name(code) for code in model.operatorCodes or []]
    sizes = [_buffer_size(buffer, len(tflite_bytes)) for buffer in model.buffers]
    values = [[_file_tensor(t, sizes) for t in graph.tensors or []] for graph in model.subgraphs]
    operators = [
        _file_operator(operator, codes, values[g], index, g)
        for g, graph in enumerate(model.subgraphs)
        for index, operator in enumerate(graph.operators or [])
    ]
    first, names = model.subgraphs[0], unpacking.unpack_names(model)
    return Contents(
        name=printable(unpacking.text(first.name)),
        tensors=tuple(value for graph in values for value in graph),
        operators=tuple(operators),
        inputs=_named(first.inputs, values[0], names),
        outputs=_named(first.outputs, values[0], names),
        metadata=unpacking.unpack_metadata(model),
        subgraphs=len(model.subgraphs),
    )


def _file_operator(
    operator: schema.OperatorT, codes: Sequence[str], values: Sequence[FileTensor], index: int, g: int
) -> FileOperator:
    kind = _at(codes, operator.opcodeIndex, "operator code")
    inputs = [i for i in unpacking.integers(operator.inputs) if i != ABSENT]
    outputs = tuple(_at(values, i, "tensor") for i in unpacking.integers(operator.outputs))
    options = {CAPITAL.sub("_", key).lower(): value for key, value in vars(operator.builtinOptions or _Empty()).items()}
    activation = options.pop("fused_activation_function", 0)
    return FileOperator(
        kind=kind,
        name=outputs[0].name if outputs else f"operator {index}",
        inputs=tuple(_at(values, i, "tensor") for i in inputs),
        outputs=outputs,
        index=index,
        subgraph=g,
        activation=ACTIVATION_NAMES.get(activation, f"number {activation}"),
        options=options,
    )


def _file_tensor(tensor: schema.TensorT, sizes: Sequence[int]) -> FileTensor:
    name, shape = printable(unpacking.text(tensor.name)), unpacking.integers(tensor.shape)
    dtype = DTYPE_NAMES.get(tensor.type, f"type number {tensor.type}")
    quantization = tensor.quantization or schema.QuantizationParametersT()
    value = FileTensor(
        name=name,
        shape=shape,
        dtype=dtype,
        scales=_numbers(quantization.scale, np.float32),
        zero_points=_numbers(quantization.zeroPoint, np.int64),
        constant=_at(sizes, tensor.buffer, "buffer") or None,
    )
    if any(size < 0 for size in shape):
        raise _corrupt(f"tensor {name!r} has shape {shape}")
    if value.constant and value.size and tensor.sparsity is None and value.constant != value.size:
        raise _corrupt(f"constant {name!r} of {dtype} and shape {shape} has {value.constant} bytes")
    return value


def _buffer_size(buffer: schema.BufferT, file: int) -> int:
    """Bytes of a buffer; those of large files lie behind the flatbuffer, at `offset`."""
    if buffer.offset > 1:
        if buffer.offset + buffer.size > file:
            raise _corrupt(f"a buffer ends at byte {buffer.offset + buffer.size} of {file}")
        return buffer.size
    return 0 if buffer.data is None else len(buffer.data)


def _named(indices: object, values: Sequence[FileTensor], names: Mapping[int, str]) -> dict[str, FileTensor]:
    found = {index: _at(values, index, "tensor") for index in unpacking.integers(indices)}
    return {names.get(index, value.name): value for index, value in found.items()}


def _at(items: Sequence, index: int, what: str):
    if not 0 <= index < len(items):
        raise _corrupt(f"it refers to {what} {index} of {len(items)}")
    return items[index]


def _numbers(values: object, dtype: type) -> np.ndarray:
    return np.atleast_1d(np.asarray([] if values is None else values, dtype))


def _bits(dtype: str) -> int:
    digits = re.search(r"\d+$", dtype)
    return BITS.get(dtype, int(digits.group()) if digits and "number" not in dtype else 0)


def _corrupt(why: str) -> ValueError:
    return ValueError(f"The .tflite file is truncated or corrupt: {why}.")


class _Empty:
    """The options of an operator that has none."""
