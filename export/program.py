"""The integer program: int8 tensors and builtin TFLite operators, with a NumPy reference that runs them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from .arithmetic import KERNELS


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


@dataclass(frozen=True, eq=False)
class Program:
    """An exact integer program: what the .tflite file holds, operator for operator.

    metadata: JSON-ready facts for the reader of the file (layers, timesteps, notes).
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: Mapping[str, object] = field(default_factory=dict)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Integers in, integers out, as every runtime computes them.

        inputs: int8, `(samples, *shape of the input tensor without its batch axis)`.
        Returns: int8, `(samples, *shape of the first output tensor without its batch axis)`.
        Raises: ValueError if the dtype or the shape differs, or the program has several inputs.
        """
        name = self.tensors[self.outputs[0]].name
        return self.trace(inputs, keep=(name,))[name]

    def trace(
        self, inputs: np.ndarray | Mapping[str, np.ndarray], *, keep: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """As `run`, but every activation tensor by name (or only those named in `keep`).

        inputs: as in `run`, or for several inputs an array for each, by tensor name.
        """
        feeds = self._feeds(inputs)
        samples = len(feeds[self.inputs[0]])
        chunks = [
            self._trace_chunk({index: array[chunk] for index, array in feeds.items()}, keep)
            for chunk in chunked(samples, self.tensors)
        ]
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def _feeds(self, inputs: np.ndarray | Mapping[str, np.ndarray]) -> dict[int, np.ndarray]:
        names = [self.tensors[index].name for index in self.inputs]
        if isinstance(inputs, np.ndarray):
            inputs = {names[0]: inputs}
        if sorted(inputs) != sorted(names):
            raise ValueError(f"`inputs` must hold an array for each of {names}. Received: {sorted(inputs)}")
        for index, name in zip(self.inputs, names, strict=True):
            check_inputs(self.tensors[index], inputs[name])
        return {index: inputs[name] for index, name in zip(self.inputs, names, strict=True)}

    def _trace_chunk(self, feeds: dict[int, np.ndarray], keep: Collection[str] | None) -> dict[str, np.ndarray]:
        values = feeds | {i: tensor.data for i, tensor in enumerate(self.tensors) if tensor.data is not None}
        last_use = {index: step for step, op in enumerate(self.operators) for index in op.inputs}
        kept = {}
        for step, op in enumerate(self.operators):
            tensors = [self.tensors[i] for i in op.inputs]
            output = self.tensors[op.output]
            values[op.output] = KERNELS[op.kind](op, tensors, output, [values[i] for i in op.inputs])
            if keep is None or output.name in keep:
                kept[output.name] = values[op.output]
            for index in op.inputs:
                if last_use[index] == step:
                    values.pop(index, None)
        return kept


def check_inputs(tensor: Tensor, inputs: np.ndarray) -> None:
    """Raises ValueError unless `inputs` are int8 samples of the shape of `tensor`."""
    if inputs.dtype != np.int8 or inputs.shape[1:] != tuple(tensor.shape[1:]):
        expected = ("samples", *tensor.shape[1:])
        raise ValueError(f"`inputs` must be int8 of shape {expected}. Received: {inputs.dtype} of shape {inputs.shape}")


def chunked(samples: int, tensors: tuple[Tensor, ...], budget: int = 2**24) -> list[slice]:
    """Slices of samples such that the largest activation of a chunk has at most `budget` elements."""
    largest = max(math.prod(tensor.shape) for tensor in tensors if tensor.data is None)
    size = max(1, budget // largest)
    return [slice(start, start + size) for start in range(0, max(samples, 1), size)]
