"""The event-driven C of this package on emulated boards: instructions, flash, RAM."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.boards import emulator
from keras_ternary_spike.export import export_c

NAME = "net"  # what engine_runner.c includes
RUNNER = emulator.SOURCES / "engine_runner.c"


@dataclass(frozen=True)
class EngineRun:
    """What generated C cost on a board.

    instructions: of each sample. code, weights: bytes of flash. arena, stack: bytes of RAM; inputs and outputs are the
        caller's and not counted. steps: instructions of every call of net_run for the last sample, by its comment.
    """

    instructions: tuple[int, ...]
    code: int
    weights: int
    arena: int
    stack: int
    outputs: bytes
    steps: Mapping[str, int] = field(default_factory=dict)


def run(
    board: emulator.Board, tflite_bytes: bytes, samples: np.ndarray, options: Sequence[str] = (), *, steps: bool = False
) -> EngineRun:
    """Writes C for a file of this package, builds it for a board and runs it there.

    samples: int8, `(samples, values)`. options: further ones of the compiler. steps: count those of every call, too.

    Raises: RuntimeError if the compiler or the board fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / NAME
        export_c(tflite_bytes, folder, name=NAME)
        return run_folder(board, folder, samples, options, steps=steps)


def run_folder(
    board: emulator.Board, folder: Path, samples: np.ndarray, options: Sequence[str] = (), *, steps: bool = False
) -> EngineRun:
    """As `run`, of C that lies in a folder; files of its own are put there."""
    source = folder / f"{NAME}.c"
    if steps:
        source.write_text(count_steps(source.read_text()))
    image, flags = folder / f"{board.machine}.elf", (*emulator.STANDARD, f"-I{folder}", *options)
    emulator.build(board, [source, RUNNER], image, options=flags)
    (folder / "input.bin").write_bytes(samples.astype(np.int8).tobytes())
    counts = [
        (key, int(value)) for value, key in (line.split(" ", 1) for line in emulator.run(board, image).splitlines())
    ]
    code, weights = flash(board, folder, flags)
    return EngineRun(
        instructions=tuple(value for key, value in counts if key == "instructions"),
        code=code,
        weights=weights,
        arena=dict(counts)["arena"],
        stack=dict(counts)["stack"],
        outputs=(folder / "output.bin").read_bytes(),
        steps={key.removeprefix("step "): value for key, value in counts if key.startswith("step ")},
    )


def count_steps(source: str) -> str:
    """The generated C with a call in front of every call of a kernel, by which the runner counts its instructions."""
    head, body = source.split(f"void {NAME}_run(", 1)
    counted = re.sub(r"^    /\* (.*) \*/$", r'    counted_step("\1");', body, flags=re.MULTILINE)
    return f"void counted_step(const char *note);\n{head}void {NAME}_run({counted}"


def flash(board: emulator.Board, folder: Path, flags: Sequence[str]) -> tuple[int, int]:
    """Bytes of code and of constants in the generated file alone, without the C library."""
    compiled = folder / f"{NAME}.o"
    emulator.call([board.compiler, *board.flags, *flags, "-c", str(folder / f"{NAME}.c"), "-o", str(compiled)])
    listing = emulator.call([board.compiler.replace("gcc", "size"), "-A", "-d", str(compiled)])
    sizes = [line.split()[:2] for line in listing.splitlines() if line.startswith(".")]
    code, constants = (
        sum(int(size) for section, size in sizes if section.startswith(start)) for start in (".text", ".rodata")
    )
    return code, constants
