"""The keyword spotter from samples to a word: with words made of tones it wakes where it should."""

import numpy as np
import pytest

pytest.importorskip("pymicro_features", reason='needs pip install "keras-ternary-spike[speech]"')

import keyword_spotter as example  # needs it


def test_a_recording_is_read_as_it_was_written_and_another_kind_is_refused(tmp_path, rng):
    import wave

    audio = rng.integers(-32768, 32768, 1234, np.int16)
    example.write_wav(tmp_path / "a.wav", audio)
    np.testing.assert_array_equal(example.read_wav(tmp_path / "a.wav"), audio)
    with wave.open(str(tmp_path / "b.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(bytes(8))
    with pytest.raises(ValueError, match=r"16000 Hz.*Received: \(44100, 16, 2\).*ffmpeg"):
        example.read_wav(tmp_path / "b.wav")


@pytest.mark.extended
def test_it_wakes_at_its_word_and_at_no_other(tmp_path, capsys):
    arguments = example.command_line(["--output", str(tmp_path)])
    words, wakes = example.main(arguments)
    ends = [second for second, kind in words if kind == example.WAKE]
    assert len(wakes) == len(ends) == 2
    assert all(abs(wake - end) < 0.3 for wake, end in zip(wakes, ends, strict=True))
    assert {"model.keras", "model.tflite", "recording.wav", "c"} == {path.name for path in tmp_path.iterdir()}
    np.testing.assert_allclose(
        example.listen((tmp_path / "model.tflite").read_bytes(), example.read_wav(tmp_path / "recording.wav")), wakes
    )
    assert "made of tones" in capsys.readouterr().out
