"""The data of the examples: digits, Fashion-MNIST and CIFAR-10."""

from __future__ import annotations

from pathlib import Path

from keras_ternary_spike.data import Dataset, load_images

NAMES = ("digits", "fashion_mnist", "cifar10")


def load(name: str, *, data_dir: str | Path | None = None, seed: int = 0) -> Dataset:
    """See `load_images`; here only what the examples have settings for."""
    if name not in NAMES:
        raise ValueError(f"The dataset must be one of {', '.join(NAMES)}. Received: {name!r}")
    return load_images(name, data_dir=data_dir, seed=seed)
