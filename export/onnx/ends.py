"""Inputs and outputs of the file: int8 or float32, images with their channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..program.operators import Tensor
from ..program.program import Program
from .forms import Form
from .graph import Graph, images_first, images_last

if TYPE_CHECKING:
    import onnx

BATCH = "batch"  # the name of a size that is open


def entered(graph: Graph, program: Program, name: str, form: Form) -> str:
    """What holds the integers of an input, channels first."""
    tensor = program.tensors[program.named_inputs[name]]
    value = (
        graph.node("QuantizeLinear", [name, *_grid(graph, tensor, name)], f"{name}/int8") if _is_real(program) else name
    )
    return images_first(graph, tensor.shape, form.enter(graph, tensor, value), f"{name}/channels_first")


def leave(graph: Graph, program: Program, value: str, name: str, form: Form) -> None:
    """Writes an output."""
    tensor = program.tensors[program.named_outputs[name]]
    value = form.leave(graph, tensor, images_last(graph, tensor.shape, value, f"{name}/channels_last"), name)
    if _is_real(program):
        graph.write("DequantizeLinear", [value, *_grid(graph, tensor, name)], name)
    else:
        graph.write("Identity", [value], name)


def value_info(program: Program, name: str, index: int) -> onnx.ValueInfoProto:
    """Name, type and shape of an input or output."""
    from onnx import TensorProto, helper

    dtype = TensorProto.FLOAT if _is_real(program) else TensorProto.INT8
    return helper.make_tensor_value_info(name, dtype, [program.batch or BATCH, *program.tensors[index].shape[1:]])


def _is_real(program: Program) -> bool:
    return program.io == "float32"


def _grid(graph: Graph, tensor: Tensor, name: str) -> tuple[str, str]:
    scale = graph.constant(np.array(tensor.scale, np.float32), f"{name}/scale")
    return scale, graph.constant(np.array(tensor.zero_point, np.int8), f"{name}/zero")
