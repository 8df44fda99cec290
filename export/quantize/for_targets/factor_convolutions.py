"""Elementwise operators as depthwise convolutions of one pixel, or of pixels of several rows: the same integers.

    MUL(x, k)       taps [k]
    ADD(x, 0)       taps [64], each worth 1/64: requantization, which fires or clips
    SUB(k, x)       taps [-127] and the bias k: for x of 0 and 1, and RELU behind it, k where x is 0
    SUB(x, y)       taps [1, -1] over both as rows, where all three lie on one grid; ADD(x, y) [1, 1]

CMSIS-NN has fast kernels for convolutions; for SUB and for constants that broadcast it has none.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from ...program.builder import Builder
from ...program.grid import INT8_MAX, Grid, float32
from ...program.names import Name, parse
from ...program.operators import ELEMENTWISE, Operator, Tensor

PIXEL = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
PIXEL |= {"depth_multiplier": 1, "padding": "VALID"}
SIGNS = {"ADD": 1, "SUB": -1}  # of the second of two rows
FINE = 64  # of a requantization, so that the first of two roundings moves a value by less than 1/64 of a step
Taps = Sequence[int] | np.ndarray  # `(rows,)`, or `(rows, channels)`


def emit_taps(
    builder: Builder,
    tensor: int,
    name: Name,
    grid: Grid,
    *,
    taps: Taps,
    multiplier: float,
    layer: str,
    bias: Taps = (0,),
    activation: str = "NONE",
) -> int:
    """Sums of `len(taps)` neighbouring rows of an image, in integers: round(multiplier * (taps * rows + bias)).

    layer: whose operator it is.
    """
    rows, columns, channels = builder.shape(tensor)
    source = np.float32(builder.tensors[tensor].scale)
    scale = float32(multiplier * grid.scale / float(source))
    index = f"{len(taps)}x{_text(taps)}@{scale:.9g}@{float(source):.9g}" + (f"+{_text(bias)}" if np.any(bias) else "")
    kernel = np.broadcast_to(np.reshape(taps, (1, len(taps), 1, -1)), (1, len(taps), 1, channels)).astype(np.int8)
    offset = np.broadcast_to(bias, channels).astype(np.int32)
    factor = builder.constant(Name(layer, "factor", index=index), kernel, scale, channel_axis=3)
    offset = builder.constant(Name(layer, "offset", index=index), offset, np.float32(scale) * source)
    shape, operands = (rows - len(taps) + 1, columns, channels), (tensor, factor, offset)
    return builder.emit("DEPTHWISE_CONV_2D", operands, name, shape, grid, activation=activation, options=PIXEL)


def as_image(builder: Builder, tensor: int, name: Name) -> int:
    """An image as it is, a vector as one pixel."""
    shape = builder.shape(tensor)
    return tensor if len(shape) == 3 else builder.reshape(tensor, name, (1, 1, *shape), grid_of(builder, tensor))


def emit_stacked(builder: Builder, tensors: Sequence[int], name: Name, channels: int | None = None) -> int:
    """Images of one shape on one grid as rows: `(len(tensors), pixels, channels)`.

    They are joined as images, so that Vela lets each be written in its place.

    channels: into how many to cut the rows, where it divides them; as many as the images have already for None.
    """
    images = tuple(as_image(builder, tensor, name.part("rows")) for tensor in tensors)
    height, *row = builder.shape(images[0])
    grid, count, size = grid_of(builder, images[0]), len(images), math.prod(row)
    joined = builder.join(images, name.part("stacked"), (count * height, *row), grid, axis=1)
    cut = channels if channels and height > 1 and height * size % channels == 0 else row[-1]
    return builder.reshape(joined, name.part("stacked", "rows"), (count, height * size // cut, cut), grid)


def grid_of(builder: Builder, tensor: int) -> Grid:
    return Grid(float(builder.tensors[tensor].scale), builder.tensors[tensor].zero_point)


def can_be_factor(operator: Operator, tensors: Sequence[Tensor]) -> bool:
    """Whether `emit_factor` has a convolution for an operator: an elementwise one with a constant for all values, or
    for each channel; or the difference of two tensors on one grid.
    """
    if operator.kind not in ELEMENTWISE or len(tensors[operator.output].shape) not in (2, 4):
        return False
    read = [tensors[index] for index in operator.inputs]
    constants = [tensor for tensor in read if tensor.data is not None]
    if not constants:
        return False
    constant, channels = constants[0], tensors[operator.output].shape[-1]
    if any(tensor.zero_point for tensor in read) or constant.shape[-1] != constant.data.size not in (1, channels):
        return False
    if operator.kind == "ADD":
        return not constant.data.any()
    return operator.kind == "MUL" or (parse(tensors[operator.output].name).role == "keep" and constant is read[0])


def joins_two(operator: Operator, tensors: Sequence[Tensor]) -> bool:
    """Whether an operator adds two tensors, or subtracts one from the other, all three on one grid."""
    if operator.kind not in SIGNS or len(tensors[operator.output].shape) not in (2, 4):
        return False
    involved = [tensors[index] for index in (*operator.inputs, operator.output)]
    alike = len({(float(tensor.scale), tensor.zero_point) for tensor in involved}) == 1
    return alike and all(tensor.data is None for tensor in involved)


def emit_factor(
    builder: Builder, operator: Operator, tensors: Sequence[Tensor], read: int, grid: Grid, layer: str
) -> int:
    """The convolution in the place of `operator`. read: in `builder`, what stands for its input that is no constant."""
    name, shape = parse(tensors[operator.output].name), tensors[operator.output].shape[1:]
    options = {**_taps(operator, tensors), "layer": layer, "activation": operator.activation}
    if len(shape) == 3:
        return emit_taps(builder, read, name, grid, **options)
    source = as_image(builder, read, name.part("rows"))
    return builder.reshape(emit_taps(builder, source, name.part("full"), grid, **options), name, shape, grid)


def _taps(operator: Operator, tensors: Sequence[Tensor]) -> dict[str, object]:
    """Taps, multiplier and bias of the convolution that computes `operator`."""
    output = float(tensors[operator.output].scale)
    constant = next(tensors[index] for index in operator.inputs if tensors[index].data is not None)
    source = next(float(tensors[index].scale) for index in operator.inputs if tensors[index].data is None)
    if operator.kind == "MUL":
        return {"taps": constant.data.reshape(1, -1), "multiplier": source * float(constant.scale) / output}
    if operator.kind == "ADD":
        return {"taps": [FINE], "multiplier": source / (FINE * output)}
    return {"taps": [-INT8_MAX], "multiplier": 1.0, "bias": constant.data.ravel()}


def _text(values: Taps) -> str:
    """Integers for a name: one for each row where all channels have the same, else a digest."""
    values = np.asarray(values)
    rows = values.reshape(len(values), -1)
    if np.all(rows == rows[:, :1]):
        return "x".join(str(row[0]) for row in rows)
    return str(zlib.crc32(np.ascontiguousarray(values, np.int32).tobytes()))
