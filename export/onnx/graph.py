"""An ONNX graph as it grows, and where the axes of a Program's tensors lie in it: channels first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..program.operators import Operator, Tensor
from ..program.ties import Values

if TYPE_CHECKING:
    import onnx

CHANNELS_FIRST = (0, 3, 1, 2)  # of images; all other tensors keep their axes
CHANNELS_LAST = (0, 2, 3, 1)
IMAGE_RANK = 4


class Graph:
    """Nodes and constants. Values are referred to by name."""

    def __init__(self, reserved: Sequence[str] = ()):
        """reserved: names that no value may take, those of inputs and outputs."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._names = set(reserved)
        self._known: dict[tuple[object, ...], str] = {}

    def node(self, kind: str, values: Sequence[str], name: str, **attributes: object) -> str:
        """Appends a node, and returns the value that it writes, of `name` or of one like it."""
        from onnx import helper

        written = self._unique(name)
        self.nodes.append(helper.make_node(kind, list(values), [written], name=written, **attributes))
        return written

    def constant(self, array: np.ndarray, name: str) -> str:
        """A constant; the same array is held once."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(array).reshape(np.shape(array))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self._unique(name)
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def write(self, kind: str, values: Sequence[str], name: str, **attributes: object) -> None:
        """A node that writes an output of the graph, whose name is reserved."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(values), [name], name=name, **attributes))

    def _unique(self, name: str) -> str:
        base, number = name, 1
        while name in self._names:
            number += 1
            name = f"{base}/{number}"
        self._names.add(name)
        return name


@dataclass(frozen=True)
class Call:
    """One operator of a Program: its operands, the values of the graph that hold them, and what these may be.

    values: of operands that are activations; empty for constants.
    reached: the integers that an operand may hold, less its zero point; empty of kernels, biases and numbers.
    """

    graph: Graph
    operator: Operator
    inputs: tuple[Tensor, ...]
    output: Tensor
    values: tuple[str, ...]
    reached: tuple[Values, ...]

    @property
    def name(self) -> str:
        return self.output.name

    def node(self, kind: str, values: Sequence[str], part: str = "", **attributes: object) -> str:
        """A node of this operator. part: what it is of it, for its name."""
        return self.graph.node(kind, values, f"{self.name}/{part}" if part else self.name, **attributes)

    def constant(self, array: np.ndarray, part: str) -> str:
        return self.graph.constant(array, f"{self.name}/{part}")

    def integers(self, numbers: Sequence[int], part: str) -> str:
        """int64, as shapes and axes are."""
        return self.constant(np.array(numbers, np.int64), part)


def channels_first(array: np.ndarray, rank: int) -> np.ndarray:
    """A constant that meets activations of `rank` axes, with its axes where theirs are."""
    array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    return array.transpose(CHANNELS_FIRST) if rank == IMAGE_RANK else array


def shape_in(shape: Sequence[int]) -> tuple[int, ...]:
    """A Program's shape as the graph has it."""
    return tuple(shape[axis] for axis in CHANNELS_FIRST) if len(shape) == IMAGE_RANK else tuple(shape)


def axis_in(axis: int, rank: int) -> int:
    """Where an axis of a Program's tensor is in the graph."""
    return CHANNELS_FIRST.index(axis) if rank == IMAGE_RANK else axis


def images_first(graph: Graph, shape: Sequence[int], value: str, name: str) -> str:
    """A value with its channels last, if it is images, with them first. shape: the Program's."""
    if len(shape) != IMAGE_RANK:
        return value
    return graph.node("Transpose", [value], name, perm=CHANNELS_FIRST)


def images_last(graph: Graph, shape: Sequence[int], value: str, name: str) -> str:
    """The way back."""
    if len(shape) != IMAGE_RANK:
        return value
    return graph.node("Transpose", [value], name, perm=CHANNELS_LAST)


def lies_alike(shape: Sequence[int]) -> bool:
    """Whether values lie in the same order with channels first and last."""
    return len(shape) != IMAGE_RANK or shape[3] == 1 or shape[1] * shape[2] == 1
