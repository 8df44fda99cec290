"""The .tflite file: a Program to bytes and back, in TFLite's schema.

Reference: [schema.fbs](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs).
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..program.check import check
from ..program.operators import ANY_BATCH, DTYPES, Tensor
from ..program.program import Program, batched, of_one_sample, resizable
from .float_ends import with_float_ends, without_float_ends
from .operators import int32, pack_code, pack_operator, unpack_kind, unpack_operator
from .sharing import SharingBuilder, shared
from .unpacking import (
    IDENTIFIER,
    METADATA_KEY,
    QUANTIZATION_FIELDS,
    SCHEMA_VERSION,
    TENSOR_FIELDS,
    check_fields,
    integers,
    listed,
    text,
    unpack,
    unpack_metadata,
    unpack_names,
)
from .versions import min_runtime_version, version

BUFFER_ALIGNMENT = 16  # bytes, as the schema's `force_align` asks; the Python generator ignores it
SIGNATURE_KEY = "serving_default"

TENSOR_TYPES: Mapping[str, int] = {name: getattr(schema.TensorType, name.upper()) for name in DTYPES}


class AlignedBuffer(schema.BufferT):
    """A buffer whose data starts at a multiple of BUFFER_ALIGNMENT bytes in the file."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # the name is the generated code's
        builder.Prep(BUFFER_ALIGNMENT, self.data.size)
        return super().Pack(builder)


def write(program: Program) -> bytes:
    """The .tflite file of a program: the same bytes for the same program, in every process.

    Raises: ValueError if the program is not one that `read` could give back: an unknown operator or option,
        an index out of range, constants that do not fit their shape.
    """
    check(program)
    return pack(program)


def pack(program: Program) -> bytes:
    """As `write`, but without any check: a file that no `read` may take."""
    buffers, program = _Buffers(), batched(with_float_ends(program))
    model = schema.ModelT(version=SCHEMA_VERSION, description="Written by keras_ternary_spike")
    used = [(operator.kind, version(operator, program.tensors)) for operator in program.operators]
    codes = list(dict.fromkeys(used))
    model.operatorCodes = [pack_code(*code) for code in codes]
    graph = schema.SubGraphT(name=program.name, inputs=int32(program.inputs), outputs=int32(program.outputs))
    resized = resizable(program)
    graph.tensors = [_pack_tensor(t, buffers, any_batch=i in resized) for i, t in enumerate(program.tensors)]
    graph.operators = [pack_operator(*each) for each in zip(program.operators, map(codes.index, used), strict=True)]
    model.subgraphs = [graph]
    model.signatureDefs = [_pack_signature(program)]
    model.metadata = [
        schema.MetadataT(name="min_runtime_version", buffer=buffers.add(min_runtime_version(codes).encode())),
        schema.MetadataT(name=METADATA_KEY, buffer=buffers.add(_to_json(program.metadata))),
    ]
    model.buffers = buffers.packed
    builder = SharingBuilder(1 << 16)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def read(tflite_bytes: bytes) -> Program:
    """The program of a .tflite file, with `write(read(b)) == b` for the files of `write`.

    Raises: ValueError, saying what is wrong, if the bytes are not a whole .tflite file or hold something that
        a Program cannot: several subgraphs, other operators, options or tensor types.
    """
    return _read(bytes(tflite_bytes))


@functools.lru_cache(maxsize=2)  # whoever runs a file on every runtime asks for it again and again, bare and exposed
def _read(tflite_bytes: bytes) -> Program:
    model = unpack(tflite_bytes)
    if len(model.subgraphs or []) != 1:
        raise ValueError(f"The file must hold one subgraph. Received: {len(model.subgraphs or [])} subgraphs")
    graph = model.subgraphs[0]
    kinds = [unpack_kind(code) for code in model.operatorCodes or []]
    tensors = tuple(_unpack_tensor(tensor, model.buffers) for tensor in listed(graph.tensors))
    program = Program(
        name=text(graph.name),
        tensors=tensors,
        operators=tuple(unpack_operator(operator, kinds) for operator in listed(graph.operators)),
        inputs=integers(graph.inputs),
        outputs=integers(graph.outputs),
        metadata=unpack_metadata(model),
        names=unpack_names(model),
    )
    signatures = (integers(graph.tensors[index].shapeSignature) for index in program.inputs if index < len(tensors))
    program = of_one_sample(program, resizable=any(signature[:1] == (ANY_BATCH,) for signature in signatures))
    program = without_float_ends(program)
    check(program)
    _ = program.facts  # metadata of other types are an error of the file, wherever they are read first
    return program


class _Buffers:
    """The file's buffers: the first one empty, as the schema asks, and equal ones only once."""

    def __init__(self) -> None:
        self.packed: list[schema.BufferT] = [schema.BufferT()]
        self._index: dict[bytes, int] = {}

    def add(self, data: bytes) -> int:
        """Index of the buffer that holds `data`."""
        if data not in self._index:
            self._index[data] = len(self.packed)
            self.packed.append(AlignedBuffer(data=np.frombuffer(data, np.uint8)))
        return self._index[data]


