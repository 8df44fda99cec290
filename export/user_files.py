"""The user's files and modules: outputs written whole or not at all, and code that may do anything."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def check_output(output: Path, source: Path) -> None:
    """Raises, before any work is done, if `output` cannot be a file of its own, apart from `source`."""
    if not output.parent.is_dir():
        raise ValueError(f"The folder of the output must exist. Received: {output}")
    if output.exists() and not output.is_file():
        raise ValueError(f"The output must be a file. Received: {output}")
    if output.exists() and source.exists() and output.samefile(source):
        raise ValueError(f"The output must not be the model itself. Received: {output}")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all. Raises: OSError naming the file."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Writes all files or none: neighbours first, which then take the names.

    If one name cannot be taken, the others are given back what they had. Signals that end a process wait until all
    names are taken; only SIGKILL in that very moment leaves new files beside old ones, each of them whole.

    Raises: OSError naming the file.
    """
    files = {path.resolve(): data for path, data in files.items()}
    new = {path: neighbour(path, "tmp") for path in files}
    try:
        for path, data in files.items():
            write_new(new[path], data, called=path)
        with signals_wait():
            _take_names(new)
    finally:
        for path in new.values():
            path.unlink(missing_ok=True)


def neighbour(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{suffix}")


def write_new(path: Path, data: bytes, *, called: Path) -> None:
    """Writes a file that is not there yet, down to the disk. Raises: OSError naming the file as `called`."""
    try:
        with open(path, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(called)) from error


def _take_names(new: Mapping[Path, Path]) -> None:
    """Renames each file to its name; on any error every name holds what it held."""
    old, taken = {path: neighbour(path, "old") for path in new if path.exists() and len(new) > 1}, []
    try:
        for path, kept in old.items():
            _keep(path, kept)
        for path, temporary in new.items():
            os.replace(temporary, path)
            taken.append(path)
    except BaseException:  # an interrupt, too, leaves all as it was
        for path in taken:
            os.replace(old[path], path) if path in old else path.unlink()
        raise
    finally:
        for kept in old.values():
            kept.unlink(missing_ok=True)


def _keep(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    except OSError:  # a file system without hard links
        shutil.copy2(path, kept)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Signals that end a process reach it when this is left. Python lets the main thread alone decide about them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: received.append(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in received:
            signal.raise_signal(number)


def check_folder(folder: Path) -> Path:
    """`folder`, if it does not exist yet or holds nothing, and can be made. Raises: ValueError otherwise."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output must be a folder. Received: {folder}")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"The folder of the output must be new or empty: nothing is overwritten. Received: {folder}")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"The folder around the output must exist. Received: {folder}")
    return folder


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes all files, or none: into a neighbour first, which then takes the folder's name."""
    folder = folder.absolute()
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for path, data in files.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            write_new(made / path, data, called=folder / path)
        made.chmod(folder.stat().st_mode if folder.exists() else 0o755)
        os.replace(made, folder)  # takes the place of an empty folder, and of no other
    finally:
        shutil.rmtree(made, ignore_errors=True)


def import_module(name: str) -> ModuleType:
    """Imports the user's module, from the current directory too. Raises: ValueError naming it if that fails."""
    sys.path.insert(0, os.getcwd())
    try:
        with user_code(f"The module {name!r}"):
            return importlib.import_module(name)
    finally:
        sys.path.remove(os.getcwd())


@contextlib.contextmanager
def user_code(called: str, *, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns whatever the user's code raises, an exit too, into a ValueError of one line that names it.

    called: such as "The module 'networks'". passing: errors that already say what is wrong.
    """
    try:
        yield
    except passing:
        raise
    except (Exception, SystemExit) as error:  # anything: it is not our code
        reason = " ".join(str(error).split()) or "no reason given"
        raise ValueError(f"{called} failed: {type(error).__name__}: {reason}") from error
