"""Images of the field: digits inside scikit-learn, IDX files, and what tensorflow-datasets prepares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .dataset import Dataset
from .idx import load_idx, unit

IMAGE_SETS = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100")
IMAGENET = "imagenet2012"
DIGITS_MAX = 16  # scikit-learn's digits count the black pixels of 4x4 blocks
TEST_SHARE = 0.25  # of the digits, which come without a split


def load_images(name: str, *, data_dir: str | Path | None = None, seed: int = 0) -> Dataset:
    """Loads a set of images that fits into memory.

    Args:
        name: "digits", "mnist", "fashion_mnist", "cifar10" or "cifar100".
        data_dir: folder of IDX files, or where tensorflow-datasets keeps its data. Default: TFDS's own, into which it
            downloads what is not there.
        seed: of the split of the digits; the others come split.

    Raises:
        ValueError: if the name is none of these.
        OSError: if the data is not there and cannot be downloaded. Its text has the command that gets it.
    """
    if name not in IMAGE_SETS:
        raise ValueError(f"The dataset must be one of {', '.join(IMAGE_SETS)}. Received: {name!r}")
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

    splits = read_tfds(name, ["train", "test"], data_dir, batch_size=-1)
    (train_images, train_labels), (test_images, test_labels) = tfds.as_numpy(splits)
    return Dataset(name, unit(train_images), train_labels, unit(test_images), test_labels)


def load_imagenet(split: str, *, data_dir: str | Path | None = None, shuffle_files: bool = False) -> Any:
    """ImageNet-1k, read from the disk as it is used: a `tf.data.Dataset` of (uint8 image, label), each its own size.

    tensorflow-datasets cannot download it: ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar of image-net.org must
    lie in `<data_dir>/downloads/manual`.

    Args:
        split: "train" or "validation", or a part as TFDS writes it: "train[:1%]".
        data_dir: where tensorflow-datasets keeps its data. Default: TFDS's own.
        shuffle_files: in another order each time; for training.

    Raises:
        OSError: if it is not there. Its text has the command that prepares it.
    """
    return read_tfds(IMAGENET, split, data_dir, shuffle_files=shuffle_files)


def read_tfds(name: str, split: Any, data_dir: str | Path | None, **options: Any) -> Any:
    """`tfds.load` of (sample, label), whose failures say how to get the data."""
    import tensorflow_datasets as tfds

    try:
        return tfds.load(name, split=split, data_dir=data_dir, as_supervised=True, **options)
    except (OSError, AssertionError) as error:  # TFDS asserts that archives to be fetched by hand are there
        folder = f" --data_dir={data_dir}" if data_dir else ""
        raise OSError(
            f"tensorflow-datasets could not read or download {name!r}: {error}. To prepare it: tfds build "
            f"{name}{folder}. Or give a folder that holds it prepared, or its four IDX files, as data_dir (--data-dir)."
        ) from error
