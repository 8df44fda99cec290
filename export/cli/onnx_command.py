"""The command that writes ONNX: `keras-ternary-spike onnx MODEL -o MODEL.onnx`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..user_files import check_output, import_module, write_atomically
from .arguments import check_source, check_suffix, command_parser
from .export_command import add_ends, add_modules, add_network_options, given_network
from .ranges import spelled_out


def write_onnx(arguments: Sequence[str]) -> None:
    """Writes an ONNX file for a .keras model, or for a .tflite file of this package."""
    options = onnx_parser().parse_args(spelled_out(arguments))
    check_output(options.output, options.model)
    check_suffix(options.output, ".onnx")
    check_source(options.model, ".keras", ".tflite")
    from ..onnx.export_onnx import check_onnx, export_onnx

    check_onnx()
    for module in options.modules:
        import_module(module)
    model, chosen = given_network(options)
    if not isinstance(model, bytes):
        chosen |= {"batch": options.batch, "io": options.io}
    data = export_onnx(model, operators=options.operators, **chosen)
    write_atomically(options.output, data)
    print(f"{options.output}: {len(data):,} bytes")


def onnx_parser() -> argparse.ArgumentParser:
    result = command_parser("onnx", "Write a network as an ONNX file of opset 21: the .tflite file's integers.")
    result.add_argument("model", type=Path, help="a .keras file, or a .tflite file of this package")
    add_modules(result)
    result.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL.onnx", help="the ONNX file")
    result.add_argument(
        "--operators",
        choices=("quantized", "float32"),
        default="quantized",
        help="QLinearConv on uint8, or float32 operators on whole numbers, as OpenVINO needs it (default: quantized)",
    )
    group = result.add_argument_group("of a .keras file")
    add_network_options(group)
    add_ends(group)
    return result
