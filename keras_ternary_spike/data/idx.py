"""IDX files, as MNIST's and Fashion-MNIST's are."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from .dataset import Dataset

IDX_UINT8 = 0x08  # the third byte of an IDX file: the type of its values


def load_idx(name: str, data_dir: str | Path) -> Dataset:
    """A dataset in four files as MNIST's, plain or compressed: `train-images-idx3-ubyte.gz`, ...

    Raises:
        FileNotFoundError: if one is missing.
        ValueError: if one is no IDX file of bytes, or images and labels are not equally many.
    """
    arrays = [
        read_idx(_idx_file(Path(data_dir), f"{split}-{kind}-ubyte"))
        for split in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset(name, unit(train_images)[..., None], train_labels, unit(test_images)[..., None], test_labels)


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


def unit(images: np.ndarray) -> np.ndarray:
    """Bytes as float32 in [0, 1]."""
    return images.astype("float32") / 255
