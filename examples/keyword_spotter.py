"""A wake word from a microphone's samples to "wake": features, training, one frame a call, and C for a board.

    python examples/keyword_spotter.py                                  words made of tones, nothing to download
    python examples/keyword_spotter.py --data-dir ~/tensorflow_datasets Speech Commands, the wake word is "yes"
    python examples/keyword_spotter.py --wav recording.wav              listens to 16 kHz, 16 bits, one channel

Needs pymicro-features (`pip install "keras-ternary-spike[speech]"`). Without --data-dir a "word" is a tone that rises,
another word one that falls: that shows the way, and says nothing about speech. Writes model.keras, model.tflite (the
step form), recording.wav and the folder c/ into runs/keyword_spotter/.
"""

import argparse
import os
import wave
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_ternary_spike import models
from keras_ternary_spike.data import Dataset, SpeechFrontend, load_speech_commands, speech_frames
from keras_ternary_spike.export import StepRunner, export_c, export_tflite

RATE, FRAME_SECONDS = 16_000, 0.01
WAKE, OTHER, SILENCE = 0, 1, 2
YES, QUIET = 9, 10  # classes of Speech Commands as tensorflow-datasets has them
WIDTH, DECAY = 0.25, 0.5
WORD_SECONDS, CLIP_SECONDS = 0.4, 0.6
EPOCHS, BATCH_SIZE, LEARNING_RATE = 10, 24, 6e-3
LOGITS = (-12, 12)
PROBABILITY, FRAMES_IN_A_ROW, REST = 0.8, 5, 50  # it wakes if so sure for 50 ms; then it rests for half a second


def made_word(rng, kind):
    """Two harmonics that rise or fall, in noise; or noise alone: int16."""
    time = np.arange(int(WORD_SECONDS * RATE)) / RATE
    slope = {WAKE: 1500, OTHER: -1500, SILENCE: 0}[kind] * rng.uniform(0.8, 1.2)
    phase = 2 * np.pi * (rng.uniform(900, 1100) * time + slope * time**2 / 2)
    tone = (np.sin(phase) + 0.5 * np.sin(2 * phase)) * np.hanning(len(time)) * (kind != SILENCE)
    return (rng.uniform(2000, 8000) * tone).astype(np.int16)


def noise(rng, seconds):
    return rng.normal(0, rng.uniform(20, 200), int(seconds * RATE)).astype(np.int16)


def made_clip(rng, kind):
    """A word that ends a little before the clip does, in noise."""
    clip, word = noise(rng, CLIP_SECONDS), made_word(rng, kind)
    end = len(clip) - int(rng.uniform(0, 0.05) * RATE)
    clip[end - len(word) : end] += word
    return clip


def made_data(clips, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, clips)
    frames = speech_frames(np.stack([made_clip(rng, kind) for kind in labels]))
    train = clips * 3 // 4
    return Dataset("made words", frames[:train], labels[:train], frames[train:], labels[train:])


def spoken_data(data_dir):
    """Speech Commands: the wake word, all others, silence."""
    data = load_speech_commands(data_dir=data_dir, features=speech_frames)
    train, test = (
        np.where(labels == YES, WAKE, np.where(labels == QUIET, SILENCE, OTHER))
        for labels in (data.train_labels, data.test_labels)
    )
    return Dataset("speech commands", data.train_images, train, data.test_images, test)


def made_recording(seed=1):
    """Noise with words in it, and what they are: (int16 samples, [(second at which a word ends, kind)])."""
    rng, parts, words, now = np.random.default_rng(seed), [noise(np.random.default_rng(seed), 1)], [], 1.0
    for kind in (WAKE, OTHER, WAKE, OTHER):
        parts += [made_word(rng, kind) + noise(rng, WORD_SECONDS), noise(rng, 1)]
        words.append((now + WORD_SECONDS, kind))
        now += WORD_SECONDS + 1
    return np.concatenate(parts), words


