"""The audio frontend: frames of its integers, however the samples come, and the same on an emulated board."""

import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.boards import emulator, speech
from keras_ternary_spike.data import SpeechFrontend, load_speech_commands, speech_frames
from keras_ternary_spike.data.speech_frontend import feature_bytes

pytest.importorskip("pymicro_features", reason='needs pip install "keras-ternary-spike[speech]"')

SOURCES = os.environ.get("PYMICRO_FEATURES_SOURCES")


def test_frames_are_the_same_however_the_samples_come(rng):
    audio = speech.sound(0.5)
    whole, frontend = SpeechFrontend().frames(audio), SpeechFrontend()
    cuts = [0, *np.sort(rng.integers(0, len(audio), 9)), len(audio)]
    parts = [frontend.frames(audio[start:end]) for start, end in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.shape == (50 - 2, 40) and whole.dtype == np.uint8  # a window of 30 ms every 10 ms
    assert len(np.unique(whole)) > 50


def test_frames_are_the_librarys_values_scaled():
    from pymicro_features import MicroFrontend

    library, audio = MicroFrontend(), speech.sound(0.2)
    outputs = [library.process_samples(audio[start : start + 160].tobytes()).features for start in range(0, 3200, 160)]
    units = np.array([output for output in outputs if output])
    expected = np.minimum(255, np.floor((256 * np.rint(25.6 * units) + 333) / 666))
    np.testing.assert_array_equal(SpeechFrontend().frames(audio), expected)


def test_the_scaling_is_that_of_micro_speech():
    assert feature_bytes(np.array([0, 1, 2, 333, 665, 666, 3000])).tolist() == [0, 0, 1, 128, 255, 255, 255]


def test_a_reset_forgets_the_noise_that_was_heard():
    audio = speech.sound(0.3)
    frontend = SpeechFrontend()
    first = frontend.frames(audio)
    assert np.any(frontend.frames(audio)[2:] != first)
    frontend.reset()
    np.testing.assert_array_equal(frontend.frames(audio), first)
    np.testing.assert_array_equal(speech_frames(np.stack([audio, audio])), [first, first])


def test_floats_are_the_integers_that_they_stand_for():
    audio = speech.sound(0.1)
    np.testing.assert_array_equal(SpeechFrontend().frames(audio / 32768), SpeechFrontend().frames(audio))


def test_several_channels_are_refused():
    with pytest.raises(ValueError, match=r"`audio` must have one axis.*Received: shape \(2, 160\)"):
        SpeechFrontend().frames(np.zeros((2, 160), np.int16))


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymicro_features", None)
    with pytest.raises(ImportError, match=r"need pymicro-features.*\[speech\]"):
        SpeechFrontend()


def test_speech_commands_are_read_with_features_of_ones_own(monkeypatch):
    clips = [(np.full(12000, 5), 3), (np.full(17000, 5), 4)]
    monkeypatch.setattr("keras_ternary_spike.data.speech.read_tfds", lambda *arguments: clips)
    monkeypatch.setattr("tensorflow_datasets.as_numpy", lambda found: found)
    data = load_speech_commands(features=lambda audio: (audio != 0).sum(-1))
    assert data.train_images.tolist() == [12000, 16000] and data.test_labels.tolist() == [3, 4]


def test_sources_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`--frontend` must be pymicro-features' sources.*Received"):
        speech.library(tmp_path)


@pytest.mark.extended
@pytest.mark.parametrize("name", ["m4", "m55"])
def test_a_board_hears_the_same_integers_and_spots_the_same(name):
    if not SOURCES:
        pytest.skip("PYMICRO_FEATURES_SOURCES is not set: the unpacked source distribution of pymicro-features")
    if missing := emulator.missing(emulator.BOARDS[name]):
        pytest.skip(f"an emulated {emulator.BOARDS[name].core} needs {missing}")
    content, audio = speech.network(width=0.125), speech.sound(1)
    found, expected = speech.on_board(name, Path(SOURCES), content, audio), speech.on_pc(content, audio)
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(found.logits, expected.logits)
    assert len(found.features) == 98 and len(np.unique(expected.logits, axis=0)) > 10
