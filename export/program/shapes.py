"""The shape that every operator writes, from what it reads and its options; and what its operands must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .operators import ANY_BATCH, WEIGHTED, Operator, Tensor, source_position

LARGEST_TENSOR = 2**26  # elements; a file of 1 kB may state any shape
LARGEST_PROGRAM = 2**29  # elements of all tensors together
LARGEST_WORK = 2**38  # multiply-accumulates of one sample: a minute or two, and a hundred times a ResNet-18's
LARGEST_RANK = 5  # axes: the runtimes broadcast and slice no further
LARGEST_WINDOW = 2**10  # taps along one axis of a pool, which no bytes of the file stand for
PADDINGS = ("SAME", "VALID")
ACCUMULATOR = 2**31  # runtimes add products up in int32

Shape = tuple[int, ...]
Rule = Callable[[Operator, Sequence[Tensor], Tensor], Shape]


def check_shape(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    """Raises ValueError, naming the tensor written, unless operands and output fit the operator."""
    source = inputs[source_position(operator)]
    expect(operator, output, source.dtype == output.dtype == "int8", "read and write int8", source.dtype, output.dtype)
    expect(operator, output, output.data is None, "write an activation", "a constant")
    shape = SHAPES[operator.kind](operator, inputs, output)
    expect(operator, output, shape[:1] == (1,), "keep the batch axis at 1", shape)
    expect(operator, output, tuple(output.shape) == shape, f"write the shape {shape}", tuple(output.shape))


def check_sizes(tensors: Sequence[Tensor]) -> None:
    """Raises ValueError where one tensor, or all together, hold more than any runtime should be asked for."""
    for tensor in tensors:
        if len(tensor.shape) > LARGEST_RANK or math.prod(tensor.shape) > LARGEST_TENSOR:
            raise ValueError(
                f"A tensor must have at most {LARGEST_RANK} axes and {LARGEST_TENSOR:,} elements. "
                f"Received: {tensor.name!r} of shape {tensor.shape}"
            )
    total = sum(math.prod(tensor.shape) for tensor in tensors)
    if total > LARGEST_PROGRAM:
        raise ValueError(f"All tensors must have at most {LARGEST_PROGRAM:,} elements. Received: {total:,}")


def check_work(operators: Sequence[Operator], tensors: Sequence[Tensor]) -> None:
    """Raises ValueError where one sample would take hours: a file of some kilobytes may state that."""
    work = sum(_work(operator, tensors) for operator in operators)
    if work > LARGEST_WORK:
        raise ValueError(
            f"All operators must take at most {LARGEST_WORK:,} multiply-accumulates for a sample. Received: {work:,}"
        )


def _work(operator: Operator, tensors: Sequence[Tensor]) -> int:
    """Products, or of a pool the values that it looks at."""
    written = math.prod(tensors[operator.output].shape)
    if operator.kind == "MAX_POOL_2D":
        return written * operator.options["filter_height"] * operator.options["filter_width"]
    if operator.kind not in WEIGHTED:
        return written
    kernel, source = tensors[operator.inputs[1]], tensors[operator.inputs[source_position(operator)]]
    if operator.kind == "TRANSPOSE_CONV":
        return math.prod(source.shape) * math.prod(kernel.shape[:-1])
    return written * math.prod(kernel.shape) // kernel.shape[3 if operator.kind == "DEPTHWISE_CONV_2D" else 0]


def expect(operator: Operator, output: Tensor, holds: bool, rule: str, *received: object) -> None:
    if not holds:
        found = ", ".join(map(str, received))
        raise ValueError(f"{operator.kind} must {rule}. Received: {found} for {output.name!r}")


def convolution(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    """Kernel: (out, kh, kw, in)."""
    source, kernel, bias = inputs
    _check_ranks(operator, output, source, kernel, rank=4)
    expect(operator, output, kernel.shape[3] == source.shape[3], "have a kernel for its channels", kernel.shape)
    _check_weights(operator, output, kernel, bias, axis=0)
    return (source.shape[0], *_windows(operator, source, kernel.shape[1:3], output), kernel.shape[0])


def depthwise(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    """Kernel: (1, kh, kw, channels * depth_multiplier)."""
    source, kernel, bias = inputs
    _check_ranks(operator, output, source, kernel, rank=4)
    channels = source.shape[3] * operator.options["depth_multiplier"]
    fits = kernel.shape[0] == 1 and kernel.shape[3] == channels > 0
    expect(operator, output, fits, f"have a kernel of {channels} channels", kernel.shape)
    _check_weights(operator, output, kernel, bias, axis=3)
    return (source.shape[0], *_windows(operator, source, kernel.shape[1:3], output), channels)


def matrix_product(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    """Kernel: (out, in)."""
    source, kernel, bias = inputs
    _check_ranks(operator, output, source, kernel, rank=2)
    expect(operator, output, kernel.shape[1] == source.shape[1], "have a kernel for its inputs", kernel.shape)
    _check_weights(operator, output, kernel, bias, axis=0)
    return (source.shape[0], kernel.shape[0])


def transposed(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    """Inputs: output shape, kernel (out, kh, kw, in), image, bias."""
    stated, kernel, source, bias = inputs
    _check_ranks(operator, output, source, kernel, rank=4)
    expect(operator, output, kernel.shape[3] == source.shape[3], "have a kernel for its channels", kernel.shape)
    _check_weights(operator, output, kernel, bias, axis=0)
    sizes = _numbers(operator, output, stated, (4,))
    strides = _strides(operator, output)
    for size, pixels, stride, taps in zip(sizes[1:3], source.shape[1:3], strides, kernel.shape[1:3], strict=True):
        full = (pixels - 1) * stride + taps
        same = operator.options["padding"] == "SAME" and -(-size // stride) == pixels and size <= full
        expect(operator, output, same or size == full, f"write {full} pixels, or fewer as SAME crops", size)
    return (source.shape[0], *sizes[1:3], kernel.shape[0])


def elementwise(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    expect(operator, output, all(t.dtype == "int8" for t in inputs), "read int8", *(t.dtype for t in inputs))
    try:
        return np.broadcast_shapes(*(tuple(tensor.shape) for tensor in inputs))
    except ValueError:
        expect(operator, output, False, "read shapes that broadcast", *(t.shape for t in inputs))


def max_pool(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    _check_ranks(operator, output, inputs[0], inputs[0], rank=4)
    taps = operator.options["filter_height"], operator.options["filter_width"]
    expect(operator, output, all(0 < n <= LARGEST_WINDOW for n in taps), f"have 1 to {LARGEST_WINDOW} taps", *taps)
    return (inputs[0].shape[0], *_windows(operator, inputs[0], taps, output), inputs[0].shape[3])


def reshape(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    source, stated = inputs
    shape = _numbers(operator, output, stated, (len(output.shape),))
    option = tuple(operator.options["new_shape"])
    expect(operator, output, option in (shape, ()), f"state the shape {shape} twice", option)
    shape = _with_batch(shape, source)
    expect(operator, output, math.prod(shape) == math.prod(source.shape), "keep the elements", source.shape, shape)
    return shape


def pad(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    source, stated = inputs
    pads = _numbers(operator, output, stated, (len(source.shape), 2))
    expect(operator, output, min(pads) >= 0 and pads[:2] == (0, 0), "pad no batch and by no less than 0", pads)
    return tuple(n + low + high for n, low, high in zip(source.shape, pads[::2], pads[1::2], strict=True))


def slice_(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    source, rank = inputs[0], len(inputs[0].shape)
    begin, size = (_numbers(operator, output, stated, (rank,)) for stated in inputs[1:])
    size = _with_batch(size, source)
    inside = all(b >= 0 and s >= 1 and b + s <= n for b, s, n in zip(begin, size, source.shape, strict=True))
    expect(operator, output, inside, f"stay inside {tuple(source.shape)}", f"begin {begin}", f"size {size}")
    return size


def concatenation(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> Shape:
    axis, shapes = operator.options["axis"], [tuple(tensor.shape) for tensor in inputs]
    expect(operator, output, all(t.dtype == "int8" for t in inputs), "read int8", *(t.dtype for t in inputs))
    expect(operator, output, 0 < axis < len(shapes[0]), f"have an axis from 1 to {len(shapes[0]) - 1}", axis)
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    equal = len(others) == 1 and len({len(shape) for shape in shapes}) == 1
    expect(operator, output, equal, f"read shapes that differ in axis {axis} only", *shapes)
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _with_batch(shape: Shape, source: Tensor) -> Shape:
    """A shape whose first size may be left open: it is that of what comes in."""
    return (source.shape[0], *shape[1:]) if shape[:1] == (ANY_BATCH,) else shape


def _check_ranks(operator: Operator, output: Tensor, source: Tensor, kernel: Tensor, *, rank: int) -> None:
    shapes = [tuple(tensor.shape) for tensor in (source, kernel)]
    expect(operator, output, all(len(shape) == rank for shape in shapes), f"read {rank} axes", *shapes)


def _check_weights(operator: Operator, output: Tensor, kernel: Tensor, bias: Tensor, *, axis: int) -> None:
    """An int8 kernel and an int32 bias in the file, whose sums stay inside an accumulator."""
    channels = kernel.shape[axis]
    found = kernel.data is not None and bias.data is not None
    expect(operator, output, found, "have a kernel and a bias in the file", kernel.name, bias.name)
    expect(operator, output, kernel.dtype == "int8", "have an int8 kernel", kernel.dtype)
    fits = bias.dtype == "int32" and tuple(bias.shape) == (channels,)
    expect(operator, output, fits, f"have an int32 bias of shape ({channels},)", bias.dtype, bias.shape)
    for tensor, place in ((kernel, axis), (bias, 0)):
        single = np.ndim(tensor.scale) == 0
        expect(operator, output, single or tensor.channel_axis == place, f"have scales along axis {place}", tensor.name)
    weights = np.abs(kernel.data.astype(np.int64)).sum(axis=tuple(a for a in range(kernel.data.ndim) if a != axis))
    largest = int((weights * 255 + np.abs(bias.data.astype(np.int64))).max())
    expect(operator, output, largest < ACCUMULATOR, f"have sums below {ACCUMULATOR}", largest)


def _windows(operator: Operator, source: Tensor, taps: Sequence[int], output: Tensor) -> tuple[int, int]:
    """How many windows fit along rows and columns."""
    padding = operator.options["padding"]
    if padding not in PADDINGS:
        raise ValueError(f"`padding` must be one of {', '.join(PADDINGS)}. Received: {padding!r}")
    dilation = operator.options.get("dilation_h_factor", 1), operator.options.get("dilation_w_factor", 1)
    expect(operator, output, min(dilation) > 0, "have a dilation of at least 1", *dilation)
    extents = [(n - 1) * d + 1 for n, d in zip(taps, dilation, strict=True)]
    sizes, strides = source.shape[1:3], _strides(operator, output)
    padded = math.prod(n + extent for n, extent in zip(sizes, extents, strict=True)) * source.shape[3]
    expect(operator, output, padded <= 4 * LARGEST_TENSOR, "have windows near the size of its image", *extents)
    if padding == "SAME":
        return tuple(-(-n // stride) for n, stride in zip(sizes, strides, strict=True))
    fits = all(extent <= n for n, extent in zip(sizes, extents, strict=True))
    expect(operator, output, fits, f"have windows inside {sizes}", *extents)
    return tuple((n - extent) // stride + 1 for n, extent, stride in zip(sizes, extents, strides, strict=True))


def _strides(operator: Operator, output: Tensor) -> tuple[int, int]:
    strides = operator.options["stride_h"], operator.options["stride_w"]
    expect(operator, output, min(strides) > 0, "have strides of at least 1", *strides)
    return strides


def _numbers(operator: Operator, output: Tensor, stated: Tensor, shape: Shape) -> tuple[int, ...]:
    """The numbers of an int32 constant of this shape."""
    fits = stated.data is not None and stated.dtype == "int32" and tuple(stated.shape) == shape
    place = "an activation" if stated.data is None else "a constant"
    rule = f"read {stated.name!r} as int32 constant of shape {shape}"
    expect(operator, output, fits, rule, f"{place} of {stated.dtype} and shape {tuple(stated.shape)}")
    return tuple(stated.data.ravel().tolist())


SHAPES: Mapping[str, Rule] = {
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": matrix_product,
    "TRANSPOSE_CONV": transposed,
    "ADD": elementwise,
    "SUB": elementwise,
    "MUL": elementwise,
    "MAX_POOL_2D": max_pool,
    "RESHAPE": reshape,
    "PAD": pad,
    "SLICE": slice_,
    "CONCATENATION": concatenation,
}
