"""The command line: `keras-ternary-spike model.keras -o model.tflite`."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence

from .cli.c_code_command import write_c_code
from .cli.export_command import export
from .cli.file_commands import check_file, inspect_file, sweep, write_c_array
from .cli.import_command import import_network
from .cli.onnx_command import write_onnx
from .cli.proof_commands import certify_file, run_file, verify_file
from .cli.quiet import only_ours
from .cli.web_command import write_web
from .text import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns: the exit code: 0, or 1 after one line "error: ...", or 130 after Ctrl-C (2, from argparse, for usage).
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    shown = contextlib.nullcontext() if "--verbose" in arguments else only_ours()
    try:
        with shown, warnings.catch_warnings():
            warnings.showwarning = one_line(warnings.showwarning)
            command, rest = chosen(arguments)
            command(rest)
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has read enough, as `| head` does. Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {printable(in_words(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: every file is whole", file=sys.stderr)
        return INTERRUPTED
    return 0


def chosen(arguments: Sequence[str]) -> tuple[Callable[[Sequence[str]], None], Sequence[str]]:
    """The command and its arguments. Raises: ValueError for a word that is neither a command nor could be a model."""
    word = arguments[0] if arguments else ""
    if word in COMMANDS:
        return COMMANDS[word], arguments[1:]
    if word and not word.startswith("-") and not word.endswith(".keras") and not os.path.exists(word):
        raise ValueError(f"{word!r} is neither a command nor a file. Commands: {', '.join(COMMANDS)}")
    return COMMANDS[DEFAULT_COMMAND], arguments


def in_words(error: Exception) -> str:
    """One line; of an error of the system its words and the file, not its number."""
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{place}{error.strerror}"
    return " ".join(str(error).split())


def one_line(others: Callable[..., None]) -> Callable[..., None]:
    """What shows a UserWarning as "warning: ...", and leaves all other warnings to `others`."""

    def show(message: Warning, category: type[Warning], *place: object, **options: object) -> None:
        if category is not UserWarning:
            return others(message, category, *place, **options)
        print(f"warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)

    return show


DEFAULT_COMMAND = "export"
INTERRUPTED = 130  # as shells say that a process ended by SIGINT
COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "export": export,
    "verify": verify_file,
    "certify": certify_file,
    "run": run_file,
    "inspect": inspect_file,
    "check": check_file,
    "c-array": write_c_array,
    "c-code": write_c_code,
    "web": write_web,
    "onnx": write_onnx,
    "import": import_network,
    "sweep": sweep,
}

if __name__ == "__main__":
    sys.exit(main())
