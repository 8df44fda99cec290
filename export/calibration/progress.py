"""A line on a terminal that says how far a slow step is; nothing anywhere else."""

from __future__ import annotations

import sys

WIDTH = 30


class Progress:
    """Drawn on stderr if it is a terminal and `verbose` is not 0.

    Example:
        >>> progress = Progress("rounding", total=5)
        >>> progress.step("conv2d")
    """

    def __init__(self, title: str, *, total: int, verbose: int = 1):
        self._title, self._total, self._done = title, total, 0
        self._shown = bool(verbose) and sys.stderr.isatty()

    def step(self, what: str) -> None:
        """One more is done, the one named `what`."""
        self._done += 1
        if self._shown:
            bar = "=" * (WIDTH * self._done // self._total)
            end = "\n" if self._done == self._total else ""
            print(f"\r{self._title} [{bar:<{WIDTH}}] {self._done}/{self._total} {what:<32}", end=end, file=sys.stderr)
            sys.stderr.flush()
