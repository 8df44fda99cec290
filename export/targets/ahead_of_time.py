"""Compiles a file for the NPU of a phone or PC: LiteRT's ahead-of-time compilation with the vendor's own compiler.

The compilers come with packages of their own, which download them from the vendor when they are installed.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

MODULE = "keras_ternary_spike.export.targets.ahead_of_time"  # __name__ is "__main__" in the child
LIMIT_SECONDS = 1800
DATA = "data"  # the folder of a package into which its installation puts the compiler
LOG = re.compile(r"See (\S+\.error) for details")


@dataclass(frozen=True)
class Chip:
    """vendor: LiteRT's module of it; package: what brings the compiler; model: the chip, as LiteRT calls it."""

    vendor: str
    package: str
    model: str


CHIPS: Mapping[str, Chip] = {
    **{f"intel-{name.lower()}": Chip("intel_openvino", "intel", name) for name in ("LNL", "PTL")},
    **{f"qualcomm-{name.lower()}": Chip("qualcomm", "qualcomm", name) for name in ("SM8650", "SM8750", "SM8850")},
    **{f"mediatek-{name.lower()}": Chip("mediatek", "mediatek", name) for name in ("MT6989", "MT6991", "MT6993")},
    **{f"google-tensor-g{n}": Chip("google_tensor", "google_tensor", f"Tensor_G{n}") for n in (3, 4, 5)},
}


def compiled(tflite_bytes: bytes, target: str) -> bytes:
    """The file as LiteRT ships it: what the NPU computes is one custom operator, the rest is as it was.

    Raises:
        ImportError: naming the package to install, if the vendor's compiler is missing.
        ValueError: if the compiler does not take the file.
    """
    check_compiler(CHIPS[target])
    with tempfile.TemporaryDirectory() as folder:
        source, answer, result = (Path(folder) / name for name in ("model.tflite", "answer.json", "compiled.tflite"))
        source.write_bytes(tflite_bytes)
        command = [sys.executable, "-m", MODULE, target, str(source), str(answer), str(result)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"The compiler must be done in {LIMIT_SECONDS} seconds. It is not.") from error
        if not answer.exists():
            said = [line for line in run.stderr.splitlines() if line.strip()] or ["no message"]
            raise ValueError(f"The compiler broke down on the file: exit code {run.returncode}, {said[-1]}")
        error = json.loads(answer.read_text())
        if error:
            raise ValueError(f"The compiler does not take the file: {error}")
        return result.read_bytes()


def check_compiler(chip: Chip) -> None:
    """Raises ImportError if the package that brings a compiler is missing, or was installed without it."""
    name = f"ai_edge_litert_sdk_{chip.package}"
    extra = f"pip install 'keras-ternary-spike[aot-{chip.package.replace('_', '-')}]'"
    found = importlib.util.find_spec(name)
    if found is None:
        raise ImportError(f"The compiler for {chip.model} is not installed. Install it with: {extra}")
    if not (Path(found.origin).parent / DATA).is_dir():
        raise ImportError(
            f"{name} was installed without the compiler for {chip.model}, which its installation downloads from the "
            f"vendor. Where the vendor can be reached: pip uninstall {name.replace('_', '-')}, then {extra}"
        )


def compile_here(target: str, source: Path, result: Path) -> str | None:
    """Compiles in this process. Returns: what the compiler says if it does not take the file, else None."""
    from ai_edge_litert.aot.aot_compile import aot_compile

    chip = CHIPS[target]
    vendor = import_module(f"ai_edge_litert.aot.vendors.{chip.vendor}.target")
    import_module(f"ai_edge_litert.aot.vendors.{chip.vendor}.{chip.vendor}_backend")  # registers itself
    with tempfile.TemporaryDirectory() as folder:
        found = aot_compile(str(source), output_dir=folder, target=vendor.Target(vendor.SocModel(chip.model)))
        if not found.models:
            return reason(" ".join(error for _, error in found.failed_backends))
        model = found.models[0]
        result.write_bytes(model.model_bytes if model.in_memory else model.path.read_bytes())
    return None


def reason(said: str) -> str:
    """The first error in the log that a message points to; the message where there is none."""
    log = LOG.search(said)
    if log and Path(log[1]).exists():
        lines = [line for line in Path(log[1]).read_text(errors="replace").splitlines() if "ERROR" in line]
        return " ".join(lines[0].split()) if lines else said
    return said


def main(target: str, source: str, answer: str, result: str) -> None:
    """The child: writes what went wrong, or null, and the file."""
    Path(answer).write_text(json.dumps(compile_here(target, Path(source), Path(result))))


if __name__ == "__main__":
    main(*sys.argv[1:])
