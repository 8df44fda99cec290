"""TensorFlow's padding="same", in pixels."""

from __future__ import annotations


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """(before, after) along one axis: as many outputs as strides fit in `size`; the odd pixel goes to the end."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2
