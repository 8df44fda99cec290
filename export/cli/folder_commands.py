"""What the commands share that write a folder for a .keras model, or for a .tflite file of this package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..user_files import check_folder, import_module
from .arguments import check_samples_file, check_source, command_parser
from .export_command import add_modules, add_network_options, given_network, load_samples

if TYPE_CHECKING:
    import keras


def folder_parser(name: str, description: str, *, files: str, samples: str) -> argparse.ArgumentParser:
    """files: what the folder is for; samples: what they are for."""
    result = command_parser(name, description)
    result.add_argument("model", type=Path, help="a .keras file, or a .tflite file of this package")
    add_modules(result)
    result.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help=f"a new or empty folder for {files}"
    )
    result.add_argument("--class-names", metavar="A,B,C", help="what the values of the output stand for")
    result.add_argument("--samples", type=Path, metavar="SAMPLES.npz", help=f"{samples} (default: noise)")
    add_network_options(result.add_argument_group("of a .keras file"))
    return result


def check_files(options: argparse.Namespace) -> None:
    """Those that are read and, after them, the folder that is written."""
    check_source(options.model, ".keras", ".tflite")
    if options.samples is not None:
        check_samples_file(options.samples)
    check_folder(options.output)


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
