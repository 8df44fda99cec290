"""Kernels of -s, 0 and s: with ternary spikes a network of signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .kernels import Kernel
from .projection import Projection

THRESHOLD = 0.7


class TernaryKernels(Projection):
    """Keeps every output channel of kernels at -s, 0 and s, with straight-through gradients.

    In each channel: delta = threshold * mean |latent|, s = mean of the |latent| above delta, and

        kernel = s * sign(latent) where |latent| > delta, else 0

    The model's kernels hold these values from the first batch on, and so does the saved model. The exporter gives all
    channels of a convolution the same two integers beside 0 where it can, which Ethos-U stores in about two bits.

    Args:
        layers: Names of layers with a kernel, at any depth. Default: None, all.
        threshold: Float in [0, 2). A larger one gives more zeros. Default: 0.7.

    Raises:
        ValueError: threshold or layers malformed; in training, a layer that does not exist.

    Reference: [Li et al., Ternary Weight Networks, 2016](https://arxiv.org/abs/1605.04711).
    """

    def __init__(self, layers: Sequence[str] | None = None, threshold: float = THRESHOLD) -> None:
        super().__init__(layers)
        if not 0 <= threshold < 2:
            raise ValueError(f"`threshold` must lie in [0, 2). Received: threshold={threshold}")
        self.threshold = threshold

    def project(self, index: int, kernel: Kernel, latent: np.ndarray) -> np.ndarray:
        return ternary(latent, kernel.per_channel, self.threshold)


def ternary(weights: np.ndarray, axes: tuple[int, ...], threshold: float) -> np.ndarray:
    """Weights of the same shape and type: -s, 0 and s in each channel. axes: those that lie within a channel."""
    magnitude = np.abs(weights)
    kept = magnitude > threshold * magnitude.mean(axis=axes, keepdims=True)
    count = np.maximum(kept.sum(axis=axes, keepdims=True), 1)
    scale = (magnitude * kept).sum(axis=axes, keepdims=True, dtype=np.float64) / count
    return (np.sign(weights) * kept * scale).astype(weights.dtype)
