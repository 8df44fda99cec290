"""Standard error for the user alone: native code, which prints to the process's own descriptor, is not shown."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

STDERR = 2  # the process's descriptor
LOGGERS = ("tensorflow", "absl", "jax")


@contextlib.contextmanager
def only_ours() -> Iterator[None]:
    """Drops what TensorFlow, absl and XNNPACK print meanwhile; what Python prints on sys.stderr still appears.

    TF_CPP_MIN_LOG_LEVEL alone leaves the lines that come before absl has read it, and LiteRT does not heed it.
    """
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    python_stderr, shown = sys.stderr, os.dup(STDERR)
    sys.stderr.flush()
    with contextlib.ExitStack() as stack, open(os.devnull, "wb") as nothing:
        stack.callback(os.close, shown)
        stack.callback(os.dup2, shown, STDERR)
        os.dup2(nothing.fileno(), STDERR)
        if _descriptor(python_stderr) == STDERR:
            sys.stderr = stack.enter_context(open(shown, "w", buffering=1, closefd=False))
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            sys.stderr = python_stderr
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _descriptor(stream: object) -> int | None:
    """Where a stream writes; None where tests or notebooks have put one without."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
