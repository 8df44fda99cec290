"""Runs a file on a runtime in a process of its own: a file may be well formed and still make a runtime abort."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import implementations as runtimes

MODULE = "keras_ternary_spike.export.runtimes.own_process"  # __name__ is "__main__" in the child
NAMES = {"litert": "LiteRT", "tflm": "TFLite Micro"}
LIMIT_SECONDS = 1800  # a foreign file may hold an endless loop


def run_in_own_process(runtime: str, tflite_bytes: bytes) -> object:
    """What BY_RUNTIME[runtime] says of a file, computed by a child process.

    Raises:
        ImportError: naming the extra to install, if the runtime is missing.
        ValueError: if the runtime refuses the file, or takes its process down.
    """
    if runtime not in runtimes.installed() and runtime == "tflm":
        raise ImportError("TFLite Micro is not installed. Install it with: pip install 'keras-ternary-spike[tflm]'")
    with tempfile.TemporaryDirectory() as folder:
        path, answer = Path(folder) / "model.tflite", Path(folder) / "answer.json"
        path.write_bytes(tflite_bytes)
        run = _run(runtime, path, answer)
        said = [line for line in run.stderr.splitlines() if line.strip() and not line.startswith("INFO")]
        if not answer.exists():
            last = said[-1] if said else "no message"
            raise ValueError(f"{NAMES[runtime]} broke down on the file: exit code {run.returncode}, {last}")
        found = json.loads(answer.read_text())
    if "error" in found:
        raise ValueError(" ".join([found["error"], *said]))
    return found["answer"]


def _run(runtime: str, path: Path, answer: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", MODULE, runtime, str(path), str(answer)]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"{NAMES[runtime]} must be done with the file in {LIMIT_SECONDS} seconds. It is not."
        ) from error


def partitions(tflite_bytes: bytes) -> list[list[int]]:
    """The file's operators, as indices in the order of the file, that each of LiteRT's delegate nodes computes."""
    interpreter = runtimes.litert(tflite_bytes)
    runtimes.run_on_zeros(interpreter)
    # The runtime has no public function for it. Delegate nodes stand behind the file's own.
    nodes = interpreter._get_ops_details()
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    return [members(own, node) for node in nodes if node["op_name"] == "DELEGATE"]


def members(nodes: Sequence[Mapping], delegate: Mapping) -> list[int]:
    """Indices of the nodes between a delegate's inputs and its outputs, both tensor indices."""
    producers = {int(tensor): index for index, node in enumerate(nodes) for tensor in node["outputs"]}
    outside = set(map(int, delegate["inputs"]))
    found: set[int] = set()
    waiting = [int(tensor) for tensor in delegate["outputs"]]
    while waiting:
        tensor = waiting.pop()
        index = producers.get(tensor)
        if tensor not in outside and index is not None and index not in found:
            found.add(index)
            waiting += map(int, nodes[index]["inputs"])
    return sorted(found)


def main(runtime: str, path: str, answer: str) -> None:
    """The child: writes {"answer": ...} or {"error": ...} to a file, whatever else is printed."""
    try:
        found = {"answer": BY_RUNTIME[runtime](Path(path).read_bytes())}
    except ValueError as error:
        found = {"error": str(error)}
    Path(answer).write_text(json.dumps(found))


BY_RUNTIME: Mapping[str, Callable[[bytes], object]] = {"litert": partitions, "tflm": runtimes.arena_bytes}

if __name__ == "__main__":
    main(*sys.argv[1:])
