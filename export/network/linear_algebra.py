"""Algebra of Linear nodes: what a factor, an offset, a sum over time or over a window makes of kernel and bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import nodes
from .node import NO_PADDING, Node, like

ScaleOffset = tuple[np.ndarray, np.ndarray]  # scale and offset, each of shape () or (channels,)


def then_affine(linear: nodes.Linear, scale_offset: ScaleOffset) -> nodes.Linear:
    """scale * linear(x) + offset as one Linear, per output channel."""
    scale, offset = scale_offset
    bias = scale * linear.bias + offset
    if isinstance(linear, nodes.DepthwiseConv):
        scale = np.broadcast_to(scale, bias.shape).reshape(linear.kernel.shape[2:])
    return replace(linear, kernel=linear.kernel * scale, bias=bias)


def after_affine(linear: nodes.Linear, scale_offset: ScaleOffset) -> nodes.Linear | None:
    """linear(scale * x + offset) as one Linear, per input channel; None where missing pixels miss the offset."""
    scale, offset = scale_offset
    if np.any(offset) and (
        isinstance(linear, nodes.ConvTranspose) or getattr(linear, "padding", NO_PADDING) != NO_PADDING
    ):
        return None
    channels = linear.kernel.shape[-2]
    scale, offset = (np.broadcast_to(value, (channels,))[:, None] for value in scale_offset)
    gain = (linear.kernel * offset).reshape(-1, channels, linear.kernel.shape[-1]).sum(0)
    gain = gain.reshape(-1) if isinstance(linear, nodes.DepthwiseConv) else gain.sum(0)
    return replace(linear, kernel=linear.kernel * scale, bias=linear.bias + gain)


def of_sum(linear: nodes.Linear, addends: int) -> nodes.Linear:
    """The Linear that makes sum(linear(x)) out of sum(x): its bias counts once per addend."""
    return replace(linear, bias=linear.bias * addends)


def then_sum_pool(conv: nodes.Conv | nodes.DepthwiseConv, pool: nodes.SumPool) -> nodes.Conv | nodes.DepthwiseConv:
    """pool(conv(x)) as one convolution of stride `conv.strides * pool.strides` without dilation.

    Tap (p, k), pixel p of the window and k of the kernel, reads input pixel p * stride + k * dilation of the patch.
    """
    strides, dilation, taps = conv.strides, conv.dilation, conv.kernel.shape[:2]
    extent = [(pool.size[i] - 1) * strides[i] + (taps[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    kernel = np.zeros((*extent, *conv.kernel.shape[2:]))
    for row, column in np.ndindex(*pool.size):
        top, left = row * strides[0], column * strides[1]
        bottom, right = (start + (taps[i] - 1) * dilation[i] + 1 for i, start in enumerate((top, left)))
        kernel[top : bottom : dilation[0], left : right : dilation[1]] += conv.kernel
    return replace(
        conv,
        kernel=kernel,
        bias=conv.bias * pool.size[0] * pool.size[1],
        strides=(strides[0] * pool.strides[0], strides[1] * pool.strides[1]),
        dilation=(1, 1),
        shape=pool.shape,
    )


def ones(pool: nodes.SumPool) -> nodes.DepthwiseConv:
    """A sum over windows as a Linear."""
    channels = pool.shape[-1]
    return nodes.DepthwiseConv(
        name=pool.name,
        inputs=pool.inputs,
        shape=pool.shape,
        temporal=pool.temporal,
        kernel=np.ones((*pool.size, channels, 1)),
        bias=np.zeros(channels),
        strides=pool.strides,
        padding=pool.padding,
    )


def affine_of(name: str, source: Node, scale: float | np.ndarray, offset: float | np.ndarray = 0.0) -> nodes.Affine:
    """scale * x + offset of the value of `source`."""
    scale, offset = (np.asarray(value, np.float64) for value in (scale, offset))
    return nodes.Affine(scale=scale, offset=offset, **like(name, source))


def diagonal(name: str, source: Node, scale_offset: ScaleOffset) -> nodes.DepthwiseConv | nodes.Dense:
    """scale * x + offset of the value of `source` as a Linear: on images a 1x1 depthwise convolution, else a Dense."""
    channels = source.shape[-1]
    scale, offset = (np.broadcast_to(value, (channels,)).copy() for value in scale_offset)
    if len(source.shape) == 3:
        return nodes.DepthwiseConv(kernel=scale.reshape(1, 1, channels, 1), bias=offset, **like(name, source))
    return nodes.Dense(kernel=np.diag(scale), bias=offset, **like(name, source))


def factors(node: Node) -> np.ndarray | None:
    """What a Linear as `diagonal` makes it multiplies each channel by; None for any other Node."""
    if isinstance(node, nodes.DepthwiseConv) and node.kernel.shape == (1, 1, node.shape[-1], 1):
        return node.kernel.ravel()
    if isinstance(node, nodes.Dense) and node.kernel.shape[0] == node.kernel.shape[1]:
        diagonal = np.diagonal(node.kernel)
        return diagonal if np.array_equal(node.kernel, np.diag(diagonal)) else None
    return None


def kernel_at(linear: nodes.Linear, affine: nodes.TimestepAffine, timestep: int) -> nodes.Linear:
    """The Linear of one timestep, under the name of the first timestep that has the same."""
    pairs = [(factor, *offset) for factor, offset in zip(affine.factors, affine.offsets, strict=True)]
    own = then_affine(linear, (affine.factors[timestep], affine.offsets[timestep]))
    return replace(own, name=f"{linear.name}/{pairs.index(pairs[timestep])}")
