"""From a model, or a file of this package, to a page that runs it in the browser."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..c_code.vectors import Vectors, noise, run_calls, vectors
from ..model_or_file import program_of
from ..program.program import Program
from ..program.samples import Samples
from ..tflite import flatbuffer
from ..user_files import check_folder, write_folder
from .litert_js import LiteRtJs, litert_js
from .page_data import COPY, FILE, check_data, page_data, state_free
from .sources import Fitting, chosen, fitting, margin
from .watched import watched

if TYPE_CHECKING:
    import keras

TEMPLATE = Path(__file__).with_name("template")
CHECKED = 20  # samples
IMPORTS = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


def export_web(
    model_or_tflite: keras.Model | bytes,
    folder: str | os.PathLike,
    *,
    class_names: Sequence[str] = (),
    samples: Samples | None = None,
    sources: Sequence[str] | None = None,
    litert: str | os.PathLike | None = None,
    **options: object,
) -> None:
    """Writes a page that runs a network in the browser, and shows its spikes: static files, for any file server.

    The file runs on LiteRT.js, which lies in the folder too: the page loads nothing from elsewhere and sends nothing.

    Args:
        model_or_tflite: Built Keras model, or the bytes of a .tflite file that `export_tflite` returned.
        folder: Where the files go: a folder that does not exist or is empty. All of them are written, or none.
        class_names: What the values of the only output stand for, in order. Default: numbers.
        samples: Numbers as the model takes them. The page offers the first 20 and, at a press of its button, compares
            what the browser computes for them with `Program.run`. Default: noise.
        sources: Where the page takes inputs from: some of `"drawing"`, `"image"`, `"camera"`, `"microphone"` and
            `"samples"`, the first one first. Default: all that fit the shape of the input.
        litert: A folder in which `npm install @litertjs/core` was run. Default: npm gets it.
        **options: Of `export_tflite`, where a Keras model is given, such as `input_range` and `form`.

    Raises:
        ValueError: if the file is of another tool or corrupt, the folder is not empty, a source does not fit, or
            LiteRT.js is neither given nor to be had; and as `export_tflite`.
        OSError: if the folder cannot be written.

    Example:
        >>> export_web(model, "page", class_names=["cat", "dog"], samples=images)
    """
    target = check_folder(Path(folder))
    program = program_of(model_or_tflite, options)
    given = bytes(model_or_tflite) if isinstance(model_or_tflite, bytes | bytearray) else flatbuffer.write(program)
    page = page_files(program, given, class_names=class_names, samples=samples, sources=sources)
    runtime = litert_js(None if litert is None else Path(litert))
    write_folder(target, with_runtime(page, runtime))


def page_files(
    program: Program,
    file: bytes,
    *,
    class_names: Sequence[str] = (),
    samples: Samples | None = None,
    sources: Sequence[str] | None = None,
) -> dict[str, bytes]:
    """The files of the page but LiteRT.js, by their paths in the folder. file: the .tflite file of the program.

    Raises: ValueError as `export_web`.
    """
    fit = fitting(program, state_free(program), sound=sources is not None and "microphone" in sources)
    checked = _vectors(program, samples)
    fit = _with_margin(fit, checked) if samples is not None else fit
    copy = watched(program)
    stated = {"file": file, "classes": tuple(class_names), "sources": chosen(fit, sources)}
    page = page_data(program, copy, fit, **stated)
    about, check = check_data(tuple(checked.inputs.values()), tuple(checked.outputs.values()))
    page["check"] = about | check_texts(about["samples"], noise=samples is None)
    texts = {"page.json": json.dumps(page, separators=(",", ":"), allow_nan=False), "index.html": index_html()}
    return {
        **template_files(),
        **{path: text.encode() for path, text in texts.items()},
        FILE: file,
        COPY: flatbuffer.write(copy),
        about["file"]: check,
    }


def with_runtime(page: Mapping[str, bytes], runtime: LiteRtJs) -> dict[str, bytes]:
    """The files of a page and those of LiteRT.js, which page.json names."""
    known = json.loads(page["page.json"]) | {
        "engine": f"LiteRT.js {runtime.version}, Apache License 2.0: XNNPACK in WebAssembly, one thread."
    }
    runtime_files = {f"litert/{path}": data for path, data in runtime.files.items()}
    return {**page, "page.json": json.dumps(known, separators=(",", ":")).encode(), **runtime_files}


def template_files() -> dict[str, bytes]:
    """The files that are the same in every page."""
    paths = [path for path in sorted(TEMPLATE.rglob("*")) if path.is_file()]
    return {path.relative_to(TEMPLATE).as_posix(): path.read_bytes() for path in paths}


def index_html() -> str:
    """The page, whose policy allows no script of its own but the map of imports."""
    text = (TEMPLATE / "index.html").read_text()
    digest = base64.b64encode(hashlib.sha256(IMPORTS.search(text)[1].encode()).digest()).decode()
    return text.replace("@IMPORTS@", f"sha256-{digest}")


def check_texts(samples: int, *, noise: bool) -> dict[str, str]:
    """What the check does, in a sentence for the page, and what one of its inputs is called."""
    which = f"{samples} inputs of noise" if noise else f"{samples} sample{'s' * (samples != 1)}"
    what = f"Runs {which} and compares every integer of the answer with what Program.run computed on export."
    return {"what": what, "called": "Noise" if noise else "Sample"}


def _vectors(program: Program, samples: Samples | None) -> Vectors:
    """What Program computes for the first samples, or for noise."""
    return run_calls(program, noise(program, CHECKED)) if samples is None else vectors(program, samples, most=CHECKED)


def _with_margin(fit: Fitting, checked: Vectors) -> Fitting:
    """Drawings are fitted to where the samples are."""
    if fit.picture is None or fit.picture.channels != 1 or fit.frames > 1 or fit.picture.events:
        return fit
    (images,) = checked.inputs.values()
    share = margin(images[:, 0].reshape(-1, fit.picture.height, fit.picture.width))
    return replace(fit, picture=replace(fit.picture, margin=share))
