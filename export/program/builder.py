"""Collects tensors and operators of a program; an operator asked for twice is emitted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .grid import Grid
from .names import Name, checked, numbered
from .operators import ANY_BATCH, Operator, Tensor
from .program import Program

MOST_JOINED = 10  # inputs of a CONCATENATION that TFLite Micro takes
Padding = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right)), in pixels


class Builder:
    """Grows a Program. Tensors are referred to by index, and called as `names` says.

    Emitting the same operator on the same tensors again returns the first result: whatever is constant
    over time is computed once without anybody asking for it.
    """

    def __init__(self):
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self._known: dict[tuple, int] = {}
        self._constants: dict[str, int] = {}
        self._uses: dict[str, int] = {}

    def activation(self, name: Name | str, shape: tuple[int, ...], grid: Grid) -> int:
        """A new int8 tensor that an operator (or the caller of the program) fills."""
        return self._add(Tensor(self._unique(checked(name)), (1, *shape), np.float32(grid.scale), grid.zero_point))

    def constant(
        self, name: Name | str, data: np.ndarray, scale=1.0, *, zero_point: int = 0, channel_axis: int = 0
    ) -> int:
        """A tensor with data; the same name stands for the same constant."""
        name = checked(name)
        if name not in self._constants:
            scale = np.asarray(scale, np.float32)
            axis = channel_axis if scale.ndim else 0  # as strict readers want it of a single scale
            tensor = Tensor(name, data.shape, scale, zero_point, data.dtype.name, axis, data)
            self._constants[name] = self._add(tensor)
        return self._constants[name]

    def scalar(self, name: Name, value: int, scale: float, rank: int) -> int:
        """A constant that broadcasts against values of `rank` axes without the batch axis."""
        return self.constant(name.ranked(rank), np.full([1] * (rank + 1), value, np.int8), scale)

    def emit(
        self,
        kind: str,
        inputs: tuple[int, ...],
        name: Name | str,
        shape: tuple[int, ...],
        grid: Grid,
        *,
        activation: str = "NONE",
        options: Mapping[str, object] | None = None,
    ) -> int:
        """Appends an operator and returns the index of its output, a new tensor of `grid`."""
        options = dict(options or {})
        key = (kind, inputs, activation, grid, tuple(sorted(options.items())))
        if key not in self._known:
            output = self.activation(name, shape, grid)
            self.operators.append(Operator(kind, inputs, output, activation, options))
            self._known[key] = output
        return self._known[key]

    def reshape(self, tensor: int, name: Name, shape: tuple[int, ...], grid: Grid) -> int:
        """RESHAPE to `(1, *shape)`; the same tensor where nothing changes."""
        if self.shape(tensor) == tuple(shape):
            return tensor
        new_shape = (ANY_BATCH, *(int(size) for size in shape))
        constant = self._integers(Name("", "shape", index="x".join(map(str, (1, *new_shape[1:])))), new_shape)
        return self.emit("RESHAPE", (tensor, constant), name, shape, grid, options={"new_shape": new_shape})

    def copy(self, tensor: int, name: Name) -> int:
        """RESHAPE to the same shape."""
        original = self.tensors[tensor]
        new_shape = (ANY_BATCH, *original.shape[1:])
        constant = self._integers(Name(str(name), "shape"), new_shape)
        grid = Grid(float(original.scale), original.zero_point)
        return self.emit("RESHAPE", (tensor, constant), name, new_shape[1:], grid, options={"new_shape": new_shape})

    def crop(self, tensor: int, name: Name, layer: str, cropping: Padding, shape: tuple[int, ...], grid: Grid) -> int:
        """SLICE of the image `shape` out of a larger one, `cropping` pixels away from its edges."""
        (top, _), (left, _) = cropping
        begin = self._integers(Name(layer, "begin"), (0, top, left, 0))
        size = self._integers(Name(layer, "size"), (ANY_BATCH, *shape))
        return self.emit("SLICE", (tensor, begin, size), name, shape, grid)

    def pad(self, tensor: int, name: Name, layer: str, padding: Padding, grid: Grid) -> int:
        """PAD of an image with real zeros."""
        (top, bottom), (left, right) = padding
        height, width, channels = self.shape(tensor)
        pads = self._integers(Name(layer, "pads"), ((0, 0), *padding, (0, 0)))
        return self.emit("PAD", (tensor, pads), name, (height + top + bottom, width + left + right, channels), grid)

    def frames(self, tensor: int, layer: str, shape: tuple[int, ...], grid: Grid, timesteps: int) -> tuple[int, ...]:
        """Cuts `(1, timesteps, rows, ...)` into timesteps along the rows, so that no tensor has five axes."""
        rows, *rest = shape
        flat = self.reshape(tensor, Name(layer, "rows"), (timesteps * rows, *rest), grid)
        if timesteps == 1:
            return (flat,)
        size, cut = self._integers(Name(layer, "size"), (ANY_BATCH, rows, *rest)), []
        for t in range(timesteps):
            begin = self._integers(Name(layer, "begin", index=str(t)), (0, t * rows, *[0] * len(rest)))
            cut.append(self.emit("SLICE", (flat, begin, size), Name(layer, "frame", t), shape, grid))
        return tuple(cut)

    def join(self, tensors: tuple[int, ...], name: Name, shape: tuple[int, ...], grid: Grid, *, axis: int) -> int:
        """CONCATENATION; of more tensors than TFLite Micro joins group by group. axis: with the batch axis."""
        if len(tensors) > MOST_JOINED:
            groups = [tensors[start : start + MOST_JOINED] for start in range(0, len(tensors), MOST_JOINED)]
            named = ((group, name.part(f"stage{n}")) for n, group in enumerate(groups, start=1))
            tensors = tuple(self.join(group, part, self._joined(group, axis), grid, axis=axis) for group, part in named)
            return self.join(tensors, name, shape, grid, axis=axis)
        return self.emit("CONCATENATION", tensors, name, shape, grid, options={"axis": axis})

    def rename(self, index: int, name: Name) -> None:
        self.tensors[index] = replace(self.tensors[index], name=checked(name))

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape without the batch axis."""
        return self.tensors[index].shape[1:]

    def kind(self, index: int) -> str | None:
        """Of the operator that writes a tensor; None for an input or a constant."""
        writer = self._writer(index)
        return None if writer is None else writer.kind

    def is_clipped(self, index: int, scale: float) -> bool:
        """Whether the operator that writes a tensor of that scale clips it to [-1, 1]."""
        writer = self._writer(index)
        clips = writer is not None and writer.activation == "RELU_N1_TO_1"
        return clips and float(self.tensors[index].scale) == scale

    def program(self, name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], metadata=None) -> Program:
        return Program(name, tuple(self.tensors), tuple(self.operators), inputs, outputs, metadata or {})

    def _joined(self, tensors: tuple[int, ...], axis: int) -> tuple[int, ...]:
        shape = list(self.shape(tensors[0]))
        shape[axis - 1] = sum(self.shape(tensor)[axis - 1] for tensor in tensors)
        return tuple(shape)

    def _integers(self, name: Name, values: Sequence[object]) -> int:
        return self.constant(name, np.array(values, np.int32))

    def _writer(self, index: int) -> Operator | None:
        return next((operator for operator in self.operators if operator.output == index), None)

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _unique(self, name: str) -> str:
        count = self._uses.get(name, 0)
        self._uses[name] = count + 1
        return numbered(name, count)
