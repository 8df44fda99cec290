"""What AutoAugment does to a picture: the operations of PIL by which the policy is defined, in TensorFlow.

Keras has layers of the same names, which draw their magnitude from a range and round otherwise; the policy gives one
magnitude to each. Pictures are int32 in [0, 255], `(height, width, 3)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import tensorflow as tf

GREY = 128  # what comes in from beyond the border
LUMINANCE = (19595, 38470, 7471)  # of 65536: PIL's weights of red, green and blue
SMOOTH = ((1, 1, 1), (1, 5, 1), (1, 1, 1))

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (picture, magnitude) -> picture


def moved(image: tf.Tensor, transform: list[tf.Tensor | float]) -> tf.Tensor:
    """The picture whose pixel (x, y) is that at (a x + b y + c, d x + e y + f), the nearest."""
    height, width = image.shape[:2]
    result = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack([tf.cast(value, tf.float32) for value in (*transform, 0.0, 0.0)])[None],
        output_shape=[height, width],
        fill_value=float(GREY),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(result[0], image.shape)


def shear_x(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return moved(image, [1, magnitude, 0, 0, 1, 0])


def shear_y(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return moved(image, [1, 0, 0, magnitude, 1, 0])


def translate_x(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """By a share of the width, to the left."""
    return moved(image, [1, 0, tf.round(magnitude * image.shape[1]), 0, 1, 0])


def translate_y(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """By a share of the height, upwards."""
    return moved(image, [1, 0, 0, 0, 1, tf.round(magnitude * image.shape[0])])


def rotate(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """About the middle, counter-clockwise, by degrees."""
    angle = magnitude * (3.14159265358979 / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    y, x = ((size - 1) / 2 for size in image.shape[:2])
    return moved(image, [cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y])


def brightness(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _blend(tf.zeros_like(image), image, magnitude)


def color(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _blend(_luminance(image), image, magnitude)


def contrast(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(tf.cast(_luminance(image), tf.float32))
    return _blend(tf.fill(tf.shape(image), tf.cast(tf.floor(mean + 0.5), tf.int32)), image, magnitude)


def sharpness(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    kernel = tf.tile(tf.constant(SMOOTH, tf.float32)[..., None, None] / 13, (1, 1, 3, 1))
    inner = tf.nn.depthwise_conv2d(tf.cast(image, tf.float32)[None], kernel, (1, 1, 1, 1), "VALID")[0]
    inner = tf.cast(tf.floor(inner + 0.5), tf.int32)
    # The border stays what it is.
    smooth = tf.pad(inner - image[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0))) + image
    return _blend(smooth, image, magnitude)


def posterize(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """Keeps so many bits, the highest."""
    step = tf.cast(2 ** (8 - tf.cast(magnitude, tf.int32)), tf.int32)
    return image // step * step


def solarize(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """Inverts from the magnitude on."""
    return tf.where(tf.cast(image, tf.float32) >= magnitude, 255 - image, image)


def invert(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return 255 - image


def auto_contrast(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """Each channel stretched from 0 to 255."""
    low, high = tf.reduce_min(image, (0, 1)), tf.reduce_max(image, (0, 1))
    stretched = (image - low) * 255 // tf.maximum(high - low, 1)
    return tf.where(high > low, stretched, image)


def equalize(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """Each channel such that its values are equally frequent."""
    return tf.stack([_equalized(image[..., channel]) for channel in range(3)], axis=-1)


def _equalized(channel: tf.Tensor) -> tf.Tensor:
    histogram = tf.math.bincount(tf.reshape(channel, (-1,)), minlength=256, maxlength=256)
    step = (tf.reduce_sum(histogram) - histogram[tf.reduce_max(channel)]) // 255
    table = (tf.cumsum(histogram, exclusive=True) + step // 2) // tf.maximum(step, 1)
    return tf.where(step > 0, tf.gather(tf.minimum(table, 255), channel), channel)


def _luminance(image: tf.Tensor) -> tf.Tensor:
    """Grey, in three channels."""
    grey = (tf.reduce_sum(image * tf.constant(LUMINANCE), axis=-1, keepdims=True) + 0x8000) // 0x10000
    return tf.tile(grey, (1, 1, 3))


def _blend(degenerate: tf.Tensor, image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """From the degenerate picture (magnitude -1) past the picture itself (0)."""
    start, end = tf.cast(degenerate, tf.float32), tf.cast(image, tf.float32)
    return tf.cast(tf.clip_by_value(start + (1 + magnitude) * (end - start), 0, 255), tf.int32)


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "ShearX": shear_x,
        "ShearY": shear_y,
        "TranslateX": translate_x,
        "TranslateY": translate_y,
        "Rotate": rotate,
        "Brightness": brightness,
        "Color": color,
        "Contrast": contrast,
        "Sharpness": sharpness,
        "Posterize": posterize,
        "Solarize": solarize,
        "AutoContrast": auto_contrast,
        "Equalize": equalize,
        "Invert": invert,
    }
)
