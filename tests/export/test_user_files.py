"""Several files are all new or all old, whatever happens meanwhile; and what user code does is one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_ternary_spike.export import user_files
from keras_ternary_spike.export.__main__ import COMMANDS, main
from keras_ternary_spike.export.user_files import import_module, write_atomically, write_together

NAMES = ("a", "b", "c", "d")
FOREVER = """
import itertools, sys
from pathlib import Path
from keras_ternary_spike.export.user_files import write_together
for round in itertools.count():
    data = bytes([round % 2]) * 2_000_000
    write_together({Path(name): data for name in "abcd"})
    print(round, flush=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Holds "a" and "b" with old bytes; "c" and "d" are to come."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).write_bytes(b"old")
    return tmp_path


def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


OLD, NEW = {"a": b"old", "b": b"old"}, dict.fromkeys(NAMES, b"new")


def write_new_files():
    write_together({Path(name): b"new" for name in NAMES})


def test_files_are_written_together(folder):
    write_new_files()
    assert held(folder) == NEW


@pytest.mark.parametrize("fails_at", range(4))
@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_all_files_are_old_when_one_cannot_be_written(folder, monkeypatch, function, fails_at, error):
    real, calls = getattr(os, function), []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == fails_at + 1:
            raise error
        return real(*arguments)

    monkeypatch.setattr(user_files.os, function, failing)
    with pytest.raises(type(error)) as raised:
        write_new_files()
    assert held(folder) == OLD
    if isinstance(error, OSError) and function == "fsync":
        assert raised.value.filename == str(folder.resolve() / NAMES[fails_at])


def test_files_are_kept_where_there_are_no_hard_links(folder, monkeypatch):
    def no_links(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(user_files.os, "link", no_links)
    write_new_files()
    assert held(folder) == NEW


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_all_names_are_taken(folder, monkeypatch, number):
    real, before = os.replace, signal.signal(number, lambda *_: received.append(held(folder)))
    received = []

    def interrupted(*arguments):
        signal.raise_signal(number)
        real(*arguments)

    monkeypatch.setattr(user_files.os, "replace", interrupted)
    try:
        write_new_files()
    finally:
        signal.signal(number, before)
    assert len(received) == 4  # one each rename, all behind the last
    assert all({name: found[name] for name in NAMES} == NEW for found in received)


def test_a_killed_process_leaves_all_files_new_or_all_old(tmp_path):
    for wait in (0.0, 0.003, 0.006, 0.009, 0.012):
        process = subprocess.Popen([sys.executable, "-c", FOREVER], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(wait)
        process.kill()
        process.communicate()
        assert len({(tmp_path / name).read_bytes() for name in NAMES}) == 1


def test_a_full_disk_names_the_file(folder, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(user_files.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/model\.tflite'"):
        write_atomically(Path("model.tflite"), b"new")
    assert held(folder) == OLD


def test_ctrl_c_is_one_line_and_code_130(tmp_path):
    os.mkfifo(tmp_path / "model.tflite")  # reading it waits for somebody to write
    command = [sys.executable, "-m", "keras_ternary_spike.export", "inspect", "model.tflite"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    writer = os.open(tmp_path / "model.tflite", os.O_WRONLY)  # opens when the process reads
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "interrupted: every file is whole\n"
    os.close(writer)
    assert process.returncode == 130


def test_an_interrupted_command_returns_130(monkeypatch, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "inspect", interrupt)
    assert main(["inspect"]) == 130
    assert capsys.readouterr().err == "interrupted: every file is whole\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit()", "SystemExit: no reason given"),
        ("raise KeyError('two\\nlines')", "KeyError: .*"),
        ("import module_that_is_not_there", "ModuleNotFoundError: No module named 'module_that_is_not_there'"),
    ],
)
def test_a_module_of_the_users_that_fails_is_named_in_one_line(folder, code, reason):
    (folder / "my_failing_module.py").write_text(code)
    with pytest.raises(ValueError, match=f"^The module 'my_failing_module' failed: {reason}$") as raised:
        import_module("my_failing_module")
    assert "\n" not in str(raised.value)
