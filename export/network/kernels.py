"""The kinds of nodes that have a kernel and a bias."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .node import NO_PADDING, Node, Padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Node, base=True):
    """A kernel and a bias: the base of the convolutions and Dense. bias: (channels of the output,).

    Of a model trained on integers, else None: multipliers, output steps per accumulator step of every channel;
    scale and zero_point, those of the output.
    """

    linear = stateless = True
    monotone = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = False

    kernel: np.ndarray
    bias: np.ndarray
    multipliers: tuple[Fraction, ...] | None = None
    scale: float | None = None
    zero_point: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Windowed(Linear, base=True):
    """A kernel that slides over (height, width), zero-padded: the base of Conv and DepthwiseConv."""

    takes_activation = True

    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING

    @property
    def pointwise(self) -> bool:
        return self.kernel.shape[:2] == (1, 1) and self.strides == (1, 1) and self.padding == NO_PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Windowed):
    """2-D convolution over (height, width, channels). kernel: (kh, kw, in, out)."""

    mixes_channels = True


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthwiseConv(Windowed):
    """Depthwise 2-D convolution. kernel: (kh, kw, in, multiplier); output channel in*multiplier + m."""

    mixes_channels = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvTranspose(Linear):
    """Transposed 2-D convolution, cropped. kernel: (kh, kw, in, out), each at least as large as its stride.

    full[i * stride + k] = sum of kernel[k] * x[i], a full output of (size - 1) * stride + kernel pixels; the value is
    what `cropping` leaves of it, plus the bias. TensorFlow's paddings: "valid" crops nothing, "same" kernel - stride.
    """

    mixes_channels = True
    takes_activation = pointwise = False

    strides: tuple[int, int] = (1, 1)
    cropping: Padding = NO_PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Linear):
    """Matrix product over the last axis. kernel: (in, units)."""

    mixes_channels = takes_activation = pointwise = True
