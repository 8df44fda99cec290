"""Speech Commands as MFCC images or as frames of the audio frontend, what keyword spotters hear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .image_sets import read_tfds

RATE = 16_000  # samples a second
WINDOW, STRIDE = 640, 320  # samples: 40 and 20 ms
MEL_BINS, LOWEST, HIGHEST = 40, 20.0, 4000.0  # Hz
COEFFICIENTS = 10
LOG_FLOOR = 1e-6


def load_speech_commands(
    *, data_dir: str | Path | None = None, features: Callable[[np.ndarray], np.ndarray] | None = None
) -> Dataset:
    """Speech Commands of twelve classes, through tensorflow-datasets: float32 MFCCs, `(samples, 49, 10, 1)`.

    Clips of less than a second are padded with silence. The classes are TFDS's: ten words, silence, unknown.

    Args:
        data_dir: where tensorflow-datasets keeps its data. Default: TFDS's own.
        features: of clips of one second, int16, `(clips, 16000)`; `speech_frames` for a streaming network. Default:
            `mfcc`.

    Raises:
        OSError: if it is not there and cannot be downloaded. Its text has the command that gets it.
    """
    parts = [_split(split, data_dir, features or mfcc) for split in ("train", "test")]
    return Dataset("speech_commands", *parts[0], *parts[1])


def mfcc(audio: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients of clips of one second.

    Args:
        audio: `(clips, samples)`, 16 kHz, int16 values or float32 in [-1, 1]; shorter clips are padded with silence,
            longer ones cut.

    Returns:
        `(clips, 49, 10, 1)`, float32: ten coefficients of each window of 40 ms, every 20 ms.
    """
    import tensorflow as tf

    scale = 32768 if np.issubdtype(audio.dtype, np.integer) else 1
    clips = np.zeros((len(audio), RATE), "float32")
    clips[:, : audio.shape[1]] = audio[:, :RATE] / scale
    spectrum = tf.abs(tf.signal.stft(clips, WINDOW, STRIDE))
    to_mel = tf.signal.linear_to_mel_weight_matrix(MEL_BINS, spectrum.shape[-1], RATE, LOWEST, HIGHEST)
    log_mel = tf.math.log(spectrum @ to_mel + LOG_FLOOR)
    return tf.signal.mfccs_from_log_mel_spectrograms(log_mel)[..., :COEFFICIENTS, None].numpy()


def _split(
    split: str, data_dir: str | Path | None, features: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """One clip after another: they differ in length."""
    import tensorflow_datasets as tfds

    clips = list(tfds.as_numpy(read_tfds("speech_commands", split, data_dir)))
    found = np.concatenate([features(one_second(audio)[None]) for audio, _ in clips])
    return found, np.array([label for _, label in clips])


def one_second(audio: np.ndarray) -> np.ndarray:
    """A clip, `(samples,)`, cut or padded with silence."""
    return np.pad(audio[:RATE], (0, max(0, RATE - len(audio))))
