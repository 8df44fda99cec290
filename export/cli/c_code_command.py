"""The command that writes C: `keras-ternary-spike c-code MODEL -o FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..c_code.projects.layouts import PROJECTS
from ..user_files import check_folder, import_module
from .arguments import check_samples_file, check_source, command_parser
from .export_command import add_modules, add_network_options, given_network, load_samples
from .ranges import spelled_out

if TYPE_CHECKING:
    import keras


def write_c_code(arguments: Sequence[str]) -> None:
    """Writes a folder of C for a .keras model, or for a .tflite file of this package."""
    options = c_code_parser().parse_args(spelled_out(arguments))
    check_source(options.model, ".keras", ".tflite")
    if options.samples is not None:
        check_samples_file(options.samples)
    from ..c_code.export_c import export_c

    check_folder(options.output)
    model, chosen = model_and_options(options)
    export_c(model, options.output, name=options.name, project=options.project, **chosen)
    print_sizes(options.output)


def model_and_options(options: argparse.Namespace) -> tuple[keras.Model | bytes, dict[str, object]]:
    """A Keras model or the bytes of a file, and what else `export_c` and `export_web` take of either."""
    from ..tflite import flatbuffer

    for module in options.modules:
        import_module(module)
    model, chosen = given_network(options)
    several = len(flatbuffer.read(model).inputs if isinstance(model, bytes) else model.inputs) > 1
    samples = None if options.samples is None else load_samples(options.samples, several=several)
    classes = tuple(options.class_names.split(",")) if options.class_names else ()
    return model, chosen | {"class_names": classes, "samples": samples}


def print_sizes(folder: Path) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"{path}: {path.stat().st_size:,} bytes")


def c_code_parser() -> argparse.ArgumentParser:
    result = command_parser("c-code", "Write a network as C99 without interpreter, heap or float: the file's bits.")
    result.add_argument("model", type=Path, help="a .keras file, or a .tflite file of this package")
    add_modules(result)
    result.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new or empty folder for the C files"
    )
    result.add_argument("--name", default="model", help="prefix of every symbol and file (default: model)")
    result.add_argument("--project", choices=tuple(PROJECTS), help="layout of the folder (default: files side by side)")
    result.add_argument("--class-names", metavar="A,B,C", help="what the values of the output stand for")
    result.add_argument("--samples", type=Path, metavar="SAMPLES.npz", help="what the self-test runs (default: noise)")
    add_network_options(result.add_argument_group("of a .keras file"))
    return result
