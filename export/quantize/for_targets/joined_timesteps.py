"""A program for XNNPACK in which the timesteps of a layer with a large kernel are one operator: the same integers.

A kernel that no cache holds is read from memory for every timestep, which takes longer than to compute small images. So
the images of all timesteps are computed at once, their rows in turns, which a dilation keeps apart:

    joined  = CONCATENATION(image/0, image/1)      (rows, 2 * columns, channels)
    turns   = RESHAPE(joined)                      (2 * rows, columns, channels): row 0 of each image, then row 1 ...
    sums    = CONV_2D(turns), dilation 2           the windows of each image, padded as ever
    current = SLICE(RESHAPE(sums)), for each

The vectors of a FULLY_CONNECTED are an image of one row for each. A first current that its operator clips, on a grid of
its own, is clipped by MUL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ...padding import same_padding
from ...program.builder import Builder
from ...program.grid import Grid, float32
from ...program.names import Name, parse
from ...program.operators import ANY_BATCH, Operator, Tensor
from ...program.program import Program
from .copies import copied, emit_again, finished, inputs_of, labels

LEAST_SAVED = 2**17  # bytes of a kernel that are not read again: smaller kernels stay where they are fast to read
LEAST_SHARE = 8  # of these, for each byte of an image that is moved

JOINED = ("CONV_2D", "FULLY_CONNECTED")
PIXEL = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "padding": "VALID"}
Group = tuple[Operator, ...]  # the operators of one layer, by timestep


def with_joined_timesteps(program: Program) -> Program:
    """The program with one convolution for all timesteps wherever the kernel is much larger than the images."""
    # Of a file that may be resized XNNPACK takes no SLICE.
    groups = [] if program.batch is None else list(_groups(program))
    if not groups:
        return program
    members = {operator.output: group for group in groups for operator in group}
    builder = Builder()
    mapped = inputs_of(builder, program)
    for group in _ordered(program, members):
        if len(group) > 1:
            mapped |= _emit(builder, program, group, mapped)
        else:
            mapped[group[0].output] = emit_again(builder, program, group[0], mapped)
    return finished(builder, program, mapped)


def _groups(program: Program) -> Iterator[Group]:
    """The operators that can be joined, and gain."""
    layers: dict[Name, dict[int, Operator]] = {}
    for operator in program.operators:
        name = parse(program.tensors[operator.output].name)
        if operator.kind in JOINED and name.role == "current" and name.timestep is not None and not name.parts:
            layers.setdefault(replace(name, timestep=None), {})[name.timestep] = operator
    for found in layers.values():
        group = tuple(found[timestep] for timestep in sorted(found))
        if len(group) > 1 and all(rule(program, group) for rule in (_gains, _is_alike, _is_alone, _keeps_padding)):
            yield group


def _gains(program: Program, group: Group) -> bool:
    """Whether much less has to be read: bytes of kernels against those of images, which are moved for it."""
    read, kernel = (program.tensors[index] for index in group[-1].inputs[:2])
    values = math.prod(read.shape) + math.prod(program.tensors[group[-1].output].shape)
    saved, moved = (len(group) - 1) * kernel.data.size, program.samples_a_call * len(group) * values
    return saved >= max(LEAST_SAVED, LEAST_SHARE * moved)


def _is_alike(program: Program, group: Group) -> bool:
    """Whether all have the integers of one kernel and bias, and read images on one grid."""
    tensors, last = program.tensors, group[-1]
    read = {(tensors[operator.inputs[0]].shape, labels(tensors[operator.inputs[0]])) for operator in group}
    weights = (zip(operator.inputs[1:], last.inputs[1:], strict=True) for operator in group)
    same = all(np.array_equal(tensors[one].data, tensors[other].data) for pairs in weights for one, other in pairs)
    alike = all((operator.kind, operator.options) == (last.kind, last.options) for operator in group)
    return same and alike and len(read) == 1 and last.activation == "NONE"


def _is_alone(program: Program, group: Group) -> bool:
    """Whether nobody else uses the kernels."""
    kernels, own = {operator.inputs[1] for operator in group}, {operator.output for operator in group}
    return all(op.output in own for op in program.operators if kernels & set(op.inputs))


def _keeps_padding(program: Program, group: Group) -> bool:
    """Whether rows in turns are padded as each image is, and windows move from row to row."""
    last, count = group[-1], len(group)
    if last.kind == "FULLY_CONNECTED":
        return True
    if last.options["stride_h"] > 1 or last.options["padding"] == "VALID":
        return last.options["stride_h"] == 1
    rows, taps = (program.tensors[index].shape[1] for index in last.inputs[:2])
    dilation = last.options["dilation_h_factor"]
    one = same_padding(rows, taps, 1, dilation)
    return same_padding(count * rows, taps, 1, count * dilation) == tuple(count * each for each in one)


def _ordered(program: Program, members: Mapping[int, Group]) -> Iterator[Group]:
    """All operators, each behind those that it needs; those of a group together, any other alone."""
    written = {operator.output for operator in program.operators}
    waiting = [members.get(operator.output, (operator,)) for operator in program.operators]
    waiting = [group for index, group in enumerate(waiting) if group[-1] is program.operators[index]]
    while waiting:
        left: list[Group] = []
        for group in waiting:
            if any(index in written for operator in group for index in operator.inputs):
                left.append(group)
            else:
                written -= {operator.output for operator in group}
                yield group
        waiting = left


def _emit(builder: Builder, program: Program, group: Group, mapped: Mapping[int, int]) -> dict[int, int]:
    """What stands for the currents of a group. mapped: by the program's tensors, what stands for them."""
    tensors, last, count = program.tensors, group[-1], len(group)
    read, output = tensors[last.inputs[0]], tensors[last.output]
    shape, written, grid = read.shape[1:], output.shape[1:], labels(output)
    current = replace(parse(output.name), timestep=None)
    joined, images = replace(current, role="joined"), tuple(mapped[operator.inputs[0]] for operator in group)
    beside = builder.join(images, joined, _beside(shape, count), labels(read), axis=_axis(shape) + 1)
    turns = builder.reshape(beside, joined.part("rows"), _in_turns(shape, count), labels(read))
    operands, options = (turns, *_weights(builder, program, last)), PIXEL | last.options
    if last.kind == "CONV_2D":
        options["dilation_h_factor"] *= count
    sums = builder.emit("CONV_2D", operands, current.part("rows"), _in_turns(written, count), grid, options=options)
    lines = builder.reshape(sums, current.part("lines"), _beside(written, count), grid)
    return {op.output: _emit_cut(builder, tensors[op.output], op, lines, t, grid) for t, op in enumerate(group)}


