"""Training with projected kernels: the straight-through estimator as a callback.

The model's kernel is always project(latent), the latent weights stay here. After each batch the optimizer has moved
the kernel; the same step moves the latent weights, as if the gradient passed the projection unchanged:

    latent = latent + (kernel - project(latent));   kernel = project(latent)
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from .kernels import Kernel, check_names, find_kernels


class Projection(keras.callbacks.Callback):
    """Base of the callbacks that keep kernels within a set. Subclasses define `project`.

    Training that begins with projected kernels goes on from them.
    """

    def __init__(self, layers: Sequence[str] | None = None) -> None:
        super().__init__()
        self.layers = check_names(layers)
        self._kernels: list[Kernel] = []
        self._latent: list[np.ndarray] = []
        self._projected: list[np.ndarray] = []

    def project(self, index: int, kernel: Kernel, latent: np.ndarray) -> np.ndarray:
        """The nearest allowed weights. index: of the kernel among those that are trained."""
        raise NotImplementedError(f"{type(self).__name__} must implement `project(index, kernel, latent)`.")

    def begin(self, kernels: list[Kernel]) -> None:
        """What a subclass does before the first projection."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._kernels = find_kernels(self.model, self.layers)
        self.begin(self._kernels)
        self._latent = [kernel.numpy() for kernel in self._kernels]
        self._assign()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        moved = (kernel.numpy() - before for kernel, before in zip(self._kernels, self._projected, strict=True))
        self._latent = [latent + step for latent, step in zip(self._latent, moved, strict=True)]
        self._assign()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.on_train_batch_end(0)  # an optimizer that averages weights has just written them

    def _assign(self) -> None:
        pairs = enumerate(zip(self._kernels, self._latent, strict=True))
        self._projected = [self.project(index, kernel, latent) for index, (kernel, latent) in pairs]
        for kernel, projected in zip(self._kernels, self._projected, strict=True):
            kernel.variable.assign(projected)
