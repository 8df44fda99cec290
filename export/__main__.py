"""The command line: `keras-ternary-spike model.keras -o model.tflite`."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence

from .cli.c_code_command import write_c_code
from .cli.export_command import export
from .cli.file_commands import check_file, inspect_file, sweep, write_c_array


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns: the exit code: 0, or 1 after one line "error: ...", or 130 after Ctrl-C (2, from argparse, for usage).
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    named = arguments[:1] and arguments[0] in COMMANDS
    command, rest = (arguments[0], arguments[1:]) if named else (DEFAULT_COMMAND, arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = one_line(warnings.showwarning)
            COMMANDS[command](rest)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: every file is whole", file=sys.stderr)
        return INTERRUPTED
    return 0


def one_line(others: Callable[..., None]) -> Callable[..., None]:
    """What shows a UserWarning as "warning: ...", and leaves all other warnings to `others`."""

    def show(message: Warning, category: type[Warning], *place: object, **options: object) -> None:
        if category is not UserWarning:
            return others(message, category, *place, **options)
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)

    return show


DEFAULT_COMMAND = "export"
INTERRUPTED = 130  # as shells say that a process ended by SIGINT
COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "export": export,
    "inspect": inspect_file,
    "check": check_file,
    "c-array": write_c_array,
    "c-code": write_c_code,
    "sweep": sweep,
}

if __name__ == "__main__":
    sys.exit(main())
