"""The user's own Python modules, imported by name on the command line."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType


def check_output(output: Path, source: Path) -> None:
    """Raises, before any work is done, if `output` cannot be a file of its own, apart from `source`."""
    if not output.parent.is_dir():
        raise ValueError(f"The folder of the output must exist. Received: {output}")
    if output.exists() and not output.is_file():
        raise ValueError(f"The output must be a file. Received: {output}")
    if output.exists() and source.exists() and output.samefile(source):
        raise ValueError(f"The output must not be the model itself. Received: {output}")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: a neighbour first, which then takes the name."""
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def import_module(name: str) -> ModuleType:
    """Imports the user's module, from the current directory too."""
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(os.getcwd())