def _pack_tensor(tensor: Tensor, buffers: _Buffers, *, any_batch: bool) -> schema.TensorT:
    """any_batch: whether the file says that the batch axis may be resized."""
    quantization = None if tensor.dtype == "float32" else _pack_quantization(tensor)
    return schema.TensorT(
        name=tensor.name,
        shape=int32(tensor.shape),
        shapeSignature=int32((ANY_BATCH, *tensor.shape[1:])) if any_batch else None,
        type=TENSOR_TYPES[tensor.dtype],
        buffer=0 if tensor.data is None else buffers.add(_little_endian(tensor.data)),
        quantization=quantization,
        hasRank=True,
    )


def _pack_quantization(tensor: Tensor) -> schema.QuantizationParametersT:
    scale = np.atleast_1d(np.asarray(tensor.scale, np.float32))
    return shared(schema.QuantizationParametersT)(
        scale=scale,
        zeroPoint=np.full(scale.size, tensor.zero_point, np.int64),
        quantizedDimension=tensor.channel_axis,
    )


def _unpack_tensor(tensor: schema.TensorT, buffers: Sequence[schema.BufferT]) -> Tensor:
    name, shape = text(tensor.name), integers(tensor.shape)
    dtype = next((name for name, code in TENSOR_TYPES.items() if code == tensor.type), None)
    if dtype is None:
        raise ValueError(f"Tensor {name!r} has type number {tensor.type}. Supported: {', '.join(DTYPES)}")
    check_fields(repr(name), tensor, TENSOR_FIELDS)
    if integers(tensor.shapeSignature)[1:] not in (shape[1:], ()):
        raise ValueError(f"Tensor {name!r} must have the shape {shape} only. Received: {tensor.shapeSignature}")
    scale, zero_point, axis = _unpack_quantization(name, dtype, tensor.quantization)
    return Tensor(
        name=name,
        shape=shape,
        scale=scale,
        zero_point=zero_point,
        dtype=dtype,
        channel_axis=axis,
        data=_constant(name, shape, dtype, tensor.buffer, buffers),
    )


def _unpack_quantization(
    name: str, dtype: str, quantization: schema.QuantizationParametersT | None
) -> tuple[np.ndarray, int, int]:
    """(scale, zero_point, channel_axis); scale 1.0 where a tensor that is not int8 has none."""
    quantization = quantization or schema.QuantizationParametersT()
    check_fields(repr(name), quantization, QUANTIZATION_FIELDS)
    scale = np.float32([] if quantization.scale is None else quantization.scale).reshape(-1)
    zero_points = integers(quantization.zeroPoint) if scale.size else ()
    if dtype == "int8" and not scale.size:
        raise ValueError(f"Tensor {name!r} is int8 and must have a scale.")
    if len(zero_points) != scale.size or len(set(zero_points)) > 1:
        raise ValueError(f"Tensor {name!r} must have one zero point for its {scale.size} scales.")
    scale = scale.reshape(()) if scale.size == 1 else scale
    axis = quantization.quantizedDimension if scale.size > 1 else 0
    return scale if scale.size else np.array(1, np.float32), sum(set(zero_points)), axis


def _constant(
    name: str, shape: tuple[int, ...], dtype: str, index: int, buffers: Sequence[schema.BufferT]
) -> np.ndarray | None:
    """The data of a tensor, or None for an activation (an empty buffer)."""
    if not 0 <= index < len(buffers):
        raise ValueError(f"Tensor {name!r} refers to buffer {index} of {len(buffers)}. The file is corrupt.")
    check_fields(repr(name), buffers[index], {"data"})
    data = buffers[index].data
    if data is None or data.size == 0:
        return None
    element = np.dtype(dtype).newbyteorder("<")
    if data.size != math.prod(shape) * element.itemsize:
        raise ValueError(
            f"Constant {name!r} of shape {shape} must have {math.prod(shape) * element.itemsize} bytes. "
            f"Received: {data.size}"
        )
    return np.frombuffer(data.tobytes(), element).astype(dtype, copy=False).reshape(shape)  # cannot be written to


def _pack_signature(program: Program) -> schema.SignatureDefT:
    def packed(named: Mapping[str, int]) -> list[schema.TensorMapT]:
        return [schema.TensorMapT(name=name, tensorIndex=index) for name, index in named.items()]

    return schema.SignatureDefT(
        inputs=packed(program.named_inputs), outputs=packed(program.named_outputs), signatureKey=SIGNATURE_KEY
    )


def _to_json(metadata: Mapping[str, object]) -> bytes:
    return json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _little_endian(data: np.ndarray) -> bytes:
    return data.astype(data.dtype.newbyteorder("<")).tobytes()
