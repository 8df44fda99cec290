"""Where a benchmark runs: the machine and the versions; how spread is printed; the example's trained network."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts it
PACKAGES = ("keras-ternary-spike", "tensorflow", "keras", "numpy", "ai-edge-litert", "tflite-micro", "ethos-u-vela")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(EXAMPLES))  # the benchmarks share the example's data sets, baseline and network


def describe(*packages: str) -> str:
    """Two lines: the machine, the versions. packages: further ones."""
    versions = ", ".join(f"{name} {_version(name)}" for name in (*PACKAGES, *packages))
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    return f"machine   {machine}\nversions  {versions}"


def spread(values: Iterable[float], unit: str = "", digits: int = 3) -> str:
    """The median and, in brackets, the quartiles."""
    low, median, high = np.percentile(list(values), (25, 50, 75))
    return f"{median:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as lines with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def trained(dataset: str, output: Path) -> Path:
    """The folder with the model that the example trained on `dataset`; runs the example if there is none yet."""
    folder = output / dataset
    if not (folder / "report.json").exists():
        command = [sys.executable, str(EXAMPLES / "train_and_export.py"), "--dataset", dataset, "--output", str(output)]
        subprocess.run([*command, *data_dir(dataset)], check=True)
    return folder


def data_dir(dataset: str) -> list[str]:
    """The example's argument for a data set that is installed on this machine."""
    return ["--data-dir", str(FASHION_MNIST)] if dataset == "fashion_mnist" and FASHION_MNIST.exists() else []


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
