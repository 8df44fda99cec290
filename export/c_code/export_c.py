"""From a model, or a file of this package, to a folder of C."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..model_or_file import program_of
from ..program.program import Program
from ..program.samples import Samples
from ..user_files import check_folder, write_folder
from .c_text import check_name
from .design import design
from .header import header_text
from .projects.layouts import layout
from .report import report_text
from .selftest import selftest_text
from .source import source_text
from .vectors import vectors

if TYPE_CHECKING:
    import keras


def export_c(
    model_or_tflite: keras.Model | bytes,
    folder: str | os.PathLike,
    *,
    name: str = "model",
    class_names: Sequence[str] = (),
    samples: Samples | None = None,
    project: str | None = None,
    **options: object,
) -> None:
    """Writes a network as C99 that any C or C++ compiler takes: no interpreter, no heap, no float, the file's bits.

    Args:
        model_or_tflite: Built Keras model, or the bytes of a .tflite file that `export_tflite` returned.
        folder: Where the files go: a folder that does not exist or is empty. All of them are written, or none.
        name: Prefix of every symbol and file, a C identifier. Default: `"model"`.
        class_names: What the values of the only output stand for, in order. Default: none.
        samples: Numbers as the model takes them; the self-test runs the first of them. Default: noise.
        project: Layout of the folder: `"cmake"`, `"arduino"`, `"esp-idf"`, `"zephyr"` or `"platformio"`, with that
            tool's own files. Default: all files side by side.
        **options: Of `export_tflite`, where a Keras model is given, such as `input_range` and `form`.

    Raises:
        ValueError: if the file is of another tool or corrupt, an operator has no C kernel, `name` is no identifier, or
            the folder is not empty; and as `export_tflite`.
        OSError: if the folder cannot be written.

    Example:
        >>> export_c(model, "board", name="kws", input_range=(-1, 1))
    """
    check_name(name)
    target = check_folder(Path(folder))
    files = c_files(program_of(model_or_tflite, options), name=name, class_names=tuple(class_names), samples=samples)
    write_folder(target, layout(files, name=name, project=project))


def c_files(
    program: Program, *, name: str, class_names: tuple[str, ...] = (), samples: Samples | None = None
) -> dict[str, bytes]:
    """The C files of a program, by their paths in the folder. Raises: ValueError as `export_c`."""
    planned = design(program, name)
    _check_classes(class_names, planned.classes)
    texts = {
        f"{name}.h": header_text(planned, class_names),
        f"{name}.c": source_text(planned, class_names),
        f"{name}_selftest.c": selftest_text(planned, vectors(program, samples)),
        f"{name}.json": report_text(planned),
    }
    return {path: text.encode() for path, text in texts.items()}


def _check_classes(class_names: tuple[str, ...], classes: int | None) -> None:
    if class_names and len(class_names) != classes:
        raise ValueError(
            f"`class_names` must hold a name for each of the {classes or 'values of one output'}. "
            f"Received: {len(class_names)}"
        )
