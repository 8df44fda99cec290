"""AutoAugment: each operation against PIL or NumPy, the policy, and what a seed decides."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from keras_ternary_spike.data import auto_augment
from keras_ternary_spike.data.auto_augment import CIFAR10_POLICY, magnitude
from keras_ternary_spike.data.pixel_operations import OPERATIONS


@pytest.fixture
def picture(rng):
    return rng.integers(20, 200, (12, 16, 3))


def apply(name, picture, strength):
    result = OPERATIONS[name](tf.constant(picture, tf.int32), tf.constant(strength, tf.float32)).numpy()
    assert result.shape == picture.shape and result.min() >= 0 and result.max() <= 255
    return result


def pil(function, picture):
    return np.array(function(Image.fromarray(picture.astype(np.uint8)))).astype(int)


@pytest.mark.parametrize("name", ["Brightness", "Color", "Contrast", "Sharpness"])
@pytest.mark.parametrize("strength", [-0.875, -0.5, 0.25, 0.75])
def test_enhancements_are_those_of_pil(picture, name, strength):
    expected = pil(lambda image: getattr(ImageEnhance, name)(image).enhance(1 + strength), picture)
    np.testing.assert_array_equal(apply(name, picture, strength), expected)


@pytest.mark.parametrize(
    ("name", "strength", "function"),
    [
        ("Posterize", 5, lambda image: ImageOps.posterize(image, 5)),
        ("Solarize", 130, lambda image: ImageOps.solarize(image, 130)),
        ("Equalize", 0, ImageOps.equalize),
        ("Invert", 0, ImageOps.invert),
    ],
)
def test_operations_on_values_are_those_of_pil(picture, name, strength, function):
    np.testing.assert_array_equal(apply(name, picture, strength), pil(function, picture))


def test_contrast_is_stretched_as_by_pil_but_for_its_rounding(picture):
    # PIL cuts off a product of floats, which for a whole number may be one less.
    assert np.abs(apply("AutoContrast", picture, 0) - pil(ImageOps.autocontrast, picture)).max() <= 1


@pytest.mark.parametrize("name", ["AutoContrast", "Equalize"])
def test_a_picture_of_one_value_stays_what_it_is(name):
    flat = np.full((12, 16, 3), 77)
    np.testing.assert_array_equal(apply(name, flat, 0), flat)


@pytest.mark.parametrize(
    ("name", "strength", "source"),
    [
        ("ShearX", 0.3, lambda x, y: (x + 0.3 * y, y)),
        ("ShearY", -0.2, lambda x, y: (x, y - 0.2 * x)),
        ("TranslateX", 0.25, lambda x, y: (x + 4, y)),
        ("TranslateY", -0.25, lambda x, y: (x, y - 3)),
    ],
)
def test_moved_pictures_are_the_nearest_pixels_and_grey_beyond(picture, name, strength, source):
    expected = np.full_like(picture, 128)
    for y in range(12):
        for x in range(16):
            column, row = (int(np.floor(value + 0.5)) for value in source(x, y))
            if 0 <= row < 12 and 0 <= column < 16:
                expected[y, x] = picture[row, column]
    np.testing.assert_array_equal(apply(name, picture, strength), expected)


def test_a_quarter_turn_is_that_of_numpy(rng):
    square = rng.integers(0, 256, (9, 9, 3))
    np.testing.assert_array_equal(apply("Rotate", square, 90), np.rot90(square))
    np.testing.assert_array_equal(apply("Rotate", square, 0), square)


def test_levels_reach_from_nothing_to_the_papers_largest_magnitudes():
    assert [magnitude(name, 0) for name in ("ShearX", "Rotate", "Color", "Solarize", "Posterize")] == [0, 0, 0, 256, 8]
    assert [magnitude(name, 9) for name in ("ShearX", "Rotate", "Color", "Solarize", "Posterize")] == [
        *(0.3, 30, 0.9),
        *(0, 4),
    ]
    assert magnitude("TranslateX", 9) == pytest.approx(150 / 331)


def test_the_policy_has_25_pairs_of_known_operations():
    assert len(CIFAR10_POLICY) == 25
    assert {name for pair in CIFAR10_POLICY for name, _, _ in pair} <= {*OPERATIONS}
    assert all(0 <= probability <= 1 and 0 <= level <= 9 for pair in CIFAR10_POLICY for _, probability, level in pair)


def test_the_seed_decides_and_values_stay_in_range(rng):
    image = rng.integers(20, 180, (16, 16, 3)).astype("float32") / 255
    augment = tf.function(auto_augment)
    made = [augment(tf.constant(image), tf.constant([number, 0])).numpy() for number in range(40)]
    np.testing.assert_array_equal(made[7], augment(tf.constant(image), tf.constant([7, 0])))
    assert np.min(made) >= 0 and np.max(made) <= 1 and made[0].dtype == np.float32
    assert len({each.tobytes() for each in made}) > 12


def test_grey_pictures_are_refused(rng):
    with pytest.raises(ValueError, match=r"red, green and blue.*Received: shape \(8, 8, 1\).*tf.repeat"):
        auto_augment(tf.zeros((8, 8, 1)), tf.constant([0, 1]))
