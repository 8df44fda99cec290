"""The images of a sweep: an .npz file of the user's, or scikit-learn's digits."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .config import Config

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
WAY_OUT = f"Write it with numpy.savez(path, {', '.join(f'{name}=...' for name in ARRAYS)})."
DIGITS_MAX = 16  # scikit-learn's digits count the black pixels of 4x4 blocks
TEST_SHARE = 0.25  # of the digits, which come without a split


@dataclass(frozen=True)
class Data:
    """Images (float32, `(samples, *shape)`) and labels (int64, `(samples,)`) of two splits."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def classes(self) -> int:
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @property
    def sha256(self) -> str:
        """Of all values and shapes, in order."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            array = getattr(self, name)
            digest.update(f"{name} {array.shape} ".encode() + array.tobytes())
        return digest.hexdigest()


def load_data(config: Config) -> Data:
    """Reads and checks the data. Raises: OSError, ValueError or ImportError, naming what is wrong and the way out."""
    settings = config.settings["data"]
    low, high = settings["input_range"]
    arrays = load_digits() if settings["file"] is None else read_npz(config.folder / settings["file"])
    check_arrays(arrays)
    for name in ("train_images", "test_images"):
        found = float(arrays[name].min()), float(arrays[name].max())
        if not low <= found[0] <= found[1] <= high:  # False for NaN too
            raise ValueError(
                f"{name} must lie within `data.input_range`, [{low:g}, {high:g}]. Received: values from {found[0]:g} "
                f"to {found[1]:g}. Set the range, or scale the images."
            )
    images = {name: np.asarray(arrays[name], np.float32) for name in ("train_images", "test_images")}
    labels = {name: np.asarray(arrays[name], np.int64) for name in ("train_labels", "test_labels")}
    return Data(**images, **labels)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path} is not an .npz file. {WAY_OUT}")
    try:
        with np.load(path, allow_pickle=False) as found:
            missing = [name for name in ARRAYS if name not in found]
            if missing:
                raise ValueError(f"missing {', '.join(missing)}. {WAY_OUT}")
            return {name: found[name] for name in ARRAYS}
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"Cannot read {path}: {error}") from error


def check_arrays(arrays: dict[str, np.ndarray]) -> None:
    """Raises: ValueError if the arrays are not images and labels of two splits."""
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.ndim < 2 or not len(images) or images.dtype.kind not in "biuf":
            raise ValueError(f"{split}_images must be numbers `(samples, *shape)`. Received: {_text(images)}")
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise ValueError(
                f"{split}_labels must be integers from 0, one for each of {len(images)} images. "
                f"Received: {_text(labels)}"
            )
    shapes = [arrays[name].shape[1:] for name in ("train_images", "test_images")]
    if shapes[0] != shapes[1]:
        raise ValueError(f"The images of both splits must have one shape. Received: {shapes[0]} and {shapes[1]}")


def load_digits() -> dict[str, np.ndarray]:
    """The 1,797 digits of 8 x 8 pixels inside scikit-learn; a quarter of each class is for testing."""
    if importlib.util.find_spec("sklearn") is None:
        raise ImportError(
            "The digits need scikit-learn. Install it with: pip install 'keras-ternary-spike[sweep]', or give "
            "`data.file`, an .npz file."
        )
    from sklearn import datasets, model_selection

    images, labels = datasets.load_digits(return_X_y=True)
    images = (images / DIGITS_MAX).reshape(-1, 8, 8, 1)
    split = model_selection.train_test_split(images, labels, test_size=TEST_SHARE, random_state=0, stratify=labels)
    return dict(zip(("train_images", "test_images", "train_labels", "test_labels"), split, strict=True))


def _text(array: np.ndarray) -> str:
    return f"dtype {array.dtype}, shape {array.shape}"
