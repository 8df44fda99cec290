"""From a microphone's samples to logits on an emulated board: the same features, the same integers, and what they cost.

    python -m benchmarks.boards.speech --frontend DIR

DIR is the user's unpacked source distribution of pymicro-features (`pip download --no-deps --no-binary :all:
pymicro-features`), which holds TensorFlow Lite Micro's audio frontend and Kiss FFT. Nothing of it is part of this
project. Two seconds of made sound go through it and through `models.streaming_wake_word`, weights drawn, as C.
differing: bytes of features that are not those of the PC, and logits that are not StepRunner's. Instructions are those
of one frame, of 10 ms.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np

from benchmarks.boards import board, emulator, engine
from keras_ternary_spike import models
from keras_ternary_spike.data import SpeechFrontend
from keras_ternary_spike.export import StepRunner, export_c, export_tflite

BOARDS = ("m4", "m7", "m55")
SECONDS, RATE = 2, 16_000
LIBRARY = "tensorflow/lite/experimental/microfrontend/lib"
PARTS = (
    *("kiss_fft_int16", "fft", "fft_util", "filterbank", "filterbank_util", "frontend", "frontend_util", "log_lut"),
    *("log_scale", "log_scale_util", "noise_reduction", "noise_reduction_util", "pcan_gain_control"),
    *("pcan_gain_control_util", "window", "window_util"),
)
FLAGS = ("-DFIXED_POINT=16", "-fno-exceptions", "-fno-threadsafe-statics", "-w")
RUNNER = emulator.SOURCES / "speech_runner.c"
HEADER = ("core", "features differing", "logits differing", "instructions: features", "network")


@dataclass(frozen=True)
class Heard:
    """What a board makes of samples. features, logits: int8, a row a frame. instructions: of the last frame."""

    features: np.ndarray
    logits: np.ndarray
    instructions: dict[str, int]


def sound(seconds: float = SECONDS) -> np.ndarray:
    """A tone that rises, in noise: int16, `(samples,)`; the same at every call."""
    time = np.arange(int(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * (300 * time + 400 * time**2)) * (np.sin(3 * time) > 0)
    return np.round(6000 * tone + np.random.default_rng(0).normal(0, 300, len(time))).astype(np.int16)


def network(**options: object) -> bytes:
    """The step form of a wake word that nobody trained."""
    keras.utils.set_random_seed(0)
    model = models.streaming_wake_word(40, 3, threshold=0.3, **options)
    model.get_layer("block1_depthwise_norm").layer.moving_variance.assign(np.full(40, 1e4, "float32"))
    return export_tflite(model, form="step", input_range=(0, 255), output_range=(-8, 8))


def library(folder: Path) -> list[Path]:
    """The frontend's sources. Raises: ValueError if they are not there."""
    if not (folder / LIBRARY).is_dir():
        raise ValueError(f"`--frontend` must be pymicro-features' sources, with {LIBRARY}. Received: {folder}")
    kiss = folder / "kissfft"
    return [*(folder / LIBRARY / f"{part}.cc" for part in PARTS), kiss / "kiss_fft.cc", kiss / "tools/kiss_fftr.cc"]


def on_board(name: str, sources: Path, tflite_bytes: bytes, audio: np.ndarray) -> Heard:
    """Runs frontend and network on a board.

    Raises: RuntimeError if the compiler or the board fails.
    """
    chosen = emulator.BOARDS[name]
    linked = replace(chosen, link=(*chosen.link, "-lm"))
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        export_c(tflite_bytes, folder, name=engine.NAME)
        (folder / "audio.bin").write_bytes(audio.tobytes())
        options = (*emulator.STANDARD, *FLAGS, f"-I{folder}", f"-I{sources}", f"-I{sources / 'kissfft'}")
        files = [folder / f"{engine.NAME}.c", RUNNER, *library(sources)]
        image = emulator.build(linked, files, folder / "speech.elf", options=options)
        lines = (line.split() for line in emulator.run(chosen, image).splitlines())
        counts = {key: int(value) for value, key in lines}
        features, logits = (
            np.frombuffer((folder / f"{what}.bin").read_bytes(), np.int8) for what in ("features", "output")
        )
    return Heard(features.reshape(-1, 40), logits.reshape(len(features) // 40, -1), counts)


def on_pc(tflite_bytes: bytes, audio: np.ndarray) -> Heard:
    frames = SpeechFrontend().frames(audio)
    runner = StepRunner(tflite_bytes)
    logits = np.stack([runner.step(frame.astype("float32")) for frame in frames])
    program = runner.program
    output = program.tensors[program.outputs[0]]
    integers = np.rint(logits / output.scale) + output.zero_point
    return Heard((frames.astype(int) - 128).astype(np.int8), integers.astype(np.int8), {})


def differing(one: np.ndarray, other: np.ndarray) -> str:
    return f"{np.count_nonzero(one != other)} of {one.size:,}" if one.shape == other.shape else "another number"


def row(name: str, sources: Path, tflite_bytes: bytes, audio: np.ndarray) -> Sequence[str]:
    found, expected = on_board(name, sources, tflite_bytes, audio), on_pc(tflite_bytes, audio)
    costs = (board.millions(found.instructions[what]) for what in ("features", "network"))
    equal = (differing(getattr(found, what), getattr(expected, what)) for what in ("features", "logits"))
    return (emulator.BOARDS[name].core, *equal, *costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frontend", type=Path, metavar="DIR", help="sources of pymicro-features; without: nothing")
    parser.add_argument("--boards", nargs="+", choices=emulator.BOARDS, default=BOARDS, metavar="BOARD")
    arguments = parser.parse_args()
    print(setting.describe("pymicro-features"), *emulator.versions(), sep="\n", end="\n\n")
    if arguments.frontend is None:
        print("Nothing was run: give --frontend DIR, the unpacked sources of pymicro-features.")
        return
    content, audio = network(), sound()
    rows = [row(name, arguments.frontend.resolve(), content, audio) for name in arguments.boards]
    print(setting.table([HEADER, *rows]))


if __name__ == "__main__":
    main()
