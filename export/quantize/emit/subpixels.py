"""Transposed convolutions of strides that Ethos-U55 and U65 leave on the CPU, as convolutions between their pixels.

Output row stride * q + r reads the input rows q + b - j with the taps p + stride * j, where b and p are quotient and
remainder of r + cropping by the stride, and columns likewise. So each of the `stride` rows r is a convolution of the
input itself, the columns between two of its pixels are further channels, and a reshape puts them beside each other: the
products of a transposed convolution, and zeros for the taps that one row or column has and another has not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...network import nodes
from ...program.builder import Builder
from ...program.grid import Grid, with_zero
from ...program.names import Name, part_of
from ..weights import Weights

NEAR = ((1, 1), (2, 2))  # strides (height, width) that Ethos-U55 takes, and (1, 2) of a single row
CONV = dict.fromkeys(("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor"), 1) | {"padding": "VALID"}


@dataclass(frozen=True)
class Axis:
    """The windows of one axis over the input.

    taps: of each phase, (position in the window, tap of the transposed kernel) pairs.
    window: length of the windows; count: how many; padding: of the input, before and after.
    """

    taps: tuple[tuple[tuple[int, int], ...], ...]
    window: int
    count: int
    padding: tuple[int, int]


def needs_phases(node: nodes.ConvTranspose, image: tuple[int, ...]) -> bool:
    """Whether Ethos-U55 leaves the transposed convolution on the CPU."""
    single = image[0] == node.kernel.shape[0] == 1 and tuple(node.strides) == (1, 2)
    return tuple(node.strides) not in NEAR and not single


def axis(pixels: int, written: int, stride: int, taps: int, crop: int) -> Axis:
    """Of an input of `pixels`, of whose full output `crop` are cropped in front and `written` are left."""
    phases = []
    for phase in range(stride):
        ahead, first = divmod(phase + crop, stride)
        phases.append([(ahead - j, first + stride * j) for j in range(-(-(taps - first) // stride))])
    count, offsets = -(-written // stride), [offset for phase in phases for offset, _ in phase]
    low, high = min(0, *offsets), max(0, pixels - count, *offsets)
    found = tuple(tuple((offset - low, tap) for offset, tap in phase) for phase in phases)
    return Axis(found, high - low + 1, count, (-low, count - 1 + high - (pixels - 1)))


def emit_phases(
    builder: Builder,
    node: nodes.ConvTranspose,
    tensor: int,
    name: Name,
    *,
    source: Grid,
    grid: Grid,
    weights: Weights,
    mark: str,
) -> int:
    """The operators of a transposed convolution with these integers. mark: behind the names of kernels and biases."""
    sizes = zip(builder.shape(tensor), node.shape, node.strides, node.kernel.shape, node.cropping, strict=False)
    rows, columns = (axis(pixels, written, s, k, crop[0]) for pixels, written, s, k, crop in sizes)
    if any(rows.padding + columns.padding):
        padded = part_of(builder.tensors[tensor].name, "padded")
        tensor = builder.pad(tensor, padded, node.name, (rows.padding, columns.padding), with_zero(source))
    channels, (tall, wide) = node.shape[-1], node.strides
    lines = []
    for phase, taps in enumerate(rows.taps, start=1):
        kernel = phase_kernel(weights.kernel, taps, rows.window, columns)
        operands = (tensor, *_constants(builder, (node.name, mark, str(phase)), kernel, weights, source, repeated=wide))
        shape, part = (rows.count, columns.count, wide * channels), name.part("full", f"stage{phase}")
        pixels = builder.emit("CONV_2D", operands, part, shape, grid, options=CONV)
        flat = (rows.count, columns.count * wide * channels)
        lines.append(builder.reshape(pixels, part.part("lines"), flat, grid))
    if tall > 1:
        joined = builder.join(tuple(lines), name.part("lines"), (rows.count, tall * flat[1]), grid, axis=2)
    else:
        joined = lines[0]
    whole = (rows.count * tall, columns.count * wide, channels)
    if whole == node.shape:
        return builder.reshape(joined, name, whole, grid)
    image = builder.reshape(joined, name.part("full"), whole, grid)
    surplus = tuple((0, size - wanted) for size, wanted in zip(whole[:2], node.shape, strict=False))
    return builder.crop(image, name, node.name, surplus, node.shape, grid)


def phase_kernel(kernel: np.ndarray, rows: tuple[tuple[int, int], ...], height: int, columns: Axis) -> np.ndarray:
    """`(phases of the columns * out, height, width, in)` of one row of outputs. kernel: `(kh, kw, in, out)`."""
    _, _, inputs, outputs = kernel.shape
    made = np.zeros((len(columns.taps), outputs, height, columns.window, inputs), np.int8)
    for phase, taps in enumerate(columns.taps):
        for y, row in rows:
            for x, column in taps:
                made[phase, :, y, x] = kernel[row, column].T
    return made.reshape(-1, height, columns.window, inputs)


def _constants(
    builder: Builder, called: tuple[str, str, str], kernel: np.ndarray, weights: Weights, source: Grid, *, repeated: int
) -> tuple[int, int]:
    """Kernel and bias of one row of outputs. called: layer, mark and phase."""
    layer, mark, index = called
    scale = np.tile(weights.scale, repeated) if np.ptp(weights.scale) else weights.scale[0]
    bias = np.tile(weights.bias, repeated)
    return (
        builder.constant(Name(layer, f"kernel{mark}", index=index), kernel, scale),
        builder.constant(Name(layer, f"bias{mark}", index=index), bias, scale * np.float32(source.scale)),
    )
