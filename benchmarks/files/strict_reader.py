"""The rules of TFLite's schema and quantization specification that a file must keep, whether a runtime checks or not.

https://ai.google.dev/edge/litert/models/quantization_spec, and schema.fbs.
"""

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

BYTES = {schema.TensorType.INT8: 1, schema.TensorType.INT32: 4}
KERNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
VERSIONS = dict.fromkeys(("ADD", "SUB", "MUL", "MAX_POOL_2D", "SLICE", "PAD", "CONCATENATION"), 2)
VERSIONS |= dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"), 3) | {"FULLY_CONNECTED": 4, "RESHAPE": 1}
KINDS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


def faults(tflite_bytes):
    """A sentence for every rule that a file breaks."""
    model = schema.ModelT.InitFromPackedBuf(tflite_bytes)
    [graph] = model.subgraphs
    found = [fault for tensor in graph.tensors for fault in _tensor_faults(tensor, model.buffers)]
    for operator in graph.operators:
        kind = KINDS[model.operatorCodes[operator.opcodeIndex].builtinCode]
        tensors, output = [graph.tensors[index] for index in operator.inputs], graph.tensors[operator.outputs[0]]
        if kind in KERNEL_AXES:
            found += _kernel_faults(kind, tensors, model.buffers)
        stated, lowest = model.operatorCodes[operator.opcodeIndex].version, _version(kind, tensors, output)
        if stated != lowest:
            found.append(f"{output.name.decode()}: version {stated} of {kind}, the lowest that computes it is {lowest}")
    return [*found, *_buffer_faults(model, graph), *_signature_faults(model, graph)]


def _tensor_faults(tensor, buffers):
    name, quantization = tensor.name.decode(), tensor.quantization
    scales, zero_points = np.atleast_1d(quantization.scale), np.atleast_1d(quantization.zeroPoint)
    axis, stored = quantization.quantizedDimension, buffers[tensor.buffer].data
    if len(scales) != len(zero_points):
        yield f"{name}: {len(scales)} scales, {len(zero_points)} zero points"
    if len(scales) == 1 and axis != 0:
        yield f"{name}: one scale along dimension {axis}"
    if len(scales) > 1 and not (axis < len(tensor.shape) and len(scales) == tensor.shape[axis]):
        yield f"{name}: {len(scales)} scales along dimension {axis} of {tensor.shape}"
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        yield f"{name}: scales {scales}"
    if stored is not None and len(stored) != math.prod(tensor.shape) * BYTES[tensor.type]:
        yield f"{name}: {len(stored)} bytes for shape {tensor.shape}"


def _version(kind, inputs, output):
    """As TensorFlow's op_version.cc says of int8."""
    ratio = np.prod([tensor.quantization.scale[0] for tensor in inputs[:2]]) / output.quantization.scale[0]
    more = max(len(tensor.shape) for tensor in inputs) > 4
    if kind == "MUL" and ratio >= 1:
        return 3
    if more and (kind in ("SLICE", "PAD") or (kind == "SUB" and list(inputs[0].shape) != list(inputs[1].shape))):
        return {"SLICE": 5, "PAD": 4, "SUB": 3}[kind]
    return VERSIONS[kind]


def _kernel_faults(kind, inputs, buffers):
    source, kernel, bias = inputs[2 if kind == "TRANSPOSE_CONV" else 0], inputs[1], inputs[-1]
    name, scales = kernel.name.decode(), kernel.quantization.scale
    if np.frombuffer(buffers[kernel.buffer].data, np.int8).min() < -127:
        yield f"{name}: a kernel integer is -128"
    if np.any(kernel.quantization.zeroPoint) or np.any(bias.quantization.zeroPoint):
        yield f"{name}: a zero point of kernel or bias is not 0"
    if len(scales) > 1 and kernel.quantization.quantizedDimension != KERNEL_AXES[kind]:
        yield f"{name}: scales along dimension {kernel.quantization.quantizedDimension}"
    if len(bias.quantization.scale) not in (1, len(scales)):
        yield f"{name}: {len(scales)} scales, of its bias {len(bias.quantization.scale)}"
    if not np.allclose(bias.quantization.scale, source.quantization.scale * scales, rtol=1e-6, atol=0):
        yield f"{name}: its bias has another scale than input times kernel"


def _buffer_faults(model, graph):
    used = {0, *(tensor.buffer for tensor in graph.tensors), *(entry.buffer for entry in model.metadata)}
    yield from (f"buffer {index} is not used" for index in range(len(model.buffers)) if index not in used)
    if model.buffers[0].data is not None and len(model.buffers[0].data):
        yield "buffer 0 is not empty"


def _signature_faults(model, graph):
    [signature] = model.signatureDefs
    for entries, indices in ((signature.inputs, graph.inputs), (signature.outputs, graph.outputs)):
        if sorted(entry.tensorIndex for entry in entries) != sorted(indices):
            yield "the signature has other tensors than the graph"
        if len({entry.name for entry in entries}) != len(entries):
            yield "a name stands twice in the signature"
