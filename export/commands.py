"""The commands on .tflite files: `keras-ternary-spike inspect` and `check`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "keras-ternary-spike"


def inspect_file(arguments: Sequence[str]) -> None:
    """Prints what a .tflite file says of itself."""
    options = parser("inspect", "Print the metadata and the operators of a .tflite file.").parse_args(arguments)
    from .inspection import inspect

    print(inspect(options.model.read_bytes()))


def check_file(arguments: Sequence[str]) -> None:
    """Prints which operators a target runs. Raises: ValueError if it refuses any."""
    options = check_parser().parse_args(arguments)
    from .targets import check, check_target

    check_target(options.target)
    report = check(options.model.read_bytes(), target=options.target)
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    if report.refused:
        raise ValueError(f"{len(report.refused)} of {len(report.operators)} operators do not run on {options.target}.")


def check_parser() -> argparse.ArgumentParser:
    result = parser("check", "Say of every operator of a .tflite file whether a target runs it.")
    result.add_argument(
        "--target", required=True, metavar="TARGET", help="such as litert, tflm, ethos-u55-128, edgetpu"
    )
    result.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return result


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser for one command on one .tflite file."""
    result = argparse.ArgumentParser(prog=f"{PROGRAM} {command}", description=description)
    result.add_argument("model", type=Path, help="the .tflite file")
    return result
