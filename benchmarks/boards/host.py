"""The event-driven C on this machine, beside XNNPACK: one thread each, in turns, in one process.

    python -m benchmarks.boards.host
    python -m benchmarks.boards.host --timesteps 2 --thresholds 0.25 0.5 0.85 1.5

fired: mean share of values that fired. times XNNPACK: the C's time over LiteRT's, median and quartiles of alternating
runs, and behind a slash the ratio of the fastest runs, which a busy machine disturbs least. differing: values of the
output that are not LiteRT's.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import numpy as np

import baseline
from benchmarks.boards import board, engine
from benchmarks.files import zoo
from benchmarks.files.latency import ratio
from keras_ternary_spike.export import export_c, export_tflite
from keras_ternary_spike.export.runtimes.implementations import litert, set_inputs

FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
ROUNDS = 30
HEADER = ("file", "fired", "XNNPACK", "C", "times XNNPACK", "differing")
WRAPPER = """
#include "net.h"
static uint32_t arena[(NET_ARENA_BYTES + 3) / 4];
static net_t net;
void call(const int8_t *input, int8_t *output);
void call(const int8_t *input, int8_t *output)
{
    if (net.arena == 0)
        net_init(&net, (uint8_t *)arena);
    net_run(&net, input, output);
}
"""


def compiled(tflite_bytes: bytes, folder: Path) -> Callable[[np.ndarray, np.ndarray], None]:
    """The C of a file as a function of an input and an output, int8, built for this processor."""
    export_c(tflite_bytes, folder / engine.NAME, name=engine.NAME)
    (folder / "call.c").write_text(WRAPPER)
    sources = [folder / engine.NAME / f"{engine.NAME}.c", folder / "call.c"]
    library = folder / "net.so"
    subprocess.run(["cc", *FLAGS, f"-I{folder / engine.NAME}", *sources, "-o", library], check=True)
    call = ctypes.CDLL(str(library)).call
    call.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    return lambda source, target: call(source.ctypes.data, target.ctypes.data)


def row(label: str, tflite_bytes: bytes, rounds: int) -> tuple[str, ...]:
    """Both on the first of the random samples."""
    inputs, outputs = board.samples(tflite_bytes, board.SAMPLES)
    interpreter, made = litert(tflite_bytes), np.zeros(outputs.shape[1], np.int8)
    shape = interpreter.get_input_details()[0]["shape"]
    set_inputs(interpreter, [inputs[0].reshape(shape)])
    with tempfile.TemporaryDirectory() as folder:
        run = compiled(tflite_bytes, Path(folder))
        run(inputs[0], made)
        calls = {"XNNPACK": interpreter.invoke, "C": lambda: run(inputs[0], made)}
        times = baseline.time_calls(calls, rounds=rounds)
    both = (setting.spread(times[key], " ms") for key in calls)
    fired = board.fired_share(tflite_bytes, inputs)
    return label, fired, *both, ratio(times["C"], times["XNNPACK"]), board.differing(made.tobytes(), outputs[0])


def files(name: str, timesteps: list[int], thresholds: list[float]) -> Iterator[tuple[str, bytes]]:
    """The files of one network, labelled."""
    for count in timesteps:
        for threshold in thresholds:
            model = zoo.randomized(name, timesteps=count, threshold=threshold)
            yield f"{name}, T={count}, threshold {threshold}", export_tflite(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=zoo.INPUTS, default=("keyword_spotter",), metavar="NAME")
    parser.add_argument("--timesteps", nargs="+", type=int, default=(1, 2), metavar="T")
    parser.add_argument("--thresholds", nargs="+", type=float, default=(0.5, 0.85, 1.0), metavar="THRESHOLD")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    found = [
        row(label, tflite_bytes, arguments.rounds)
        for name in arguments.networks
        for label, tflite_bytes in files(name, arguments.timesteps, arguments.thresholds)
    ]
    print(setting.table([HEADER, *found]))


if __name__ == "__main__":
    main()
