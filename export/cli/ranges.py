"""Ranges on the command line: two numbers, for inputs also the word int8, for all of them or by name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

Range = tuple[float, float] | str
RAW = "int8"  # of inputs: the samples are the file's integers


def add_ranges(group: argparse._ArgumentGroup, which: str, help_all: str, help_one: str) -> None:
    """--input-range and --input-range-of, or those of the outputs: `input_range` and a list `input_ranges`."""
    group.add_argument(f"--{which}-range", nargs=2, metavar=("LOW", "HIGH"), help=help_all)
    group.add_argument(
        f"--{which}-range-of",
        dest=f"{which}_ranges",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "LOW", "HIGH"),
        help=help_one,
    )


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """`--input-range int8` and `--input-range-of NAME int8` with the word twice: a range has two."""
    words: list[str] = []
    for word in arguments:
        raw = word == RAW and (words[-1:] == ["--input-range"] or words[-2:-1] == ["--input-range-of"])
        words += [word, word] if raw else [word]
    return words


def given_range(
    numbers: Sequence[str] | None, named: Sequence[tuple[str, str, str]]
) -> Range | dict[str, Range] | None:
    """The range for all inputs or outputs, or for some of them by name; None where none was given."""
    if named:
        return {name: _range(low, high) for name, low, high in named}
    return None if numbers is None else _range(*numbers)


def _range(low: str, high: str) -> Range:
    if low == high == RAW:
        return RAW
    try:
        return float(low), float(high)
    except ValueError:
        raise ValueError(
            f"A range must be two numbers, LOW HIGH, or for inputs the word {RAW}. Received: {low!r} {high!r}"
        ) from None
