"""The command that writes C: `keras-ternary-spike c-code MODEL -o FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..c_code.projects.layouts import PROJECTS
from .folder_commands import check_files, folder_parser, model_and_options, print_sizes
from .ranges import spelled_out


def write_c_code(arguments: Sequence[str]) -> None:
    """Writes a folder of C for a .keras model, or for a .tflite file of this package."""
    options = c_code_parser().parse_args(spelled_out(arguments))
    check_files(options)
    from ..c_code.export_c import export_c

    model, chosen = model_and_options(options)
    export_c(model, options.output, name=options.name, project=options.project, **chosen)
    print_sizes(options.output)


def c_code_parser() -> argparse.ArgumentParser:
    description = "Write a network as C99 without interpreter, heap or float: the file's bits."
    result = folder_parser("c-code", description, files="the C files", samples="what the self-test runs")
    result.add_argument("--name", default="model", help="prefix of every symbol and file (default: model)")
    result.add_argument("--project", choices=tuple(PROJECTS), help="layout of the folder (default: files side by side)")
    return result
