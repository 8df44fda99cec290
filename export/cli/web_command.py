"""The command that writes a page: `keras-ternary-spike web MODEL -o FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .folder_commands import check_files, folder_parser, model_and_options, print_sizes
from .ranges import spelled_out


def write_web(arguments: Sequence[str]) -> None:
    """Writes a folder with a page for a .keras model, or for a .tflite file of this package."""
    options = web_parser().parse_args(spelled_out(arguments))
    check_files(options)
    from ..web.export_web import export_web

    model, chosen = model_and_options(options)
    sources = tuple(options.sources.split(",")) if options.sources else None
    export_web(model, options.output, sources=sources, litert=options.litert, **chosen)
    print_sizes(options.output)
    print(f"Serve it: python -m http.server --directory {options.output} 8000, and open http://localhost:8000")


def web_parser() -> argparse.ArgumentParser:
    description = "Write a page that runs a network in the browser and shows its spikes."
    samples = "what the page offers and checks itself on"
    result = folder_parser("web", description, files="the page", samples=samples)
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
    return result
