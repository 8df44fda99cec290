"""Single operators that only move integers."""

from __future__ import annotations

import numpy as np

from .builder import Builder
from .grid import Grid
from .network import Padding


def emit_reshape(builder: Builder, tensor: int, name: str, shape: tuple[int, ...], grid: Grid) -> int:
    """RESHAPE to `(1, *shape)`; the same tensor where nothing changes."""
    if builder.shape(tensor) == tuple(shape):
        return tensor
    new_shape = (1, *(int(size) for size in shape))
    label = "x".join(map(str, new_shape))
    constant = builder.constant(f"shape/{label}", np.array(new_shape, np.int32))
    return builder.emit("RESHAPE", (tensor, constant), name, shape, grid, options={"new_shape": new_shape})


def emit_slice(
    builder: Builder, tensor: int, name: str, layer: str, cropping: Padding, shape: tuple[int, ...], grid: Grid
) -> int:
    """SLICE of the image `shape` out of a larger one, `cropping` pixels away from its edges."""
    (top, _), (left, _) = cropping
    begin = builder.constant(f"{layer}/begin", np.array([0, top, left, 0], np.int32))
    size = builder.constant(f"{layer}/size", np.array([1, *shape], np.int32))
    return builder.emit("SLICE", (tensor, begin, size), name, shape, grid)


def emit_pad(builder: Builder, tensor: int, name: str, layer: str, padding: Padding, grid: Grid) -> int:
    """PAD with real zeros."""
    (top, bottom), (left, right) = padding
    height, width, channels = builder.shape(tensor)
    pads = builder.constant(f"{layer}/pads", np.array([(0, 0), *padding, (0, 0)], np.int32))
    return builder.emit("PAD", (tensor, pads), name, (height + top + bottom, width + left + right, channels), grid)
