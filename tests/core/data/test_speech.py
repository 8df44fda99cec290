"""MFCCs against NumPy and SciPy, and Speech Commands in the format of tensorflow-datasets."""

import numpy as np
import pytest
from scipy.fft import dct

from keras_ternary_spike.data import load_speech_commands, mfcc


def mel(hertz):
    return 1127 * np.log(1 + hertz / 700)


def expected(clip):
    """Frames, Hann window, magnitudes, triangles on the mel scale, logarithm, DCT-II: one coefficient after another."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(640) / 640)
    frames = np.stack([clip[start : start + 640] * window for start in range(0, 16000 - 639, 320)])
    magnitudes = np.abs(np.fft.rfft(frames, 1024))
    edges, bins = np.linspace(mel(20), mel(4000), 42), mel(np.linspace(0, 8000, 513))
    triangles = [
        np.clip(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0, None)
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    triangles = np.array(triangles)
    triangles[:, 0] = 0  # the constant is no tone
    return dct(np.log(magnitudes @ triangles.T + 1e-6), norm=None)[:, :10] / np.sqrt(2 * 40)


def test_coefficients_are_those_of_the_definition(rng):
    clip = rng.normal(0, 0.1, 16000).astype("float32")
    found = mfcc(clip[None])
    assert found.shape == (1, 49, 10, 1)
    np.testing.assert_allclose(found[0, ..., 0], expected(clip), rtol=1e-3, atol=1e-3)


def test_integers_are_what_floats_are_and_short_clips_end_in_silence(rng):
    clip = rng.integers(-32768, 32768, (1, 9000), np.int16)
    padded = np.pad(clip[0], (0, 7000)) / 32768
    np.testing.assert_allclose(mfcc(clip), mfcc(padded[None].astype("float32")), atol=1e-4)


def test_speech_commands_are_read_as_tensorflow_datasets_stores_them(rng, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    tf = pytest.importorskip("tensorflow")
    builder = tfds.builder("speech_commands", data_dir=tmp_path)
    clips = {"train": rng.integers(-999, 999, (3, 12000)), "test": rng.integers(-999, 999, (2, 16000))}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="speech_commands",
        version=str(builder.version),
        features=builder.info.features,
        split_datasets={
            split: tf.data.Dataset.from_tensor_slices({"audio": audio, "label": np.arange(len(audio)) + 5})
            for split, audio in clips.items()
        },
        data_dir=tmp_path,
    )
    data = load_speech_commands(data_dir=tmp_path)
    assert data.train_images.shape == (3, 49, 10, 1) and sorted(data.test_labels) == [5, 6]
    means = sorted(mfcc(clips["test"].astype(np.int16)).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(sorted(data.test_images.mean(axis=(1, 2, 3))), means, rtol=1e-4)
