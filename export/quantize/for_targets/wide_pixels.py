"""A program for XNNPACK, which computes 16 channels at a time of 4 or 8 that it reads, also where a layer has fewer.

A first layer reads one channel, or three, and may write only eight. Neighbouring pixels of a row lie side by side in
memory, so that they are the channels of one wide pixel without being moved:

    wide   = RESHAPE(image)              (rows, columns, channels) as (rows, columns / n, n * channels)
    sums   = CONV_2D(wide)               fewer and fuller taps; the weight is 0 where a pixel is in no window
    result = RESHAPE(sums)               as it was

All sums are the same integers. Nothing is padded for it: XNNPACK takes longer to pad an image than it would save.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...padding import same_padding
from ...program.builder import Builder
from ...program.names import parse
from ...program.operators import Operator, Tensor
from ...program.program import Program
from .copies import copied, emit_again, finished, inputs_of, labels

WRITTEN = 16  # channels that XNNPACK computes at a time
READ = (4, 8)  # channels that it multiplies at a time, on older processors and on newer ones
MOST_OUTPUTS = 8  # pixels that a wide one holds
LARGEST_SHARE = 0.75  # of the work on newer ones, to be worth two copies


@dataclass(frozen=True)
class Layout:
    """How a convolution computes wide pixels.

    outputs, inputs: how many pixels a wide one holds, of those written and of those read.
    taps: wide pixels that the windows of one cover. offset: pixels of the first tap in front of the first window.
    """

    outputs: int
    inputs: int
    taps: int
    offset: int


def with_wide_pixels(program: Program) -> Program:
    """The program with wide pixels wherever XNNPACK would compute little but padding."""
    layouts = _layouts(program)
    if not layouts:
        return program
    builder = Builder()
    mapped = inputs_of(builder, program)
    for operator in program.operators:
        layout = layouts.get(operator.output)
        emit = emit_again if layout is None else partial(_emit, layout=layout)
        mapped[operator.output] = emit(builder, program, operator, mapped)
    return finished(builder, program, mapped)


def _emit(builder: Builder, program: Program, operator: Operator, mapped: Mapping[int, int], *, layout: Layout) -> int:
    """The operator of wide pixels. mapped: by the program's tensors, what stands for them."""
    output = program.tensors[operator.output]
    name, shape, grid = parse(output.name), output.shape[1:], labels(output)
    source = _columns(builder, mapped[operator.inputs[0]], output.name, layout.inputs)
    kernel, bias = (program.tensors[index] for index in operator.inputs[1:])
    kernel = replace(kernel, data=wide_kernel(kernel.data, layout, operator.options["stride_w"]))
    weights = [copied(builder, _repeated(tensor, layout.outputs)) for tensor in (kernel, bias)]
    rows, columns, channels = shape
    wide, options = (rows, columns // layout.outputs, layout.outputs * channels), {**operator.options, "stride_w": 1}
    options = {"activation": operator.activation, "options": options}
    written = name if wide == shape else name.part("pixels")
    sums = builder.emit("CONV_2D", (source, *weights), written, wide, grid, **options)
    return builder.reshape(sums, name, shape, grid)


def _columns(builder: Builder, image: int, name: str, count: int) -> int:
    """The image in wide pixels of `count`, on the way to the tensor called `name`."""
    rows, columns, channels = builder.shape(image)
    shape = (rows, columns // count, count * channels)
    return builder.reshape(image, parse(name).part("columns"), shape, labels(builder.tensors[image]))


def _repeated(tensor: Tensor, count: int) -> Tensor:
    """A kernel or bias with its labels for every pixel of a wide one; of a bias the numbers, too."""
    scale = np.tile(tensor.scale, count) if np.ndim(tensor.scale) else tensor.scale
    data = np.tile(tensor.data, count) if tensor.data.ndim == 1 else tensor.data
    return replace(tensor, scale=scale, data=data, shape=data.shape)


def wide_kernel(kernel: np.ndarray, layout: Layout, stride: int) -> np.ndarray:
    """`(out, rows, columns, in)` to `(outputs * out, rows, taps, inputs * in)`: once for each pixel of a wide one."""
    out, rows, columns, channels = kernel.shape
    wide = np.zeros((layout.outputs, out, rows, layout.taps * layout.inputs, channels), kernel.dtype)
    for pixel in range(layout.outputs):
        first = layout.offset + pixel * stride
        wide[pixel, :, :, first : first + columns] = kernel
    return wide.reshape(layout.outputs * out, rows, layout.taps, layout.inputs * channels)


def _layouts(program: Program) -> dict[int, Layout]:
    """For the convolutions that gain, by the tensor written. What shares a kernel shares its layout."""
    found = {op.output: _best(op, program.tensors) for op in program.operators if op.kind == "CONV_2D"}
    used: dict[int, set[Layout | None]] = {}
    for operator in program.operators:
        for index in operator.inputs[1:] if operator.output in found else ():
            used.setdefault(index, set()).add(found[operator.output])
    alone = {op.output for op in program.operators if all(len(used.get(i, ())) < 2 for i in op.inputs[1:])}
    return {index: layout for index, layout in found.items() if layout is not None and index in alone}


def _best(operator: Operator, tensors: tuple[Tensor, ...]) -> Layout | None:
    """The layout of the least work, and of those the smallest; None if none is worth it on every processor."""
    kernel = tensors[operator.inputs[1]].data
    before = [_work(kernel.shape, 1, read) for read in READ]
    found = []
    for layout in _possible(operator, tensors):
        shape = wide_kernel(kernel, layout, operator.options["stride_w"]).shape
        older, newer = (_work(shape, layout.outputs, read) for read in READ)
        if older <= before[0] and newer <= LARGEST_SHARE * before[1]:
            found.append(((newer, np.prod(shape)), layout))
    return min(found, key=lambda one: one[0], default=(None, None))[1]


def _work(kernel: tuple[int, ...], outputs: int, read: int) -> float:
    """Multiplications of a pixel, with those by padding."""
    written, rows, columns, channels = kernel
    return -(-written // WRITTEN) * WRITTEN * rows * columns * -(-channels // read) * read / outputs


def _possible(operator: Operator, tensors: tuple[Tensor, ...]) -> Iterator[Layout]:
    """The layouts whose padding, as the convolution's own, is that of the pixels."""
    options, width = operator.options, tensors[operator.inputs[0]].shape[2]
    size, columns, stride = tensors[operator.inputs[1]].shape[2], tensors[operator.output].shape[2], options["stride_w"]
    if options["padding"] != "SAME" or options["dilation_w_factor"] > 1:
        return
    left, _ = same_padding(width, size, stride)
    for outputs in range(1, MOST_OUTPUTS + 1):
        inputs = outputs * stride
        before = -(-left // inputs)
        offset = before * inputs - left
        taps = max(-(-(offset + inputs - stride + size) // inputs), 2 * before + 1)
        fits = columns % outputs == 0 and columns // outputs * inputs == width
        if inputs > 1 and fits and same_padding(width // inputs, taps, 1)[0] == before:
            yield Layout(outputs, inputs, taps, offset)
