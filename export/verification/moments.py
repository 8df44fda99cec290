"""Sums over the numbers of a file and of the Keras model: how far they are apart, and whether they move together."""

from __future__ import annotations

import math

import numpy as np

from .report import Distance


class Moments:
    """Sums over pairs of numbers, of which the error and the correlation follow."""

    def __init__(self) -> None:
        self.count = 0
        self.square = 0.0  # of the difference
        self.shift: tuple[float, float] | None = None  # taken off first: far from 0, squares cancel
        self.sums, self.products = np.zeros(2), np.zeros((2, 2))

    def add(self, values: np.ndarray, expected: np.ndarray) -> None:
        pair = np.stack([values.ravel(), expected.ravel()]).astype(np.float64)
        self.square += float(((pair[0] - pair[1]) ** 2).sum())
        self.shift = tuple(pair.mean(axis=1)) if self.shift is None else self.shift
        pair -= np.array(self.shift)[:, None]
        self.count += pair.shape[1]
        self.sums += pair.sum(axis=1)
        self.products += pair @ pair.T

    def distance(self) -> Distance:
        covariance = self.products / self.count - np.outer(self.sums, self.sums) / self.count**2
        spread = math.sqrt(max(covariance[0, 0], 0) * max(covariance[1, 1], 0))
        correlation = float(covariance[0, 1] / spread) if spread > 0 else None
        return Distance(math.sqrt(self.square / self.count), correlation)
