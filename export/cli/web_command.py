"""The command that writes a page: `keras-ternary-spike web MODEL -o FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..user_files import check_folder
from .arguments import check_samples_file, check_source, command_parser
from .c_code_command import model_and_options, print_sizes
from .export_command import add_modules, add_network_options
from .ranges import spelled_out


def write_web(arguments: Sequence[str]) -> None:
    """Writes a folder with a page for a .keras model, or for a .tflite file of this package."""
    options = web_parser().parse_args(spelled_out(arguments))
    check_source(options.model, ".keras", ".tflite")
    if options.samples is not None:
        check_samples_file(options.samples)
    from ..web.export_web import export_web

    check_folder(options.output)
    model, chosen = model_and_options(options)
    sources = tuple(options.sources.split(",")) if options.sources else None
    export_web(model, options.output, sources=sources, litert=options.litert, **chosen)
    print_sizes(options.output)
    print(f"Serve it: python -m http.server --directory {options.output} 8000, and open http://localhost:8000")


def web_parser() -> argparse.ArgumentParser:
    result = command_parser("web", "Write a page that runs a network in the browser and shows its spikes.")
    result.add_argument("model", type=Path, help="a .keras file, or a .tflite file of this package")
    add_modules(result)
    result.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new or empty folder for the page"
    )
    result.add_argument("--class-names", metavar="A,B,C", help="what the values of the output stand for")
    result.add_argument(
        "--samples", type=Path, metavar="SAMPLES.npz", help="what the page offers and checks itself on (default: noise)"
    )
    result.add_argument(
        "--sources",
        metavar="A,B",
        help="where inputs come from: drawing, image, camera, microphone, samples (default: all that fit)",
    )
    result.add_argument(
        "--litert",
        type=Path,
        metavar="FOLDER",
        help="where `npm install @litertjs/core` was run (default: npm gets it)",
    )
    add_network_options(result.add_argument_group("of a .keras file"))
    return result
