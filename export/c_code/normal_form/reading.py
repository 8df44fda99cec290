"""A program on the way to its normal form: what is written so far, and what stands for each tensor of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ...program.operators import Operator, Tensor
from ...program.program import Program
from ..arithmetic.ranges import Interval
from ..events.neurons import SpikingLayer, by_spikes

UNMOVED = "RESHAPE"  # moves no byte in C, whatever label it gives


@dataclass
class Reading:
    """program: as the file has it. neurons: those whose equation stands for their operators.

    bounds: which integers each tensor of the program can hold.
    tensors, operators: of the normal form so far. mapped: by the program's tensors, the one that holds their integers,
        perhaps in rows of another length, or with another label.
    """

    program: Program
    neurons: tuple[SpikingLayer, ...]
    bounds: Mapping[int, Interval]
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    mapped: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spikes = by_spikes(self.neurons)
        self.inside = {operator.output for layer in self.neurons for operator in layer.operators}
        self.writers = {operator.output: operator for operator in self.program.operators}
        self.readers: dict[int, list[Operator]] = {}
        for operator in self.program.operators:
            for index in operator.inputs:
                self.readers.setdefault(index, []).append(operator)
        self._read: dict[tuple, int] = {}
        self.mapped.update((index, self.add(self.program.tensors[index])) for index in self.program.inputs)

    def tensor(self, index: int) -> Tensor:
        """Of the program."""
        return self.program.tensors[index]

    def written(self, index: int) -> Tensor:
        """What stands for a tensor of the program."""
        if index not in self.mapped:
            self.mapped[index] = self.add(self.tensor(index))
        return self.tensors[self.mapped[index]]

    def source(self, index: int) -> Operator | None:
        """The operator of the program that computes a tensor's values, in whatever shape; None of an input."""
        writer = self.writers.get(index)
        while writer is not None and writer.kind == UNMOVED:
            writer = self.writers.get(writer.inputs[0])
        return writer

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def emit(self, kind: str, inputs: tuple[int, ...], output: Tensor, like: Operator, **changes: object) -> int:
        """An operator of the normal form, with activation and options of `like` but for changes; what it writes."""
        index = self.add(output)
        self.operators.append(replace(like, kind=kind, inputs=inputs, output=index, **changes))
        return index

    def read(self, index: int, shape: tuple[int, ...] | None = None) -> int:
        """A tensor of the program in a shape, by default its own, and with its own label."""
        tensor, found = self.tensor(index), self.written(index)
        wanted = replace(tensor, shape=tensor.shape if shape is None else shape)
        if tensor.data is not None or (found.shape, float(found.scale)) == (wanted.shape, float(wanted.scale)):
            return self.mapped[index]
        return self._relabelled(self.mapped[index], wanted)

    def output(self, index: int) -> int:
        """An output of the program, by its own name."""
        found, tensor = self.written(index), self.tensor(index)
        if (found.name, found.shape, float(found.scale)) == (tensor.name, tensor.shape, float(tensor.scale)):
            return self.mapped[index]
        return self._relabelled(self.mapped[index], tensor)

    def constant(self, tensor: Tensor) -> int:
        """A constant in another shape, or of other scales, than the program's."""
        key = (tensor.name, tensor.shape, np.asarray(tensor.scale, np.float64).tobytes())
        if key not in self._read:
            self._read[key] = self.add(tensor)
        return self._read[key]

    def _relabelled(self, source: int, wanted: Tensor) -> int:
        key = (source, wanted.name, wanted.shape, float(wanted.scale))
        if key not in self._read:
            self._read[key] = self.add(wanted)
            self.operators.append(Operator(UNMOVED, (source,), self._read[key], options={"new_shape": wanted.shape}))
        return self._read[key]
