"""AutoAugment's policy for CIFAR-10: of 25 pairs of operations one, each applied with its probability."""

from __future__ import annotations

import tensorflow as tf

from .pixel_operations import OPERATIONS

LEVELS = 9
SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")
LARGEST = dict(zip(SIGNED, (0.3, 0.3, 150 / 331, 150 / 331, 30.0, 0.9, 0.9, 0.9, 0.9), strict=True))

# (operation, probability, level from 0 to 9), twice
CIFAR10_POLICY = (
    (("Invert", 0.1, 7), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 8), ("Equalize", 0.9, 2)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 5), ("Equalize", 0.5, 1)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 7), ("AutoContrast", 0.4, 8)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 3)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 8), ("Equalize", 0.6, 4)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 6)),
    (("AutoContrast", 0.8, 4), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 3)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 2), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 8), ("Invert", 0.1, 3)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 1)),
)


def magnitude(operation: str, level: int) -> float:
    """What a level means to an operation; signed ones take it or its negative.

    Args:
        operation: a key of `OPERATIONS`.
        level: Integer in [0, 9].

    Returns:
        shear: the tangent; translation: a share of the size; rotation: degrees; enhancements: distance from the
        picture; Posterize: bits kept; Solarize: the value from which to invert; for the others 0.
    """
    share = level / LEVELS
    if operation == "Posterize":
        return float(8 - round(4 * share))
    if operation == "Solarize":
        return 256 * (1 - share)
    return LARGEST.get(operation, 0.0) * share


def auto_augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """AutoAugment's policy for CIFAR-10 on one image.

    Args:
        image: float32 in [0, 1], `(height, width, 3)`, rounded to 255 steps.
        seed: int32 `(2,)`; the same seed makes the same image.

    Returns:
        float32 in [0, 1], of the same shape.

    Raises:
        ValueError: if the image has other than 3 channels.

    Reference: [Cubuk et al., 2019](https://arxiv.org/abs/1805.09501), table 7; operations are PIL's, the nearest pixel,
    grey beyond the border.
    """
    if image.shape[-1] != 3:
        raise ValueError(
            f"`auto_augment` takes images of red, green and blue, (height, width, 3). Received: shape {image.shape}. "
            "Repeat grey ones, tf.repeat(images, 3, axis=-1), or leave it out: flip, padded_crop and cutout take any."
        )
    names = list(OPERATIONS)
    draws = tf.random.stateless_uniform((5,), seed)
    pair = tf.cast(draws[0] * len(CIFAR10_POLICY), tf.int32)
    kinds = tf.constant([[names.index(name) for name, _, _ in pair] for pair in CIFAR10_POLICY])
    probabilities = tf.constant([[probability for _, probability, _ in pair] for pair in CIFAR10_POLICY])
    magnitudes = tf.constant([[magnitude(name, level) for name, _, level in pair] for pair in CIFAR10_POLICY])
    signed = tf.constant([[float(name in SIGNED) for name, _, _ in pair] for pair in CIFAR10_POLICY])
    picture = tf.cast(tf.round(image * 255), tf.int32)
    for number in range(2):
        negative = tf.where(draws[3 + number] < 0.5, signed[pair, number], 0.0)
        strength = magnitudes[pair, number] * (1 - 2 * negative)
        changed = _apply(kinds[pair, number], picture, strength)
        picture = tf.where(draws[1 + number] < probabilities[pair, number], changed, picture)
    return tf.cast(picture, tf.float32) / 255


def _apply(kind: tf.Tensor, picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    branches = [lambda operation=operation: operation(picture, strength) for operation in OPERATIONS.values()]
    return tf.switch_case(kind, branches)
