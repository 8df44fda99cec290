"""Labelled samples, split into those to train on and those to test on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """Samples and integer labels, split.

    Images are float32 in [0, 1], `(samples, height, width, channels)`; frames of events int8 in {-1, 0, 1},
    `(samples, timesteps, height, width, 1)`; both are called images here.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self) -> None:
        for images, labels in ((self.train_images, self.train_labels), (self.test_images, self.test_labels)):
            if len(images) != len(labels):
                raise ValueError(f"Images and labels must be equally many. Received: {len(images)} and {len(labels)}")

    @property
    def classes(self) -> int:
        return int(self.train_labels.max()) + 1

    def first(self, samples: int) -> Dataset:
        """The first `samples` images of each split."""
        return Dataset(
            self.name,
            self.train_images[:samples],
            self.train_labels[:samples],
            self.test_images[:samples],
            self.test_labels[:samples],
        )


def split_by_class(labels: np.ndarray, *, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to test on, sorted: of every class the same share, chosen by the seed.

    Args:
        labels: integers, `(samples,)`.
        test_share: Float between 0 and 1, both excluded; of a class at least one sample lies on either side.
        seed: Integer.

    Raises:
        ValueError: if the share is out of range, or a class has fewer than two samples.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"`test_share` must lie between 0 and 1, both excluded. Received: test_share={test_share}")
    rng = np.random.default_rng(seed)
    test = [_chosen(np.flatnonzero(labels == label), label, test_share, rng) for label in np.unique(labels)]
    test_indices = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(labels)), test_indices), test_indices


def _chosen(indices: np.ndarray, label: int, share: float, rng: np.random.Generator) -> np.ndarray:
    if len(indices) < 2:
        raise ValueError(f"A class needs at least two samples to be split. Received: {len(indices)} of class {label}")
    count = min(max(1, round(len(indices) * share)), len(indices) - 1)
    return rng.permutation(indices)[:count]
