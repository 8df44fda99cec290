"""Vela, Arm's compiler for the Ethos-U accelerators: what it places on the NPU and what it estimates.

Vela runs in a process of its own: its native core does not survive every file.
Reference: [ethos-u-vela](https://pypi.org/project/ethos-u-vela/).
"""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ACCELERATORS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
KIB = 1024
LIMIT_SECONDS = 1800  # a file that does not hold what it says may keep any compiler busy
MEMORIES = ("sram", "dram", "on_chip_flash", "off_chip_flash")
WARNING = re.compile(
    r"Warning \([^)]*\) operator: (?P<kind>\w+), ofm: '(?P<name>[^']*)'\n(?:Reason: )?(?P<why>(?:.+\n)*)"
)


@dataclass(frozen=True)
class VelaOperator:
    """One operator of Vela's report. kind: Vela's name; name: the tensor it writes; where: "NPU" or "CPU"."""

    kind: str
    name: str
    where: str


@dataclass(frozen=True)
class Compilation:
    """What Vela made of a file.

    rows: one per operator that Vela schedules; those that cost nothing (a reshape) have none.
    reasons: by tensor name, why Vela leaves the operator that writes it on the CPU.
    facts: "cycles" and "milliseconds" per inference (estimated), "clock_mhz", "npu_operators", "cpu_operators",
        "<memory>_bytes" for each of MEMORIES, and what was assumed: "system_config", "memory_mode".
    version: Vela's.
    """

    rows: tuple[VelaOperator, ...]
    reasons: Mapping[str, str]
    facts: Mapping[str, int | float | str]
    version: str


def compile_file(tflite_bytes: bytes, *, accelerator: str, options: Sequence[str] = ()) -> Compilation:
    """Compiles a .tflite file that `contents` accepts.

    Args:
        tflite_bytes: The file.
        accelerator: One of ACCELERATORS.
        options: More command-line options of Vela, such as ("--optimise", "Size").

    Raises:
        ImportError: naming the extra to install, if `ethos-u-vela` is missing.
        ValueError: if Vela refuses the file.
    """
    if importlib.util.find_spec("ethosu") is None:
        raise ImportError("Vela is not installed. Install it with: pip install 'keras-ternary-spike[ethos-u]'")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.tflite").write_bytes(tflite_bytes)
        log = _run(folder, ("--accelerator-config", accelerator, *options))
        rows = tuple(
            VelaOperator(row["Original Operator"], row["Name"], row["Target"])
            for row in _table(folder, "*_per-layer.csv")
        )
        (summary,) = _table(folder, "*_summary_*.csv")
    return Compilation(rows, _reasons(log), _facts(summary, rows), metadata.version("ethos-u-vela"))


def _run(folder: str, options: Sequence[str]) -> str:
    """Runs Vela on model.tflite in `folder`. Returns what it prints."""
    command = [sys.executable, "-m", "ethosu.vela", "model.tflite", "--output-dir", ".", "--verbose-performance"]
    settings = {"capture_output": True, "text": True, "errors": "replace", "timeout": LIMIT_SECONDS}
    try:
        run = subprocess.run([*command, *options], cwd=folder, **settings)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"Vela must be done with the file in {LIMIT_SECONDS} seconds. It is not.") from error
    if run.returncode:
        said = [line for line in run.stderr.splitlines() if line.strip()] or [f"exit code {run.returncode}"]
        raise ValueError(f"Vela refuses the file: {said[-1]}")
    return run.stdout


def _table(folder: str, pattern: str) -> list[dict[str, str]]:
    """The rows of the one .csv file that `pattern` names. Raises: ValueError if Vela wrote none."""
    paths = sorted(Path(folder).glob(pattern))
    if len(paths) != 1:
        raise ValueError(f"Vela wrote no {pattern}: this release of ethos-u-vela is not supported.")
    with open(paths[0], newline="") as file:
        rows = list(csv.DictReader(file))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("Vela's table has a line for every operator: names of tensors must hold no line breaks.")
    return rows


def _reasons(log: str) -> dict[str, str]:
    return {found["name"]: " ".join(found["why"].split()) for found in WARNING.finditer(log)}


def _facts(summary: Mapping[str, str], rows: Sequence[VelaOperator]) -> dict[str, int | float | str]:
    return {
        "npu_operators": sum(row.where == "NPU" for row in rows),
        "cpu_operators": sum(row.where != "NPU" for row in rows),
        "cycles": round(float(summary["cycles_total"])),
        "milliseconds": 1e3 * float(summary["inference_time"]),
        "clock_mhz": round(float(summary["core_clock"]) / 1e6),
        **{f"{memory}_bytes": round(KIB * float(summary[f"{memory}_memory_used"])) for memory in MEMORIES},
        "system_config": summary["system_config"],
        "memory_mode": summary["memory_mode"],
    }
