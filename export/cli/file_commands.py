"""The commands beside `export`: `keras-ternary-spike inspect`, `check` and `c-array` on .tflite files, and `sweep`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ..user_files import check_output, write_together
from .arguments import check_source, command_parser, file_parser

CPP_SUFFIXES = (".cc", ".cpp", ".cxx")
MAIN = "main.cc"


def inspect_file(arguments: Sequence[str]) -> None:
    """Prints what a .tflite file says of itself."""
    options = file_parser("inspect", "Print the metadata and the operators of a .tflite file.").parse_args(arguments)
    check_source(options.model, ".tflite")
    from ..tflite.inspection import inspect

    print(inspect(options.model.read_bytes()))


def check_file(arguments: Sequence[str]) -> None:
    """Prints which operators a target runs. Raises: ValueError if it refuses any."""
    options = check_parser().parse_args(arguments)
    from ..targets.check import check, check_target

    check_target(options.target)
    check_source(options.model, ".tflite")
    report = check(options.model.read_bytes(), target=options.target)
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    if report.refused:
        raise ValueError(f"{len(report.refused)} of {len(report.operators)} operators do not run on {options.target}.")


def check_parser() -> argparse.ArgumentParser:
    result = file_parser("check", "Say of every operator of a .tflite file whether a target runs it.")
    result.add_argument(
        "--target", required=True, metavar="TARGET", help="such as litert, tflm, ethos-u55-128, edgetpu"
    )
    result.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return result


def write_c_array(arguments: Sequence[str]) -> None:
    """Writes the C++ sources of a .tflite file side by side; a main.cc that is there is the user's and stays."""
    options = c_array_parser().parse_args(arguments)
    output = options.output
    if output.suffix not in CPP_SUFFIXES or output.name == MAIN:
        raise ValueError(f"The output must be a C++ file such as model_data.cc, not {MAIN}. Received: {output}")
    check_source(options.model, ".tflite")
    from ..targets.c_sources import c_sources

    sources = c_sources(options.model.read_bytes(), name=output.stem)
    sources[output.name] = sources.pop(f"{output.stem}.cc")
    paths = {output.parent / name: text.encode() for name, text in sources.items()}
    for path in paths:
        check_output(path, options.model)
    kept = {path for path in paths if path.name == MAIN and path.exists()}
    write_together({path: text for path, text in paths.items() if path not in kept})
    for path, text in paths.items():
        print(f"{path}: kept, it was there" if path in kept else f"{path}: {len(text):,} bytes")


def c_array_parser() -> argparse.ArgumentParser:
    result = file_parser("c-array", f"Write a .tflite file as C++ for TFLite Micro, with operators, arena and {MAIN}.")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL_DATA.cc", help="the array's file")
    return result


def sweep(arguments: Sequence[str]) -> None:
    """Trains, exports and measures every point of a grid that is not on disk yet, and draws the Pareto fronts."""
    options = sweep_parser().parse_args(arguments)
    check_source(options.config, ".toml")
    from ..sweep.run import run_sweep

    run_sweep(options.config, options.output or options.config.with_suffix(""), scheduler=options.scheduler)


def sweep_parser() -> argparse.ArgumentParser:
    description = "Train and export a grid of networks; draw accuracy against latency, RAM, flash and additions."
    result = command_parser("sweep", description)
    result.add_argument("config", type=Path, help="the sweep, a .toml file")
    result.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where results go, and where an interrupted sweep goes on (default: the .toml file's name without suffix)",
    )
    result.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers train the points (default: this machine)",
    )
    return result