def _weights(builder: Builder, program: Program, operator: Operator) -> tuple[int, int]:
    """Kernel and bias of a convolution; of vectors, of one of an image of pixels."""
    kernel, bias = (program.tensors[index] for index in operator.inputs[1:])
    if operator.kind == "FULLY_CONNECTED":
        kernel = replace(kernel, data=kernel.data[:, None, None])
    return copied(builder, kernel), copied(builder, bias)


def _axis(shape: tuple[int, ...]) -> int:
    """Along which images are joined, their columns; vectors along their only one."""
    return max(len(shape) - 2, 0)


def _beside(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Images side by side, or vectors one behind the other."""
    axis = _axis(shape)
    return (*shape[:axis], count * shape[axis], *shape[axis + 1 :])


def _in_turns(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The same as an image: rows in turns, or a row for each vector."""
    return (count * shape[0], *shape[1:]) if len(shape) == 3 else (count, 1, *shape)


def _emit_cut(builder: Builder, output: Tensor, operator: Operator, lines: int, place: int, grid: Grid) -> int:
    """One of the images of `lines`, clipped and labelled as `operator` did."""
    name, shape = parse(output.name), output.shape[1:]
    axis = _axis(shape)
    corner = [place * size if position == axis else 0 for position, size in enumerate(shape)]
    begin = builder.constant(Name(name.layer, "begin", index=str(place)), np.array([0, *corner], np.int32))
    size = builder.constant(Name(name.layer, "size"), np.array([ANY_BATCH, *shape], np.int32))
    alike = labels(output) == grid and operator.activation == "NONE"
    cut = builder.emit("SLICE", (lines, begin, size), name if alike else name.part("full"), shape, grid)
    if alike:
        return cut
    label = builder.scalar(Name(name.layer, "label"), 1, float32(float(output.scale) / grid.scale), len(shape))
    return builder.emit("MUL", (cut, label), name, shape, labels(output), activation=operator.activation)
