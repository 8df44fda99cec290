"""The operators of one spiking layer as a program of their own, on rows of cases instead of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..program.builder import Builder
from ..program.grid import INT8_MAX, INT8_MIN, Grid, float32
from ..program.names import NEURON, Name, computed_by, is_factor, parse, unknown, written_by
from ..program.operators import ELEMENTWISE, WEIGHTED, Operator
from ..program.program import Program

CLIP = "RELU_N1_TO_1"
MOVING = ("RESHAPE", "CONCATENATION")  # what a neuron of convolutions has beside them
ALL_INT8 = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int8)


def own_operators(program: Program, layer: str) -> tuple[Operator, ...]:
    """The operators of one spiking layer, all timesteps, in order: elementwise ones, convolutions with its own factors.

    Raises: ValueError if one of them writes what no neuron computes, so that none is left out of a proof.
    """
    written = written_by(program, layer)
    computing = (*ELEMENTWISE, *MOVING) if any(is_factor(program, one) for _, one in written) else ELEMENTWISE
    own = [(name, one) for name, one in written if one.kind in computing or is_factor(program, one)]
    for name, _ in own:
        if name.role not in NEURON:
            raise unknown(f"{str(name)!r} among the operators of a spiking layer")
    return tuple(operator for _, operator in own)


def current_tensors(program: Program, operators: Sequence[Operator]) -> tuple[int, ...]:
    """The tensors that the operators read and none of them writes, constants left out."""
    written = {operator.output for operator in operators}
    read = dict.fromkeys(index for operator in operators for index in operator.inputs)
    return tuple(index for index in read if index not in written and program.tensors[index].data is None)


def are_sums(program: Program, operators: Sequence[Operator]) -> bool:
    """Whether operators add two currents each: sums that fire."""
    return all(len(current_tensors(program, (operator,))) == 2 for operator in operators)


def isolate(
    program: Program, operators: Sequence[Operator], layer: str, frames: int, channels: Sequence[int] | None = None
) -> Program:
    """The operators alone, their names without the layer's, its input the currents `(1, frames, cases)`.

    channels: whose constants to take, where each channel has its own; the currents are `(1, frames, cases, channels)`.
    frames: 1 where one current serves all timesteps, else their number: then each timestep has a current of its own,
        even where two timesteps of the network share one. For sums that fire, 2: the summands. The first may have a
        grid of its own, and be clipped, as convolutions make it: here an operator does.

    Raises: ValueError if other currents lie on several grids, or a constant is not one number for a channel.
    """
    program, convolved = with_numbers(program, operators), any(operator.kind in WEIGHTED for operator in operators)
    if channels is not None or (convolved and _are_alike(program, operators)):
        program = of_channels(program, operators, (0,) if channels is None else channels)
    currents = current_tensors(program, operators)
    check_alone(program, operators, currents, layer, 1 if channels is None else len(channels))
    builder, last, summing = Builder(), program.tensors[currents[-1]], are_sums(program, operators)
    sizes = (cases(frames).shape[-1],) if channels is None else (cases(frames).shape[-1], len(channels))
    grid = Grid(float(last.scale), last.zero_point)
    tensor = builder.activation("currents", (frames, *sizes), grid)
    rows = builder.frames(tensor, "currents", sizes, grid, frames)
    shape = (*[1] * (len(last.shape) - 1 - len(sizes)), *sizes)
    if convolved:  # on an image of one row of pixels
        shape = (1, *sizes, 1) if channels is None else (1, *sizes)
    rows = [builder.reshape(row, Name("", "current", t), shape, grid) for t, row in enumerate(rows)]
    if len(currents) > 1 and not summing:
        rows[0] = _as_first(builder, rows[0], program, currents[0])
    mapped: dict[int, int] = {}
    for operator in operators:
        if summing:
            inputs = dict(zip(operator.inputs, rows, strict=True))
        else:
            timestep = 0 if frames == 1 else parse(program.tensors[operator.output].name).timestep
            inputs = {index: rows[timestep] for index in currents} | mapped
        emit = _move_again if operator.kind in MOVING else _emit_again
        mapped[operator.output] = emit(builder, program, operator, inputs, layer, shape)
    return builder.program("neuron", (tensor,), (mapped[operators[-1].output],))


def _as_first(builder: Builder, row: int, program: Program, current: int) -> int:
    """The integers of a row on the grid of the first current, clipped where that is."""
    tensor, shape = program.tensors[current], builder.shape(row)
    label = float32(float(tensor.scale) / float(builder.tensors[row].scale))
    writers = {operator.output: operator for operator in program.operators}
    clips = current in writers and computed_by(writers, current).activation == CLIP
    if label == 1 and not clips:
        return row
    operands = (row, builder.scalar(Name("current", "label"), 1, label, len(shape)))
    name, grid, activation = Name("current", "first"), Grid(float(tensor.scale)), CLIP if clips else "NONE"
    return builder.emit("MUL", operands, name, shape, grid, activation=activation)


def with_numbers(program: Program, operators: Sequence[Operator]) -> Program:
    """Constants of one value only that elementwise operators read, as one number each."""
    read = {index for operator in operators if operator.kind in ELEMENTWISE for index in operator.inputs}
    tensors = tuple(
        replace(tensor, data=tensor.data.ravel()[:1].reshape([1] * tensor.data.ndim), shape=(1,) * tensor.data.ndim)
        if index in read and tensor.data is not None and np.ptp(tensor.data) == 0
        else tensor
        for index, tensor in enumerate(program.tensors)
    )
    return replace(program, tensors=tensors)


def of_channels(program: Program, operators: Sequence[Operator], channels: Sequence[int]) -> Program:
    """The constants of the operators reduced to those of some channels (last axis)."""
    read = {index for operator in operators if operator.kind not in MOVING for index in operator.inputs}
    tensors = tuple(
        replace(tensor, data=tensor.data[..., channels], shape=(*tensor.shape[:-1], len(channels)))
        if index in read
        and tensor.data is not None
        and tensor.data.shape[-1] > max(channels)
        and tensor.data.shape[-1] > 1
        else tensor
        for index, tensor in enumerate(program.tensors)
    )
    return replace(program, tensors=tensors)


def cases(frames: int) -> np.ndarray:
    """Currents to try, int8 `(samples, frames, cases)`: all 256, or, at every two neighbouring timesteps, all pairs.

    The timesteps before a pair have current 0, and so no state; those behind it too.
    """
    if frames == 1:
        return ALL_INT8[None, None]
    pairs = np.stack(np.meshgrid(ALL_INT8, ALL_INT8, indexing="ij")).reshape(2, -1)
    result = np.zeros((frames - 1, frames, pairs.shape[1]), np.int8)
    for t in range(frames - 1):
        result[t, t : t + 2] = pairs
    return result


def _are_alike(program: Program, operators: Sequence[Operator]) -> bool:
    """Whether convolutions have the same weights in all channels."""
    read = [program.tensors[i].data for one in operators if one.kind in WEIGHTED for i in one.inputs[1:]]
    return all(np.all(data == data[..., :1]) for data in read)


def check_alone(
    program: Program, operators: Sequence[Operator], currents: Sequence[int], layer: str, channels: int
) -> None:
    """Raises ValueError if the layer cannot stand for itself on one row, or on one for each of some channels."""
    alike = currents if are_sums(program, operators) else currents[1:] or currents
    grids = {(float(program.tensors[i].scale), program.tensors[i].zero_point) for i in alike}
    if len(grids) != 1 or any(not _is_single(program, operator, channels) for operator in operators):
        raise ValueError(
            "The currents of a spiking layer must lie on one grid, and its constants be single numbers. Received: "
            f"{len(grids)} grids at {layer!r}. Export the model again."
        )


def _is_single(program: Program, operator: Operator, channels: int) -> bool:
    """Whether an operator's constants are numbers, or one for each of some channels; rows of them in a kernel."""
    constants = [program.tensors[index].data for index in operator.inputs if program.tensors[index].data is not None]
    if operator.kind in MOVING:
        return True
    if operator.kind in WEIGHTED:
        return all(data.shape[-1] == channels for data in constants)
    return all(data.size in (1, channels) for data in constants)


