"""Lines of text: columns of equal width, lists of names, numbers with commas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def fact_text(value: Fact) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value


def duration(milliseconds: float) -> str:
    """A time with three digits and its unit, microseconds below 0.1 ms: "0.212 ms", "59.1 µs"."""
    value, unit = (1000 * milliseconds, "µs") if milliseconds < 0.1 else (milliseconds, "ms")
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:#.3g}".rstrip(".") + f" {unit}"


def aligned(rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Rows as lines with columns of equal width: the first `left` flush left, the others flush right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, range(len(row)), strict=True)
        lines.append("  ".join(c.ljust(w) if i < left else c.rjust(w) for c, w, i in cells).rstrip())
    return lines


def printable(text: str) -> str:
    """Control characters and those that turn the direction of writing, as escapes: names may come from anybody's file.

    A terminal would obey them.
    """
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def printable_lines(text: str) -> str:
    """As `printable`, line by line."""
    return "\n".join(map(printable, text.split("\n")))


def listed(names: Sequence[str]) -> str:
    """Names with commas between, or "none"."""
    return ", ".join(names) or "none"


Fact = int | float | str | tuple[str, ...]
