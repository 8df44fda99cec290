"""TensorFlow Lite Micro with CMSIS-NN on emulated boards, from the user's own checkouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.boards import emulator

DOWNLOADS = Path("tensorflow/lite/micro/tools/make/downloads")  # what TFLM's `make third_party_downloads` fills
LIBRARIES = {"FLATBUFFERS": "flatbuffers", "GEMMLOWP": "gemmlowp", "RUY": "ruy"}
TOTALS = ("arena", "instructions")


@dataclass(frozen=True)
class Checkouts:
    """Where the user has the sources. cmsis_nn: None for TFLM's reference kernels."""

    tflite_micro: Path
    cmsis_nn: Path | None

    def library(self, name: str) -> Path:
        """A library's folder: among TFLM's downloads or beside its checkout.

        Raises: ValueError if it is in neither.
        """
        places = (self.tflite_micro / DOWNLOADS / name, self.tflite_micro.parent / name)
        for place in places:
            if place.is_dir():
                return place
        raise ValueError(f"TensorFlow Lite Micro needs {name}. Looked for it in: {', '.join(map(str, places))}")


def checkouts(tflite_micro: Path, cmsis_nn: Path | None, *, reference: bool = False) -> Checkouts:
    """The user's folders. CMSIS-NN: among TFLM's downloads unless given; left out for reference kernels.

    Raises: ValueError if a folder does not hold what it should.
    """
    root = tflite_micro.resolve()
    kernels = cmsis_nn.resolve() if cmsis_nn else root / DOWNLOADS / "cmsis_nn"
    _must_hold("--tflite-micro", root, "tensorflow/lite/micro")
    if reference:
        return Checkouts(root, None)
    _must_hold("--cmsis-nn", kernels, "Source")
    return Checkouts(root, kernels)


def _must_hold(option: str, folder: Path, inside: str) -> None:
    if not (folder / inside).is_dir():
        raise ValueError(f"`{option}` must be a checkout with the folder {inside}. Received: {folder}")


@dataclass(frozen=True)
class Run:
    """What a file cost on a board. instructions: of each sample. kinds: of the first sample, by kind of operator."""

    arena: int
    instructions: tuple[int, ...]
    kinds: Mapping[str, int] = field(default_factory=dict)
    outputs: bytes = b""


def build(board: emulator.Board, sources: Checkouts, folder: Path) -> Path:
    """The image that runs any file on a board, built with CMake and Ninja in `folder`; at the second call at once.

    Raises: RuntimeError with their words if that fails.
    """
    folders = {name: sources.library(library) for name, library in LIBRARIES.items()}
    settings = {
        "CMAKE_SYSTEM_NAME": "Generic",
        "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",
        "CMAKE_C_COMPILER": board.compiler,
        "CMAKE_CXX_COMPILER": board.compiler.replace("gcc", "g++"),
        "TFLITE_MICRO": sources.tflite_micro,
        "CMSIS_NN": sources.cmsis_nn or "",
        **folders,
        "BOARD_SOURCES": emulator.SOURCES / board.startup,
        "BOARD_FLAGS": ";".join((*board.flags, f"-DARENA_BYTES={board.ram // 4}")),
        "BOARD_LINK": ";".join(board.link),
    }
    source = emulator.SOURCES / "tflite_micro"
    definitions = [f"-D{key}={value}" for key, value in settings.items()]
    emulator.call(["cmake", "-S", str(source), "-B", str(folder), "-G", "Ninja", *definitions])
    emulator.call(["ninja", "-C", str(folder)])
    return folder / "runner"


def run(board: emulator.Board, image: Path, tflite_bytes: bytes, samples: np.ndarray, folder: Path) -> Run:
    """Runs a file on a board.

    samples: int8 inputs, those of one sample one after the other, `(samples, values)`.
    folder: an empty one, for the files that the image opens.

    Raises: RuntimeError if the image fails.
    """
    (folder / "model.tflite").write_bytes(tflite_bytes)
    (folder / "input.bin").write_bytes(samples.astype(np.int8).tobytes())
    pairs = [line.split() for line in emulator.run(board, image, folder).splitlines()]
    counts = [(key, int(value)) for key, value in pairs]
    return Run(
        arena=dict(counts)["arena"],
        instructions=tuple(value for key, value in counts if key == "instructions"),
        kinds={key: value for key, value in counts if key not in TOTALS},
        outputs=(folder / "output.bin").read_bytes(),
    )
