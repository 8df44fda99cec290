"""Weight sharing: kernels of few different values, by tensorflow-model-optimization's clustering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .kernels import Kernel
from .projection import Projection
from .toolkit import load_tfmot

CLUSTERING = "python.core.clustering.keras"


class Cluster(Projection):
    """Keeps every kernel at no more than `levels` different values, with straight-through gradients.

    The levels start from k-means++ on the kernel, or from its values where there are no more than `levels`; then
    each follows the mean of the latent weights nearest to it. In a kernel with zeros (pruned), 0 is one of the levels
    and the zeros stay.

    Args:
        levels: Integer >= 2. Different values a kernel, 0 included.
        layers: Names of layers with a kernel, at any depth. Default: None, all.

    Raises:
        ValueError: levels or layers malformed; in training, a layer that does not exist.
    """

    def __init__(self, levels: int, layers: Sequence[str] | None = None) -> None:
        super().__init__(layers)
        if type(levels) is not int or levels < 2:
            raise ValueError(f"`levels` must be an integer of at least 2. Received: levels={levels!r}")
        self.levels = levels
        self._centroids: list[Any] = []  # tf.Variable (levels,)
        self._nonzero: list[np.ndarray | None] = []  # None where a kernel has no zeros

    def begin(self, kernels: list[Kernel]) -> None:
        import tensorflow as tf

        weights = [kernel.numpy() for kernel in kernels]
        self._nonzero = [None if values.all() else values != 0 for values in weights]
        self._centroids = [tf.Variable(initial_levels(values, self.levels)) for values in weights]

    def project(self, index: int, kernel: Kernel, latent: np.ndarray) -> np.ndarray:
        centroids, nonzero = self._centroids[index], self._nonzero[index]
        latent = latent if nonzero is None else np.where(nonzero, latent, 0)
        algorithm = load_tfmot(f"{CLUSTERING}.clustering_algorithm").ClusteringAlgorithm(centroids)
        nearest = algorithm.get_pulling_indices(latent).numpy()
        centroids.assign(means(latent, nearest, centroids.numpy(), keep_zero=nonzero is not None))
        clustered = centroids.numpy()[nearest]
        return clustered if nonzero is None else np.where(nonzero, clustered, 0)


def initial_levels(weights: np.ndarray, levels: int) -> np.ndarray:
    """At most `levels` numbers, ascending; 0 among them where a weight is 0."""
    values = np.unique(weights)
    if len(values) <= levels:
        return values
    config = load_tfmot(f"{CLUSTERING}.cluster_config").CentroidInitialization
    factory = load_tfmot(f"{CLUSTERING}.clustering_centroids").CentroidsInitializerFactory
    initializer = factory.get_centroid_initializer(config.KMEANS_PLUS_PLUS)
    centroids = initializer(weights, levels, preserve_sparsity=not weights.all()).get_cluster_centroids()
    return np.unique(centroids.numpy())


def means(weights: np.ndarray, nearest: np.ndarray, centroids: np.ndarray, *, keep_zero: bool) -> np.ndarray:
    """The mean of the weights of each cluster; the old centroid of an empty one. keep_zero: 0 stays 0."""
    counts = np.bincount(nearest.ravel(), minlength=len(centroids))
    sums = np.bincount(nearest.ravel(), weights.ravel(), minlength=len(centroids))
    moved = np.where(counts > 0, sums / np.maximum(counts, 1), centroids)
    return np.where(keep_zero & (centroids == 0), 0, moved).astype(centroids.dtype)
