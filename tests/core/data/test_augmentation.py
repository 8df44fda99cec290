"""Augmentations do what they say, to images and recordings, and twice the same by the same seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike.data import augmentation
from keras_ternary_spike.data.augmentation import augmented

SEEDS = range(12)


def results(augment, image):
    augment = tf.function(augment)
    return [augment(tf.constant(image), tf.constant([seed, 0])).numpy() for seed in SEEDS]


@pytest.fixture
def image(rng):
    """No pixel is zero, and no two are equal."""
    return (1 + rng.permutation(8 * 10 * 3).reshape(8, 10, 3)).astype("float32") / 241


def test_crops_are_parts_of_the_image_with_zeros_around(image):
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    places = set()
    for crop in results(augmentation.padded_crop(4), image):
        found = [(y, x) for y in range(9) for x in range(9) if np.array_equal(padded[y : y + 8, x : x + 10], crop)]
        assert len(found) == 1
        places.update(found)
    assert len(places) > 6


def test_flips_leave_or_mirror(image):
    kinds = {"left": image.tobytes(), "mirrored": image[:, ::-1].tobytes()}
    assert {made.tobytes() for made in results(augmentation.flip(), image)} == {*kinds.values()}


def test_cutout_is_one_square_of_zeros_of_the_size(image):
    image, places = image[:, :8], set()
    for made in results(augmentation.cutout(4), image):
        rows, columns = np.nonzero(made[..., 0] == 0)
        assert len(rows) == 16 and np.ptp(rows) == np.ptp(columns) == 3
        kept = made != 0
        np.testing.assert_array_equal(made[kept], image[kept])
        places.add((rows[0], columns[0]))
    assert len(places) > 4


def test_a_square_in_what_is_no_square_or_smaller_is_refused(image):
    for size, pixels in ((9, image[:, :8]), (4, image)):
        with pytest.raises(ValueError, match=f"square images.*Received: size={size}, 8x{pixels.shape[1]} pixels"):
            augmentation.cutout(size)(tf.constant(pixels), tf.constant([0, 0]))


def test_rand_augment_keeps_the_range_and_follows_the_seed(image):
    augment = augmentation.rand_augment(1)
    made = results(augment, image)
    np.testing.assert_allclose(made[3], augment(tf.constant(image), tf.constant([3, 0])), atol=1e-5)
    assert np.min(made) >= -1e-6 and np.max(made) <= 1 + 1e-6
    assert len({each.tobytes() for each in made}) > 6


def test_images_stay_float32_where_the_model_computes_in_float16(image):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        augmentations = [augmentation.padded_crop(4), augmentation.flip(), augmentation.cutout(4)]
        made = [tf.function(augment)(tf.constant(image[:, :8]), tf.constant([0, 0])) for augment in augmentations]
    finally:
        keras.config.set_dtype_policy(policy)
    assert [each.dtype for each in made] == [tf.float32] * 3


def test_recordings_are_flipped_as_a_whole(rng):
    frames = rng.integers(-1, 2, (3, 4, 5, 1)).astype(np.int8)
    made = {each.tobytes() for each in results(augmentation.flip_events, frames)}
    assert made == {frames.tobytes(), frames[:, :, ::-1].tobytes()}


def test_recordings_are_rolled_as_a_whole(rng):
    frames = rng.integers(-1, 2, (3, 7, 8, 1)).astype(np.int8)
    rolls = {np.roll(frames, (y, x), (1, 2)).tobytes(): (y, x) for y in range(-2, 3) for x in range(-2, 3)}
    found = {rolls[each.tobytes()] for each in results(augmentation.roll_events(2), frames)}
    assert len(found) > 6


def test_imagenet_crops_have_the_size_and_the_range(rng):
    image = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
    made = results(augmentation.random_resized_crop(16), image)
    assert np.shape(made) == (12, 16, 16, 3) and np.min(made) >= 0 and np.max(made) <= 1
    assert len({each.tobytes() for each in made}) == 12


def test_the_middle_of_an_image_of_the_right_size_is_cut_out_exactly(rng):
    image = rng.integers(0, 256, (20, 32, 3)).astype(np.uint8)
    made = augmentation.center_crop(tf.constant(image), size=16, shorter=20)
    np.testing.assert_allclose(made, image[2:18, 8:24] / np.float32(255), rtol=1e-6)


def epochs(rng_images, seed):
    """Two epochs of images and labels."""
    dataset = tf.data.Dataset.from_tensor_slices((rng_images, np.arange(len(rng_images))))
    dataset = augmented(dataset, augmentation.padded_crop(2), augmentation.flip(), augmentation.cutout(3), seed=seed)
    return [list(dataset.as_numpy_iterator()) for _ in range(2)]


def test_two_runs_see_the_same_images_and_two_epochs_do_not(rng):
    images = rng.random((20, 8, 8, 3)).astype("float32")
    one, other, another = epochs(images, 7), epochs(images, 7), epochs(images, 8)
    for epoch in range(2):
        assert [label for _, label in one[epoch]] == list(range(20))
        np.testing.assert_array_equal([image for image, _ in one[epoch]], [image for image, _ in other[epoch]])
    assert not np.array_equal([image for image, _ in one[0]], [image for image, _ in one[1]])
    assert not np.array_equal([image for image, _ in one[0]], [image for image, _ in another[0]])
