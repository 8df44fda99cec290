"""Augmentation in tf.data, by a seed: Keras's layers image by image, AutoAugment, flips and rolls of event frames."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

IMAGENET_SIZE, IMAGENET_SHORTER = 224, 256
DTYPE = "float32"  # of Keras's layers, whatever the policy of the model's

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (image, int32 seed `(2,)`) -> image


def augmented(dataset: tf.data.Dataset, *augmentations: Augmentation, seed: int) -> tf.data.Dataset:
    """A dataset of (image, label), unbatched, whose images go through the augmentations in turn.

    Every image of every epoch has a seed of its own, which follows from `seed` and its place: two runs see the same
    images, however many threads compute them.

    Args:
        dataset: of (image, label); images have a static shape.
        augmentations: functions (image, seed) -> image, such as those of this module.
        seed: Integer.
    """
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)

    def augment(sample: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = sample
        number = tf.cast(number % 2**31, tf.int32)
        for position, augmentation in enumerate(augmentations):
            image = augmentation(image, tf.stack([number, position << 16]))
        return image, label

    return tf.data.Dataset.zip((dataset, seeds)).map(augment, tf.data.AUTOTUNE, deterministic=True)


def by_layer(layer: keras.layers.Layer) -> Augmentation:
    """An augmentation layer of Keras for one image, its random numbers those of the sample's seed.

    Called on a batch, RandomCrop and RandAugment do the same to all of its images; their own generators count how often
    they were asked, which depends on threads.
    """

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        layer.generator = _SeedOfSample(seed)
        images = image[None]
        transformation = layer.get_random_transformation(images, training=True)
        return layer.transform_images(images, transformation, training=True)[0]

    return augment


def padded_crop(padding: int = 4) -> Augmentation:
    """Zeros around the image, then a random part of its own size (Keras's RandomCrop)."""
    layer = keras.layers.RandomCrop(1, 1, dtype=DTYPE)  # made here, since functions of tf.data may make no variables

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width, _ = image.shape
        layer.height, layer.width = height, width
        padded = tf.pad(image, ((padding, padding), (padding, padding), (0, 0)))
        cropped = by_layer(layer)(padded, seed)
        return tf.ensure_shape(cropped, image.shape)

    return augment


def flip() -> Augmentation:
    """Left to right, every other image (Keras's RandomFlip)."""
    flipped = by_layer(keras.layers.RandomFlip("horizontal", dtype=DTYPE))

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(flipped(image, seed), image.shape)

    return augment


def rand_augment(operations: int = 2, factor: float = 0.5) -> Augmentation:
    """Keras's RandAugment on images in [0, 1]."""
    changed = by_layer(keras.layers.RandAugment(value_range=(0, 1), num_ops=operations, factor=factor, dtype=DTYPE))

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(changed(image, seed), image.shape)

    return augment


def cutout(size: int = 16) -> Augmentation:
    """A square of zeros at a random place of every image (Keras's RandomErasing).

    It lies within the image, where that of [DeVries & Taylor, 2017](https://arxiv.org/abs/1708.04552) may lie half
    outside.
    """
    layer = keras.layers.RandomErasing((1.0, 1.0), fill_value=0, value_range=(0, 1), dtype=DTYPE)

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width, _ = image.shape
        if height != width or not 0 < size <= height:
            raise ValueError(
                f"Cutout takes square images, and a `size` from 1 to theirs. Received: size={size}, {height}x{width} "
                "pixels"
            )
        layer.scale = (size * size / (height * width),) * 2
        return tf.ensure_shape(by_layer(layer)(image, seed), image.shape)

    return augment


def flip_events(frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Every other recording, `(timesteps, height, width, 1)`, left to right: all of its frames."""
    return tf.where(tf.random.stateless_uniform((), seed) < 0.5, tf.reverse(frames, axis=(2,)), frames)


def roll_events(distance: int = 5) -> Augmentation:
    """All frames of a recording rolled by up to so many pixels in both directions; what leaves comes in opposite."""

    def augment(frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shift = tf.random.stateless_uniform((2,), seed, -distance, distance + 1, tf.int32)
        return tf.roll(frames, shift, axis=(1, 2))

    return augment


def random_resized_crop(size: int = IMAGENET_SIZE) -> Augmentation:
    """A random part, 8 to 100 % of a uint8 image and 3:4 to 4:3, as a float32 image in [0, 1] of `size` pixels."""

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(image),
            tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed,
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(0.08, 1.0),
        )
        return tf.ensure_shape(tf.image.resize(tf.slice(image, begin, extent), (size, size)) / 255, (size, size, 3))

    return augment


def center_crop(image: tf.Tensor, size: int = IMAGENET_SIZE, shorter: int = IMAGENET_SHORTER) -> tf.Tensor:
    """The middle of a uint8 image whose shorter side is made `shorter`: float32 in [0, 1], `(size, size, 3)`."""
    sides = tf.shape(image)[:2]
    resized = tf.image.resize(image, tf.maximum(sides * shorter // tf.reduce_min(sides), size))
    offset = (tf.shape(resized)[:2] - size) // 2
    return tf.image.crop_to_bounding_box(resized, offset[0], offset[1], size, size) / 255


class _SeedOfSample(keras.random.SeedGenerator):
    """A seed that is a tensor, for Keras's layers: as many numbers as are asked for, and no state."""

    def __init__(self, seed: tf.Tensor) -> None:
        self._seed, self._draws = seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        self._draws += 1
        return self._seed + tf.constant([0, self._draws])
