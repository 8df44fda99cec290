"""Real images for the examples: digits, Fashion-MNIST and CIFAR-10, from packages, TFDS or IDX files."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NAMES = ("digits", "fashion_mnist", "cifar10")
IDX_UINT8 = 0x08  # the third byte of an IDX file: the type of its values
DIGITS_MAX = 16  # scikit-learn's digits count the black pixels of 4x4 blocks
TEST_SHARE = 0.25  # of the digits, which come without a split


@dataclass(frozen=True)
class Dataset:
    """Images (float32 in [0, 1], `(samples, height, width, channels)`) and integer labels, split."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

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


def load(name: str, *, data_dir: str | Path | None = None, seed: int = 0) -> Dataset:
    """Loads a dataset by name.

    Args:
        name: "digits", "fashion_mnist" or "cifar10".
        data_dir: folder of IDX files, or where tensorflow-datasets keeps its data. Default: TFDS's own.
        seed: of the split of the digits.
    """
    if name not in NAMES:
        raise ValueError(f"The dataset must be one of {', '.join(NAMES)}. Received: {name!r}")
    if name == "digits":
        return load_digits(seed=seed)
    if data_dir is not None and any(Path(data_dir).glob("*-idx?-ubyte*")):
        return load_idx(name, data_dir)
    return load_tfds(name, data_dir)


def load_digits(*, seed: int = 0) -> Dataset:
    """The 1,797 digits of 8 x 8 pixels inside scikit-learn; a quarter of each class is for testing."""
    from sklearn import datasets, model_selection

    images, labels = datasets.load_digits(return_X_y=True)
    images = (images / DIGITS_MAX).astype("float32").reshape(-1, 8, 8, 1)
    train_images, test_images, train_labels, test_labels = model_selection.train_test_split(
        images, labels, test_size=TEST_SHARE, random_state=seed, stratify=labels
    )
    return Dataset("digits", train_images, train_labels, test_images, test_labels)


def load_tfds(name: str, data_dir: str | Path | None = None) -> Dataset:
    """A dataset of tensorflow-datasets, downloaded on first use."""
    import tensorflow_datasets as tfds

    try:
        splits = tfds.load(name, split=["train", "test"], data_dir=data_dir, batch_size=-1, as_supervised=True)
    except OSError as error:
        raise OSError(
            f"tensorflow-datasets could not read or download {name!r}: {error}. Give a folder that holds it "
            "prepared, or its four IDX files, with --data-dir."
        ) from error
    (train_images, train_labels), (test_images, test_labels) = tfds.as_numpy(splits)
    return Dataset(name, _unit(train_images), train_labels, _unit(test_images), test_labels)


def load_idx(name: str, data_dir: str | Path) -> Dataset:
    """A dataset in four files as MNIST's, plain or compressed: `train-images-idx3-ubyte.gz`, ..."""
    arrays = [
        read_idx(_idx_file(Path(data_dir), f"{split}-{kind}-ubyte"))
        for split in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    train_images, train_labels, test_images, test_labels = arrays
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        if len(images) != len(labels):
            raise ValueError(f"Images and labels must be equally many. Received: {len(images)} and {len(labels)}")
    return Dataset(name, _unit(train_images)[..., None], train_labels, _unit(test_images)[..., None], test_labels)


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file of bytes: two zeros, the type, the number of axes, their lengths, the values.

    Raises:
        ValueError: if the file does not begin like one, or is shorter or longer than it says.
    """
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UINT8:
        raise ValueError(f"An IDX file of bytes begins with 00 00 08. Received: {content[:3].hex(' ')} in {path}")
    axes = content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(f"An IDX file with {axes} axes begins with {header} bytes. Received: {len(content)} in {path}")
    shape = struct.unpack(f">{axes}I", content[4:header])
    values = np.frombuffer(content, np.uint8, offset=header)
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"An IDX file of shape {shape} holds that many bytes. Received: {values.size} in {path}")
    return values.reshape(shape)


def _idx_file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(f"The folder of IDX files must hold {name} or {name}.gz. Received: {folder}")


def _unit(images: np.ndarray) -> np.ndarray:
    return images.astype("float32") / 255
