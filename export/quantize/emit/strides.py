"""Strides that Ethos-U55 and U65 do not take, as several operators: the same integers on every runtime.

Arm's compiler leaves a DEPTHWISE_CONV_2D with a stride above 3 on the CPU, and a CONV_2D with one if it pads; not so
MAX_POOL_2D, and no CONV_2D without padding. docs/targets.md says what that costs.
"""

from __future__ import annotations

from ...program.builder import Builder
from ...program.grid import Grid
from ...program.names import Name

LARGEST_STRIDE = 3
ONE_PASS = 25  # taps that XNNPACK's depthwise convolution sums in one pass; in several it is ten times as slow
Pair = tuple[int, int]  # (height, width)


def is_far(strides: Pair) -> bool:
    """Whether a stride is above LARGEST_STRIDE."""
    return max(strides) > LARGEST_STRIDE


def split_strides(strides: Pair) -> tuple[Pair, Pair]:
    """(near, left): near * left = strides, near at most LARGEST_STRIDE and as large as it can be."""
    near = tuple(max(n for n in range(1, LARGEST_STRIDE + 1) if stride % n == 0) for stride in strides)
    return near, tuple(stride // n for stride, n in zip(strides, near, strict=True))


def sum_stages(size: Pair, strides: Pair) -> list[tuple[Pair, Pair]]:
    """Windows (size, strides) whose sums one after the other are the sums of windows of `size` at `strides`.

    Several where the windows lie side by side and every factor of the far strides is near, as of 4, 6, 8 and 9: the sum
    of 4 x 4 pixels is that of 2 x 2 sums of 2 x 2 pixels. Rows, then columns, where a window at a near stride is large.
    Otherwise the windows themselves.
    """
    if not is_far(strides):
        large = size[0] * size[1] > ONE_PASS and min(size) > 1
        return [((size[0], 1), (strides[0], 1)), ((1, size[1]), (1, strides[1]))] if large else [(size, strides)]
    factors = [_near_factors(stride) for stride in strides]
    if tuple(size) != tuple(strides) or None in factors:
        return [(size, strides)]
    count = max(map(len, factors))
    rows, columns = (found + [1] * (count - len(found)) for found in factors)
    return [(pair, pair) for pair in zip(rows, columns, strict=True)]


def needed_strides(image: Pair, size: Pair, strides: Pair) -> Pair:
    """`strides`, or, where only one window fits, the smallest ones at which only one does: Ethos-U55 takes these."""
    if window_counts(image, size, strides) != (1, 1):
        return strides
    return tuple(min(s, i - k + 1) for i, k, s in zip(image, size, strides, strict=True))


def window_counts(image: Pair, size: Pair, strides: Pair) -> Pair:
    """How many windows fit into an image, without padding."""
    return tuple((i - k) // s + 1 for i, k, s in zip(image, size, strides, strict=True))


def emit_skip(builder: Builder, tensor: int, name: Name, strides: Pair, shape: tuple[int, ...], grid: Grid) -> int:
    """Every `strides`-th pixel of an image, as the maximum over windows of one pixel."""
    options = {"filter_height": 1, "filter_width": 1, "padding": "VALID"}
    options |= {"stride_h": strides[0], "stride_w": strides[1]}
    return builder.emit("MAX_POOL_2D", (tensor,), name, shape, grid, options=options)


def _near_factors(number: int) -> list[int] | None:
    """Factors of at most LARGEST_STRIDE with this product, or None."""
    factors = []
    for factor in range(LARGEST_STRIDE, 1, -1):
        while number % factor == 0:
            factors.append(factor)
            number //= factor
    return factors if number == 1 else None