def read_wav(path):
    """Samples, int16. Raises: ValueError unless they are 16 kHz, 16 bits, one channel."""
    with wave.open(str(path)) as file:
        found = file.getframerate(), 8 * file.getsampwidth(), file.getnchannels()
        if found != (RATE, 16, 1):
            raise ValueError(
                f"A recording must have 16000 Hz, 16 bits and 1 channel. Received: {found} in {path}. "
                "To convert it: ffmpeg -i IN -ar 16000 -ac 1 -sample_fmt s16 OUT.wav"
            )
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def write_wav(path, audio):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(audio.astype("<i2").tobytes())


def trained(data, *, epochs, seed=0):
    """A wake word of a quarter of the channels: trained on clips of one length, for sequences of any."""
    keras.utils.set_random_seed(seed)
    frames, features = data.train_images.shape[1:]
    model, endless = (
        models.streaming_wake_word(features, 3, width=WIDTH, decay=DECAY, timesteps=timesteps)
        for timesteps in (frames, None)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(data.train_images, data.train_labels, batch_size=BATCH_SIZE, epochs=epochs, verbose=2)
    endless.set_weights(model.get_weights())
    return endless


def exported(model):
    """The step form. A byte of features less 128 is its input: real 0 is silence."""
    return export_tflite(model, form="step", input_range=(0, 255), output_range=LOGITS)


def listen(tflite_bytes, audio, *, chunk=1000):
    """The seconds at which it wakes. The microphone brings `chunk` samples at a time, as a driver's buffer would."""
    frontend, runner = SpeechFrontend(), StepRunner(tflite_bytes)
    sure, resting, frames, wakes = 0, 0, 0, []
    for start in range(0, len(audio), chunk):
        for frame in frontend.frames(audio[start : start + chunk]):
            frames, resting = frames + 1, max(0, resting - 1)
            sure = sure + 1 if softmax(runner.step(frame.astype("float32")))[WAKE] >= PROBABILITY else 0
            if sure >= FRAMES_IN_A_ROW and not resting:
                wakes.append((frames + 2) * FRAME_SECONDS)  # a window is three steps long
                resting = REST
    return wakes


def softmax(logits):
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def main(arguments):
    made = arguments.data_dir is None
    if made:
        print("No --data-dir: the words are made of tones. This shows the way, not how well speech is recognized.")
    data = made_data(arguments.clips) if made else spoken_data(arguments.data_dir)
    model = trained(data, epochs=arguments.epochs)
    tflite_bytes = exported(model)
    found = [clip_class(tflite_bytes, clip) for clip in data.test_images]
    print(f"the file: {np.mean(found == data.test_labels):.1%} of {len(found)} test clips, {len(tflite_bytes):,} bytes")

    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model.keras")
    (folder / "model.tflite").write_bytes(tflite_bytes)
    export_c(tflite_bytes, folder / "c", name="wake")
    audio, words = (read_wav(arguments.wav), []) if arguments.wav else made_recording()
    if not arguments.wav:
        write_wav(folder / "recording.wav", audio)
    for second, kind in words:
        print(f"{second:6.2f} s  {'the word' if kind == WAKE else 'another word'} ends")
    wakes = listen(tflite_bytes, audio)
    print("\n".join(f"{second:6.2f} s  wakes" for second in wakes) or "It does not wake.")
    print(f"Written to {folder}: model.keras, model.tflite, c/")
    return words, wakes


def clip_class(tflite_bytes, clip):
    """Of the last frame."""
    runner = StepRunner(tflite_bytes)
    return int([runner.step(frame) for frame in clip][-1].argmax())


def command_line(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="where tensorflow-datasets keeps Speech Commands, or puts it")
    parser.add_argument("--wav", type=Path, help="listen to this recording")
    parser.add_argument("--clips", type=int, default=320, help="made words; default: 320")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--output", type=Path, default=Path("runs/keyword_spotter"))
    return parser.parse_args(words)


if __name__ == "__main__":
    main(command_line())