def _emit_again(
    builder: Builder, program: Program, operator: Operator, mapped: Mapping[int, int], layer: str, shape: tuple
) -> int:
    """An elementwise operator, or a convolution over rows of cases."""
    weighted, output = operator.kind in WEIGHTED, program.tensors[operator.output]
    inputs = tuple(
        mapped[i]
        if program.tensors[i].data is None
        else _constant(builder, program, i, layer, None if weighted else len(shape) + 1)
        for i in operator.inputs
    )
    if weighted:
        taps = program.tensors[operator.inputs[1]].shape[1]
        shape = (builder.shape(inputs[0])[0] - taps + 1, *shape[1:])
    grid, name = Grid(float(output.scale), output.zero_point), _alone(output.name, layer)
    options = {"activation": operator.activation, "options": operator.options}
    return builder.emit(operator.kind, inputs, name, shape, grid, **options)


def _move_again(
    builder: Builder, program: Program, operator: Operator, mapped: Mapping[int, int], layer: str, shape: tuple
) -> int:
    """Rows of cases, joined; a RESHAPE leaves them as they are, called by the plainer of the two names."""
    name, output = _alone(program.tensors[operator.output].name, layer), program.tensors[operator.output]
    rows = tuple(mapped[i] for i in operator.inputs if program.tensors[i].data is None)
    if operator.kind == "CONCATENATION":
        grid = Grid(float(output.scale), output.zero_point)
        return builder.join(rows, name, (len(rows), *shape[1:]), grid, axis=1)
    if not name.parts:
        builder.rename(rows[0], name)
    return rows[0]


def _alone(text: str, layer: str) -> Name:
    """The name without the layer's."""
    name = parse(text)
    return replace(name, layer="") if name.layer == layer else name


def _constant(builder: Builder, program: Program, index: int, layer: str, rank: int | None) -> int:
    """A constant again; rank: of the values that it broadcasts against, None in front of a kernel's rows."""
    tensor = program.tensors[index]
    name = _alone(tensor.name, layer)
    # A Dense layer's constants have no axis for the cases.
    data = (
        tensor.data
        if tensor.data.size == 1 or rank is None
        else tensor.data.reshape(*[1] * (rank - tensor.data.ndim), *tensor.data.shape)
    )
    return builder.constant(name, data, tensor.scale, zero_point=tensor.zero_point)
