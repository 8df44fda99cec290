"""float32 operators on whole numbers: the file's integers, for runtimes that have no int8 operators of their own.

Activations are held as float32, less their zero point. A float32 holds every whole number below 2^24, so sums of
products below that are the integers themselves, in whatever order they are added. Behind each sum stands a Round, which
changes nothing: without it, optimizers multiply what follows into the kernel, which then holds no whole numbers.
"""

from __future__ import annotations

import numpy as np

from ..program.arithmetic import FLOAT32_EXACT, limits, multiplier
from ..program.operators import Tensor, source_position
from .forms import Form
from .graph import Call, Graph, channels_first
from .windows import cropped, groups, weights, window


def enter(graph: Graph, tensor: Tensor, name: str) -> str:
    from onnx import TensorProto

    value = graph.node("Cast", [name], f"{name}/float32", to=TensorProto.FLOAT)
    return _moved(graph, "Sub", value, tensor, f"{name}/whole")


def leave(graph: Graph, tensor: Tensor, value: str, name: str) -> str:
    from onnx import TensorProto

    moved = _moved(graph, "Add", value, tensor, f"{name}/moved")
    return graph.node("Cast", [moved], f"{name}/int8", to=TensorProto.INT8)


def _moved(graph: Graph, kind: str, value: str, tensor: Tensor, name: str) -> str:
    """By the zero point."""
    if tensor.zero_point == 0:
        return value
    return graph.node(kind, [value, graph.constant(np.array(tensor.zero_point, np.float32), f"{name}_zero")], name)


def constant(tensor: Tensor) -> np.ndarray:
    return tensor.data.astype(np.float32) - np.float32(tensor.zero_point)


def zero(tensor: Tensor) -> np.ndarray:
    return np.array(0, np.float32)


def weighted(call: Call) -> str:
    check_sums(call)
    kernel = weights(call).astype(np.float32)
    bias = call.constant(call.inputs[-1].data.astype(np.float32), "bias")
    if call.operator.kind == "FULLY_CONNECTED":
        matrix = call.constant(kernel[:, :, 0, 0], "kernel")
        return _rescaled(call, call.node("Gemm", [call.values[0], matrix, bias], "sum", transB=1), axes=2)
    options = {**window(call, kernel.shape[2:]), "group": groups(call)}
    total = call.node("Conv", [call.values[0], call.constant(kernel, "kernel"), bias], "sum", **options)
    return _rescaled(call, total, axes=4)


def transposed(call: Call) -> str:
    check_sums(call)
    (top, bottom), (left, right) = cropped(call)
    kernel = weights(call).astype(np.float32).transpose(1, 0, 2, 3)
    operands = (kernel, "kernel"), (call.inputs[-1].data.astype(np.float32), "bias")
    values = [call.values[2], *(call.constant(array, part) for array, part in operands)]
    strides = [call.operator.options["stride_h"], call.operator.options["stride_w"]]
    total = call.node("ConvTranspose", values, "sum", strides=strides, pads=[top, left, bottom, right])
    return _rescaled(call, total, axes=4)


def check_sums(call: Call) -> None:
    """Raises ValueError where a sum of products may exceed the whole numbers that float32 holds."""
    largest = max(map(abs, call.reached[source_position(call.operator)]))
    rows = np.abs(weights(call).astype(np.int64)).reshape(len(call.inputs[-1].data), -1).sum(axis=1)
    bound = int((rows * largest + np.abs(call.inputs[-1].data.astype(np.int64))).max())
    if bound >= FLOAT32_EXACT:
        raise ValueError(
            f"Sums must stay below {FLOAT32_EXACT:,} where they are float32. Received: {bound:,} for {call.name!r} "
            f'({call.operator.kind}). Write the file with operators="quantized".'
        )


def _rescaled(call: Call, total: str, *, axes: int) -> str:
    source = call.inputs[source_position(call.operator)]
    factors = np.broadcast_to(multiplier((source, call.inputs[1]), call.output), len(call.inputs[-1].data))
    shape = (1, -1, 1, 1)[:axes]
    whole = call.node("Round", [total], "whole")
    factor = call.constant(factors.astype(np.float32).reshape(shape), "multiplier")
    return _rounded(call, call.node("Mul", [whole, factor], "steps"))


def elementwise(call: Call) -> str:
    """Sums of operands in steps of the output; products, times what a step of them is worth there."""
    rank, kind = len(call.output.shape), call.operator.kind
    operands = zip((0, 1), call.inputs, call.values, strict=True)
    values = [value or call.constant(channels_first(constant(t), rank), f"constant{n}") for n, t, value in operands]
    if kind == "MUL":
        factor = float(multiplier(call.inputs, call.output))
        return _rounded(call, _times(call, call.node("Mul", values, "product"), factor, "steps"))
    ratios = [float(tensor.scale) / float(call.output.scale) for tensor in call.inputs]
    terms = [
        _times(call, value, ratio, f"steps{n}") for n, (value, ratio) in enumerate(zip(values, ratios, strict=True))
    ]
    return _rounded(call, call.node("Add" if kind == "ADD" else "Sub", terms, "steps"))


def _times(call: Call, value: str, factor: float, part: str) -> str:
    if factor == 1.0:
        return value
    return call.node("Mul", [value, call.constant(np.array(factor, np.float32), f"{part}_factor")], part)


def _rounded(call: Call, value: str) -> str:
    """To steps of the output, inside what it holds and the fused activation lets through."""
    low, high = (np.float32(end - call.output.zero_point) for end in limits(call.output, call.operator.activation))
    ends = (call.constant(np.array(end, np.float32), part) for end, part in ((low, "low"), (high, "high")))
    return call.node("Clip", [call.node("Round", [value], "rounded"), *ends])


WHOLE_FLOATS = Form(enter, leave, constant, zero, weighted, transposed, elementwise)
