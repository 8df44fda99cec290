"""What a file takes of a device's flash: as it is, compressed, and encoded for Ethos-U."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from ..program.program import Program
from ..targets.vela import compile_file


@dataclass(frozen=True)
class MemoryUse:
    """Bytes. arena: RAM of TFLite Micro (None: not installed); file, gzip, constants: flash, the last without names."""

    arena: int | None
    file: int
    gzip: int
    constants: int


def memory(program: Program, tflite_bytes: bytes, arena: int | None) -> MemoryUse:
    """Sizes of a file; constants that share a buffer in the file are counted once."""
    constants = {tensor.data.tobytes() for tensor in program.tensors if tensor.data is not None}
    return MemoryUse(
        arena=arena,
        file=len(tflite_bytes),
        gzip=len(gzip.compress(tflite_bytes, mtime=0)),
        constants=sum(map(len, constants)),
    )


ACCELERATOR = "ethos-u55-128"  # U65 and U85 encode alike, but Vela counts their flash together with the arena


@dataclass(frozen=True)
class Flash:
    """Bytes. raw: the file; gzip: the file, compressed; encoded: weights, biases and commands as Vela stores them."""

    raw: int
    gzip: int
    encoded: int


def flash(tflite_bytes: bytes) -> Flash:
    """The three sizes of a .tflite file, as `export_tflite` returns it.

    Raises:
        ImportError: naming the extra to install, if `ethos-u-vela` is missing.
        ValueError: if Vela refuses the file.
    """
    facts = compile_file(tflite_bytes, accelerator=ACCELERATOR).facts
    return Flash(
        raw=len(tflite_bytes),
        gzip=len(gzip.compress(tflite_bytes, mtime=0)),
        encoded=facts["on_chip_flash_bytes"] + facts["off_chip_flash_bytes"],
    )
