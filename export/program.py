"""The integer program: int8 tensors and builtin TFLite operators, with a NumPy reference that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


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

        inputs: int8, `(samples, *input shape without batch)`.
        Returns: int8, `(samples, *output shape without batch)`.
        """

    def trace(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """As `run`, for every activation tensor by name."""
