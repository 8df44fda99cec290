"""From a model, or a file of this package, to an ONNX file of the same integers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..model_or_file import program_of
from ..program.program import Program
from .translation import FORMS, translated

if TYPE_CHECKING:
    import keras

OPSET = 21
IR_VERSION = 10  # of the same release of ONNX, 1.16


def export_onnx(model_or_tflite: keras.Model | bytes, *, operators: str = "quantized", **options: object) -> bytes:
    """Writes a network as an ONNX file of opset 21 whose int8 outputs are those of the .tflite file, in every value.

    Inputs and outputs are int8 and have the .tflite file's names, shapes, scales and zero points. Images have their
    channels last, as there; between the ends they are first, as ONNX wants it.

    Args:
        model_or_tflite: Built Keras model, or the bytes of a .tflite file that `export_tflite` returned.
        operators: `"quantized"` computes on uint8 with QLinearConv. `"float32"` computes the same integers as whole
            numbers in float32 with Conv, for runtimes without QLinearConv. Default: `"quantized"`.
        **options: Of `export_tflite`, where a Keras model is given, such as `input_range` and `batch`.

    Returns:
        The bytes of the file.

    Raises:
        ImportError: if `onnx` is not installed.
        ValueError: for unknown `operators`; if the file is of another tool or corrupt, or an operator is not known
            here; with `"float32"`, if a sum of products may exceed 2^24; and as `export_tflite`.

    Example:
        >>> Path("model.onnx").write_bytes(export_onnx(model, input_range=(0, 1)))
    """
    check_operators(operators)
    check_onnx()
    return onnx_bytes(program_of(model_or_tflite, options), operators)


def check_operators(operators: object) -> None:
    if operators not in FORMS:
        raise ValueError(f"`operators` must be one of {', '.join(map(repr, FORMS))}. Received: operators={operators!r}")


def check_onnx() -> None:
    """Raises ImportError, naming the extra, where `onnx` is missing."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError("ONNX files need onnx. Install it with: pip install 'keras-ternary-spike[onnx]'") from error


def onnx_bytes(program: Program, operators: str) -> bytes:
    """The file of a program. Raises: ValueError as `export_onnx`."""
    from onnx import checker, helper

    graph = translated(program, FORMS[operators])
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="keras-ternary-spike")
    helper.set_model_props(model, _facts(program))
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _facts(program: Program) -> Mapping[str, str]:
    """What the file says of itself: the .tflite file's metadata, and how its integers are read as real numbers."""
    named = {**program.named_inputs, **program.named_outputs}
    grids = {name: program.tensors[index] for name, index in named.items()}
    stated = {name: {"scale": float(t.scale), "zero_point": t.zero_point} for name, t in grids.items()}
    return {"keras_ternary_spike": json.dumps(dict(program.metadata)), "quantization": json.dumps(stated)}
