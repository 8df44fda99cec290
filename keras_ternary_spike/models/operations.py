"""How large a network is and what it computes, from the shapes of its layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ..layers.time_axis import PerTimestep

COUNTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


@dataclass(frozen=True)
class Operations:
    """The size of a network.

    weights: numbers in the kernels; biases, normalization and amplitudes are not counted.
    per_timestep: multiply-accumulates of one timestep, the layers in front of the encoding among them. Padding counts
        as pixels do.
    constant: the part of these that lies in front of the encoding: done once an image, whatever the timesteps.
    """

    weights: int
    per_timestep: int
    constant: int

    def per_image(self, timesteps: int) -> int:
        """Multiply-accumulates of all timesteps."""
        return self.constant + timesteps * (self.per_timestep - self.constant)


def count_operations(model: keras.Model) -> Operations:
    """The Operations of a model of Conv2D, DepthwiseConv2D and Dense, on images or within PerTimestep.

    Raises:
        ValueError: naming the layer, for any other layer with a kernel, or an unknown size.
    """
    kernels = list(_kernels(model))
    counts = [(multiply_accumulates(kernel, positions), once) for kernel, positions, once in kernels]
    return Operations(
        weights=sum(math.prod(kernel) for kernel, _, _ in kernels),
        per_timestep=sum(count for count, _ in counts),
        constant=sum(count for count, once in counts if once),
    )


def multiply_accumulates(kernel: Sequence[int], positions: Sequence[int]) -> int:
    """Products that a kernel takes part in: every number of it once at each position of the output.

    kernel: (kh, kw, in, out), of a depthwise convolution (kh, kw, in, multiplier), of a linear layer (in, out).
    positions: (height, width) of the output; () of a linear layer.
    """
    return math.prod(kernel) * math.prod(positions)


def _kernels(model: keras.Model) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], bool]]:
    """By layer: the shape of its kernel, (height, width) of its output, and whether it is in front of the encoding."""
    for layer in model.layers:
        wrapped = isinstance(layer, PerTimestep)
        inner = layer.layer if wrapped else layer
        if isinstance(inner, COUNTED):
            yield tuple(inner.kernel.shape), _positions(layer, leading=2 if wrapped else 1), not wrapped
        elif any(len(weight.shape) > 1 for weight in inner.weights):
            supported = ", ".join(kind.__name__ for kind in COUNTED)
            raise ValueError(f"Cannot count layer {inner.name!r} ({type(inner).__name__}). Supported: {supported}.")


def _positions(layer: Any, leading: int) -> tuple[int, ...]:
    positions = tuple(layer.output.shape[leading:-1])
    if None in positions:
        raise ValueError(f"Every size must be known to count operations. Received: {positions} at {layer.name!r}.")
    return positions
