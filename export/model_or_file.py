"""The Program of what users give to be written in another form: a Keras model, or a file of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .program.program import Program
from .tflite import flatbuffer

if TYPE_CHECKING:
    import keras


def program_of(model_or_tflite: keras.Model | bytes, options: Mapping[str, object]) -> Program:
    """The integer program.

    options: of `export_tflite`, where a Keras model is given.

    Raises:
        ValueError: if the file is of another tool or corrupt, or comes with options; and as `export_tflite`.
    """
    if isinstance(model_or_tflite, bytes | bytearray):
        if options:
            raise ValueError(f"A .tflite file takes no options of `export_tflite`. Received: {', '.join(options)}")
        program = flatbuffer.read(bytes(model_or_tflite))
        if "timesteps" not in program.metadata:
            raise ValueError("The .tflite file must be one that `export_tflite` of this package wrote. It is not.")
        return program
    from .exporter import export_tflite

    return flatbuffer.read(export_tflite(model_or_tflite, **options))
