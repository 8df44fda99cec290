"""What every command shares: its parser, and the files that it is given, refused before any work is done."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

PROGRAM = "keras-ternary-spike"
ANOTHER_FORMAT = {
    ".keras": "Save the model with model.save('model.keras').",
    ".tflite": "Export the model first: keras-ternary-spike model.keras -o model.tflite",
    ".nir": "Write the network with nir.write('network.nir', graph); PyTorch modules: keras_ternary_spike.imports.",
    ".npz": "Write the samples with numpy.savez('samples.npz', samples=array).",
    ".toml": "See examples/sweep_digits.toml.",
}


def command_parser(command: str, description: str, **options: str) -> argparse.ArgumentParser:
    """A parser for one command; `command` is empty for the one that needs no name."""
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {command}".strip(), description=description, **options)
    parser.add_argument(
        "--verbose", action="store_true", help="show what TensorFlow and the runtimes print on standard error"
    )
    return parser


def file_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser for one command on one .tflite file."""
    parser = command_parser(command, description)
    parser.add_argument("model", type=Path, help="the .tflite file")
    return parser


def check_source(path: Path, *suffixes: str) -> None:
    """Raises ValueError, with the way out, if there is no such file or it is of another kind."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder. A {' or '.join(suffixes)} file is needed.")
    if not path.exists():
        raise ValueError(f"There is no file {path}. {_near(path)}".strip())
    if path.suffix not in suffixes:
        raise ValueError(f"A {' or '.join(suffixes)} file is needed. Received: {path}. {ANOTHER_FORMAT[suffixes[0]]}")


def check_samples_file(path: Path) -> None:
    """Raises ValueError if there is no such file of samples."""
    check_source(path, ".npz")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz file. {ANOTHER_FORMAT['.npz']}")


def check_suffix(path: Path, *suffixes: str) -> None:
    """Raises ValueError if an output has another suffix than what is written into it."""
    if path.suffix not in suffixes:
        raise ValueError(f"The output must be a {' or '.join(suffixes)} file. Received: {path}")


def _near(path: Path) -> str:
    """The files of the same kind that are there instead."""
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    there = sorted(other.name for other in path.parent.glob(f"*{path.suffix}"))[:5] if path.suffix else []
    return f"There: {', '.join(there)}." if there else ""
