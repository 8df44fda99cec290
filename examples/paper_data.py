"""What a row of the paper is trained and tested on, as batches; and made images for a dry run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ternary_spike.data import Dataset, augmented, center_crop, load_events, load_imagenet, load_images
from paper_rows import Row

IMAGENET_TRAIN, SHUFFLED = 1_281_167, 10_000
MADE = 8  # images of a dry run: one batch
CERTIFIED, CERTIFIED_DRY = 20, 2  # samples of the certificate


@dataclass(frozen=True)
class Batches:
    """train: of augmented samples and labels, whole batches only; test: of samples as they are."""

    train: tf.data.Dataset
    test: tf.data.Dataset
    steps: int  # batches of an epoch
    samples: np.ndarray  # some of the test's


def batches(row: Row, *, data_dir: str | Path | None, seed: int, dry: bool) -> Batches:
    """Raises OSError with the command that gets the data, where it is missing; ValueError where there is too little."""
    if row.data == "imagenet" and not dry:
        return _imagenet(row, data_dir, seed)
    data = made(row, seed) if dry else _loaded(row, data_dir, seed)
    batch_size = MADE if dry else row.source.recipe.batch_size
    steps = len(data.train_images) // batch_size
    if not steps:
        raise ValueError(f"Too few samples: a batch has {batch_size}. Received: {len(data.train_images)} to train on")
    train = tf.data.Dataset.from_tensor_slices((data.train_images, data.train_labels))
    train = train.shuffle(len(data.train_images), seed=seed)
    size = row.input_shape(small=dry)[-2]
    train = augmented(train, *row.source.recipe.augmentations(size), seed=seed).map(_as_floats)
    test = tf.data.Dataset.from_tensor_slices((data.test_images, data.test_labels))
    test = (test.map(_middle(size)) if row.data == "imagenet" else test).map(_as_floats)
    certified = test.take(CERTIFIED_DRY if dry else CERTIFIED)
    samples = np.stack([sample for sample, _ in certified.as_numpy_iterator()])
    return Batches(_sharded(train, batch_size, whole=True), _sharded(test, batch_size), steps, samples)


def made(row: Row, seed: int) -> Dataset:
    """A handful of noise in the row's own format: bytes for ImageNet, signs for events, else floats in [0, 1]."""
    rng = np.random.default_rng(seed)
    shape = (2 * MADE, *row.input_shape(small=True))
    if row.source.events:
        images = rng.integers(-1, 2, shape).astype(np.int8)
    elif row.data == "imagenet":
        images = rng.integers(0, 256, shape).astype(np.uint8)
    else:
        images = rng.random(shape, np.float32)
    labels = rng.integers(0, row.source.classes, 2 * MADE)
    return Dataset("made", images[:MADE], labels[:MADE], images[MADE:], labels[MADE:])


def _loaded(row: Row, data_dir: str | Path | None, seed: int) -> Dataset:
    if not row.source.events:
        return load_images(row.data, data_dir=data_dir, seed=seed)
    if data_dir is None:
        raise ValueError(
            f"`--data-dir` must be the folder that tonic has downloaded {row.data} into. Received: none. To download: "
            "python -c \"import tonic; tonic.datasets.CIFAR10DVS('data')\""
        )
    return load_events(row.data, data_dir=data_dir, timesteps=row.timesteps, size=row.source.shape[:2], seed=seed)


def _imagenet(row: Row, data_dir: str | Path | None, seed: int) -> Batches:
    """From the disk, image by image."""
    recipe = row.source.recipe
    train = load_imagenet("train", data_dir=data_dir, shuffle_files=True).shuffle(SHUFFLED, seed=seed)
    size = row.source.shape[0]
    train = augmented(train, *recipe.augmentations(size), seed=seed)
    test = load_imagenet("validation", data_dir=data_dir).map(_middle(size), tf.data.AUTOTUNE)
    samples = np.stack([image for image, _ in test.take(CERTIFIED).as_numpy_iterator()])
    steps = IMAGENET_TRAIN // recipe.batch_size
    return Batches(_sharded(train, recipe.batch_size, whole=True), _sharded(test, recipe.batch_size), steps, samples)


def _middle(size: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Seven eighths of the shorter side, as of ImageNet's test images: 224 of 256."""
    return lambda image, label: (center_crop(image, size, size * 8 // 7), label)


def _as_floats(sample: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cast(sample, tf.float32), label


def _sharded(dataset: tf.data.Dataset, batch_size: int, *, whole: bool = False) -> tf.data.Dataset:
    """The same batches in the same order on every worker, of which each takes its share."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.batch(batch_size, drop_remainder=whole).prefetch(tf.data.AUTOTUNE).with_options(options)
