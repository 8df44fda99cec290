"""Speech features as microcontrollers compute them: TensorFlow Lite Micro's audio frontend, the same C on PC and board.

On the PC it comes as the package pymicro-features (`pip install "keras-ternary-spike[speech]"`); its source
distribution holds the C for the board. The integers are the same (`python -m benchmarks.boards.speech`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

STEP = 160  # samples: 10 ms at 16 kHz
BEFORE_FIRST = 2  # steps that give no frame yet: a window is 30 ms long
FEATURES = 40
UNITS = 25.6  # the frontend's integers in one of the numbers that pymicro-features gives
SPAN = 666  # 26 units: what becomes 256
BYTE = 255


class SpeechFrontend:
    """Frames of 40 features, one every 10 ms, of samples as a microphone brings them.

        feature = min(255, floor((256 * value + 333) / 666))

    of the frontend's 16-bit value: the scaling of TFLM's micro_speech, without its -128. A network that is exported
    with `input_range=(0, 255)` takes feature - 128 as its int8 input, and 0 is silence.

    The frontend adapts to the noise that it hears: a clip of its own begins with `reset`.

    Raises:
        ImportError: if pymicro-features is not installed.
    """

    def __init__(self) -> None:
        self._library = _library()
        self.reset()

    def reset(self) -> None:
        """As if nothing had been heard."""
        self._frontend, self._rest = self._library.MicroFrontend(), np.zeros(0, np.int16)

    def frames(self, audio: np.ndarray) -> np.ndarray:
        """The frames that further samples complete; what is left over waits for the next.

        Args:
            audio: int16, `(samples,)`, of 16 kHz; float32 in [-1, 1] is rounded.

        Returns:
            uint8, `(frames, 40)`.

        Raises:
            ValueError: for another shape.
        """
        heard = np.concatenate([self._rest, as_int16(audio)])
        steps = len(heard) // STEP
        self._rest = heard[steps * STEP :]
        found = [self._frontend.process_samples(step.tobytes()) for step in heard[: steps * STEP].reshape(-1, STEP)]
        values = [output.features for output in found if output.features]
        return feature_bytes(np.rint(UNITS * np.reshape(values, (-1, FEATURES))).astype(np.int64))


def feature_bytes(values: np.ndarray) -> np.ndarray:
    """The frontend's 16-bit values as uint8."""
    return np.minimum(BYTE, (256 * values + SPAN // 2) // SPAN).astype(np.uint8)


def speech_frames(clips: np.ndarray) -> np.ndarray:
    """The frames of clips, each from the beginning: `(clips, samples)` to float32 whole numbers `(clips, frames, 40)`.

    A clip of one second has 98 frames.
    """
    frontend, found = SpeechFrontend(), []
    for clip in clips:
        frontend.reset()
        found.append(frontend.frames(clip))
    return np.stack(found).astype("float32")


def as_int16(audio: np.ndarray) -> np.ndarray:
    """Samples as the frontend takes them. Raises ValueError unless they have one axis."""
    audio = np.asarray(audio)
    if audio.ndim != 1:
        raise ValueError(f"`audio` must have one axis, the samples of one channel. Received: shape {audio.shape}")
    if np.issubdtype(audio.dtype, np.integer):
        return audio.astype(np.int16)
    return np.clip(np.rint(32768 * audio), -32768, 32767).astype(np.int16)


def _library() -> Any:
    try:
        import pymicro_features
    except ImportError as error:
        raise ImportError(
            'Speech features need pymicro-features. To get it: pip install "keras-ternary-spike[speech]"'
        ) from error
    return pymicro_features
