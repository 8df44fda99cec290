"""One contestant of steps.py: a network in one library, which takes training steps when it is told to.

    python -m benchmarks.training.contestants <name> <network> --timesteps 4 --batch 64

Reads a number of steps from each line of its input and answers with one line of JSON: the seconds they took, and the
memory of the process at its peak, in MiB beyond what it had before its first step.

Names: "keras_ternary_spike"; "keras_relu", the same network with ReLU; "keras_plain", the neuron's equations as a loop
that Keras differentiates; "spikingjelly", "snntorch", "torch_loop" with the neuron that is nearest to ours. All compute
the same convolutions: the first, on a still image, once.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.training.contestant_task import KERAS, SHAPES, TORCH, Task

PROCESS = Path("/proc/self")


def memory(field: str) -> float:
    """MiB of VmRSS (now) or VmHWM (at the peak); 0 where the system does not say."""
    status = PROCESS / "status"
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


def serve(step: Callable[[], object]) -> None:
    before = memory("VmRSS")
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        answer = {"seconds": time.perf_counter() - start, "peak_mib": memory("VmHWM") - before}
        print(json.dumps(answer), flush=True)


def command_line() -> Task:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=(*KERAS, *TORCH))
    parser.add_argument("network", choices=tuple(SHAPES))
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--layout", choices=("channels_last", "contiguous"), default="channels_last", help="of PyTorch")
    parser.add_argument("--compile", dest="compiled", action="store_true", help="torch.compile")
    return Task(**vars(parser.parse_args()))


def main() -> None:
    task = command_line()
    library = "contestants_keras" if task.name in KERAS else "contestants_torch"  # only one need be installed
    serve(importlib.import_module(f"benchmarks.training.{library}").training_step(task))


if __name__ == "__main__":
    main()
