"""Tensors and the builtin operators on them: what TFLite's schema says of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .grid import INT8_MIN


@dataclass(frozen=True)
class Kind:
    """What the schema says of one builtin operator.

    version: the lowest that has int8.
    table: name of its options in the schema, without the suffix "Options".
    arity: how many inputs it takes; 0 for any number.
    options: the fields of its options table that a Program states, in snake_case.
    fuses: whether an activation may be fused into it.
    """

    version: int
    table: str
    arity: int
    options: tuple[str, ...] = ()
    fuses: bool = True


STRIDES = ("stride_h", "stride_w")
DILATION = ("dilation_h_factor", "dilation_w_factor")
KINDS: Mapping[str, Kind] = {
    "ADD": Kind(2, "Add", 2),
    "SUB": Kind(2, "Sub", 2),
    "MUL": Kind(2, "Mul", 2),
    "CONV_2D": Kind(3, "Conv2D", 3, ("padding", *STRIDES, *DILATION)),
    "DEPTHWISE_CONV_2D": Kind(3, "DepthwiseConv2D", 3, ("padding", *STRIDES, *DILATION, "depth_multiplier")),
    "FULLY_CONNECTED": Kind(4, "FullyConnected", 3),
    "TRANSPOSE_CONV": Kind(3, "TransposeConv", 4, ("padding", *STRIDES), fuses=False),
    "MAX_POOL_2D": Kind(2, "Pool2D", 1, ("padding", *STRIDES, "filter_height", "filter_width"), fuses=False),
    "RESHAPE": Kind(1, "Reshape", 2, ("new_shape",), fuses=False),
    "PAD": Kind(2, "Pad", 2, fuses=False),
    "SLICE": Kind(2, "Slice", 3, fuses=False),
    "CONCATENATION": Kind(2, "Concatenation", 0, ("axis",), fuses=False),
}

# At the ends of a file that takes and gives float32; a Program has none.
ENDS: Mapping[str, Kind] = {
    "QUANTIZE": Kind(1, "Quantize", 1, fuses=False),
    "DEQUANTIZE": Kind(2, "Dequantize", 1, fuses=False),
}
FILE_KINDS = {**KINDS, **ENDS}

DTYPES = ("int8", "int32", "uint8", "int16", "int64", "float32", "bool")
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of the file. real = scale * (integer - zero_point).

    name: "<layer>/<role>" or "<layer>/<role>/<timestep>", unique.
    shape: with the batch axis, which is 1.
    scale: float32 number; one per channel (last axis of activations, see `channel_axis`) for some kernels.
    data: None for activations, an int8 or int32 array for constants.
    """

    name: str
    shape: tuple[int, ...]
    scale: np.ndarray  # float32, shape () or (channels,)
    zero_point: int = 0
    dtype: str = "int8"  # or "int32"
    channel_axis: int = 0
    data: np.ndarray | None = None


@dataclass(frozen=True)
class Operator:
    """One builtin operator. `inputs` and `output` are indices into Program.tensors.

    kind: the name in TFLite's BuiltinOperator, such as "CONV_2D".
    activation: "NONE", "RELU" or "RELU_N1_TO_1", fused.
    options: the operator's own options by their names in TFLite's schema in snake_case,
        such as {"stride_h": 1, "stride_w": 1, "padding": "SAME"}.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    activation: str = "NONE"
    options: Mapping[str, object] = field(default_factory=dict)


def literal(tensor: Tensor) -> bool:
    """Whether the integers of the tensor are its real values."""
    return tensor.dtype == "int8" and tensor.scale.tolist() == 1.0 and tensor.zero_point == 0


CLIPS = {"RELU_N1_TO_1": 1, "RELU6": 6}
LABEL_PRECISION = 1e-3  # scales are float32, and levels at most 127


def highest_level(operator: Operator, output: Tensor) -> int | None:
    """The largest spike that an operator fires: 1 of a literal tensor; of graded ones, whose scale is a label, what the
    fused activation lets through. None: its output cannot hold spikes.
    """
    clip = CLIPS.get(operator.activation)
    if literal(output):
        return clip or 1
    if output.dtype != "int8" or output.zero_point != 0 or clip is None or np.ndim(output.scale):
        return None
    highest = round(clip / float(output.scale))
    return highest if abs(clip / float(output.scale) - highest) < LABEL_PRECISION else None


def fired_level(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> int | None:
    """`highest_level`, or 1 of a sum on a grid so coarse that no int8 numbers on those of `inputs` round to 2."""
    level = highest_level(operator, output)
    tensors = (*inputs, output)
    if level is not None or operator.kind != "ADD" or any(tensor.zero_point or tensor.scale.ndim for tensor in tensors):
        return level
    largest = sum(-INT8_MIN * float(tensor.scale) for tensor in inputs) / float(output.scale)
    return 1 if 0.5 < largest < 1.5 else None


ANY_BATCH = -1  # as first size in the constants of RESHAPE and SLICE: as many samples as come in
ELEMENTWISE = ("ADD", "SUB", "MUL")
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")  # input 1 is a kernel


def source_position(operator: Operator) -> int:
    """Where among the inputs of an operator with a kernel its activation is."""
    return 2 if operator.kind == "TRANSPOSE_CONV" else 0
