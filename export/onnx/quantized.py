"""QLinearConv on uint8: the products are added up in int32 and rounded once, as runtimes have it built in.

Activations are held as uint8, 128 more than the file's int8, so that kernels may be int8 or uint8, layer by layer. On
x86 without VNNI, kernels for int8 weights add two products up in int16, which saturates: where two products can exceed
that, the weights are uint8 too, 128 more, and no kernel saturates.
"""

from __future__ import annotations

import numpy as np

from ..program.arithmetic import limits
from ..program.grid import INT8_MAX, INT8_MIN
from ..program.operators import Tensor, source_position
from .forms import Form
from .graph import Call, Graph, channels_first
from .moves import spread
from .windows import cropped, groups, weights, window

OFFSET = -INT8_MIN
INT16_MAX = 2**15 - 1
OPERATORS = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}


def enter(graph: Graph, tensor: Tensor, name: str) -> str:
    from onnx import TensorProto

    wide = graph.node("Cast", [name], f"{name}/int32", to=TensorProto.INT32)
    offset = graph.constant(np.array(OFFSET, np.int32), "offset")
    moved = graph.node("Add", [wide, offset], f"{name}/moved")
    return graph.node("Cast", [moved], f"{name}/uint8", to=TensorProto.UINT8)


def leave(graph: Graph, tensor: Tensor, value: str, name: str) -> str:
    from onnx import TensorProto

    wide = graph.node("Cast", [value], f"{name}/int32", to=TensorProto.INT32)
    offset = graph.constant(np.array(OFFSET, np.int32), "offset")
    moved = graph.node("Sub", [wide, offset], f"{name}/moved")
    return graph.node("Cast", [moved], f"{name}/int8", to=TensorProto.INT8)


def constant(tensor: Tensor) -> np.ndarray:
    return (tensor.data.astype(np.int32) + OFFSET).astype(np.uint8)


def zero(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.zero_point + OFFSET, np.uint8)


def weighted(call: Call) -> str:
    """FULLY_CONNECTED is a convolution of one pixel: ONNX's QLinearMatMul has no bias."""
    kernel, value = weights(call), call.values[0]
    if call.operator.kind != "FULLY_CONNECTED":
        return clipped(call, _convolution(call, value, kernel, group=groups(call), **window(call, kernel.shape[2:])))
    pixel = call.node("Reshape", [value, call.integers((-1, kernel.shape[1], 1, 1), "pixel")], "pixel")
    written = _convolution(call, pixel, kernel, kernel_shape=[1, 1])
    return clipped(call, call.node("Reshape", [written, call.integers((-1, len(kernel)), "features")], "features"))


def transposed(call: Call) -> str:
    """A convolution, with the kernel turned around, of the image with zeros between its pixels."""
    kernel = weights(call)[:, :, ::-1, ::-1]
    (down, right), ((top, bottom), (left, end)) = kernel.shape[2:], cropped(call)
    pads = [down - 1 - top, right - 1 - left, down - 1 - bottom, right - 1 - end]
    spaced = spread(call, zero(call.inputs[2]))
    return _convolution(call, spaced, kernel, kernel_shape=[down, right], pads=pads)


def _convolution(call: Call, value: str, kernel: np.ndarray, **attributes: object) -> str:
    position = source_position(call.operator)
    source, scale = call.inputs[position], np.broadcast_to(call.inputs[1].scale, len(kernel))
    held, offset = (kernel, 0) if _pairs_fit(call, kernel, position) else (kernel.astype(np.int32) + OFFSET, OFFSET)
    dtype = np.uint8 if offset else np.int8
    operands = [
        *(value, *grid(call, source, "input")),
        call.constant(held.astype(dtype), "kernel"),
        call.constant(scale.astype(np.float32), "kernel_scale"),
        call.constant(np.full(len(kernel), offset, dtype), "kernel_zero"),
        *grid(call, call.output, "output"),
        call.constant(call.inputs[-1].data, "bias"),
    ]
    return call.node("QLinearConv", operands, "sum", **attributes)


def _pairs_fit(call: Call, kernel: np.ndarray, position: int) -> bool:
    """Whether any two products of an activation, as it is held, and a weight add up in int16."""
    source = call.inputs[position]
    largest = max(call.reached[position]) + source.zero_point + OFFSET
    rows = np.sort(np.abs(kernel.astype(np.int32)).reshape(len(kernel), -1), axis=1)
    return int(rows[:, -2:].sum(axis=1).max()) * max(largest, source.zero_point + OFFSET) <= INT16_MAX


def elementwise(call: Call) -> str:
    """In float32: real numbers of the operands, rounded to steps of the output."""
    rank, values = len(call.output.shape), []
    for index, (tensor, value) in enumerate(zip(call.inputs, call.values, strict=True)):
        if not value:
            value = call.constant(channels_first(constant(tensor), rank), f"constant{index}")
        values.append(call.node("DequantizeLinear", [value, *grid(call, tensor, f"input{index}")], f"real{index}"))
    result = call.node(OPERATORS[call.operator.kind], values, "real")
    return clipped(call, call.node("QuantizeLinear", [result, *grid(call, call.output, "output")], "sum"))


def grid(call: Call, tensor: Tensor, part: str) -> tuple[str, str]:
    """Scale and zero point of an activation."""
    scale = call.constant(np.array(tensor.scale, np.float32), f"{part}_scale")
    return scale, call.constant(zero(tensor), f"{part}_zero")


def clipped(call: Call, value: str) -> str:
    """With the operator's fused activation."""
    low, high = limits(call.output, call.operator.activation)
    if (low, high) == (INT8_MIN, INT8_MAX):
        return value
    ends = (call.constant(np.array(end + OFFSET, np.uint8), part) for end, part in ((low, "low"), (high, "high")))
    return call.node("Clip", [value, *ends])


QUANTIZED = Form(enter, leave, constant, zero, weighted, transposed, elementwise)
