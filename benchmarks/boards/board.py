"""Instructions on microcontrollers, emulated by QEMU: the C of this package beside TensorFlow Lite Micro with CMSIS-NN.

    python -m benchmarks.boards.board                                  the C alone
    python -m benchmarks.boards.board --tflite-micro DIR               both
    python -m benchmarks.boards.board --thresholds 0.2 0.5 1 2 4       the cost against the share that fires
    python -m benchmarks.boards.board --boards m7 --steps              where the C spends it
    python -m benchmarks.boards.board --tflite-micro DIR --files one.tflite two.tflite --kinds

DIR is the user's own checkout of TFLM; after its own `make -f tensorflow/lite/micro/tools/make/Makefile
third_party_downloads OPTIMIZED_KERNEL_DIR=cmsis_nn` the libraries that it needs are there, too; they may also lie
beside it (flatbuffers, gemmlowp, ruy, and CMSIS-NN by --cmsis-nn). Nothing of their code is part of this project.

fired: mean share of values that fired, over all tensors of spikes. RAM: of TFLM its arena; of the C its arena, stack,
input and output. code: without the C library. differing: values of the output that are not LiteRT's. QEMU executes
instruction by instruction and has no pipeline, caches or wait states: these are counts, not times.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import numpy as np

from benchmarks.boards import emulator, engine, interpreter
from benchmarks.files import zoo
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.costs.relu_network import relu_network
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.program.names import spike_tensors
from keras_ternary_spike.export.runtimes.implementations import litert, set_inputs
from keras_ternary_spike.export.targets.check import CORTEX_M
from keras_ternary_spike.export.tflite import flatbuffer

NETWORKS = ("keyword_spotter", "tiny")
TIMESTEPS = (1, 2, 4)
BOARDS = ("m3", "m4", "m7", "m55")
SAMPLES = 2
BUILDS = Path(tempfile.gettempdir()) / "keras_ternary_spike_boards"
HEADER = ("file", "fired", "core", "by", "instructions", "RAM", "code", "weights", "differing")
TFLM, ENGINE = "TFLM", "C"


def network_files(name: str, timesteps: Sequence[int], thresholds: Sequence[float]) -> Iterator[tuple[str, bytes]]:
    """The files of one network, labelled: its ReLU network first; of several timesteps also that for Cortex-M."""
    model = zoo.randomized(name, timesteps=1)
    yield f"{name}, ReLU", flatbuffer.write(relu_network(fold_network(describe(model))))
    for count in timesteps:
        for threshold in thresholds:
            at = f", threshold {threshold}" if len(thresholds) > 1 else ""
            spiking = zoo.randomized(name, timesteps=count, threshold=threshold)
            yield f"{name}, T={count}{at}", export_tflite(spiking)
            if count > 1:
                yield f"{name}, T={count}{at}, for {CORTEX_M}", export_tflite(spiking, target=CORTEX_M)


def samples(tflite_bytes: bytes, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs of anybody's int8 file and LiteRT's outputs, `(samples, values)`; the same at every call."""
    runtime = litert(tflite_bytes)
    rng = np.random.default_rng(1)
    inputs, outputs = [], []
    for _ in range(count):
        shapes = [detail["shape"][1:] for detail in runtime.get_input_details()]
        sample = [rng.integers(-128, 128, shape, np.int8) for shape in shapes]
        set_inputs(runtime, [values[None] for values in sample])
        runtime.invoke()
        inputs.append(_joined(sample))
        outputs.append(_joined([runtime.get_tensor(detail["index"]) for detail in runtime.get_output_details()]))
    return np.stack(inputs), np.stack(outputs)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def rows(label: str, tflite_bytes: bytes, arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """For every board one row of TFLM's, if asked for, and one of the C, if the file is one of this package."""
    inputs, outputs = samples(tflite_bytes, SAMPLES)
    fired = fired_share(tflite_bytes, inputs)
    for name in arguments.boards:
        core = emulator.BOARDS[name].core
        if arguments.tflite_micro:
            yield from interpreter_rows((label, fired, core, TFLM), name, tflite_bytes, inputs, outputs, arguments)
        if fired:
            yield from engine_rows((label, fired, core, ENGINE), name, tflite_bytes, inputs, outputs, arguments)


def interpreter_rows(start, name, tflite_bytes, inputs, outputs, arguments) -> Iterator[tuple[str, ...]]:
    """TFLM's row, with --kinds one more for every kind of operator."""
    run = run_file(name, tflite_bytes, inputs, arguments)
    yield (*start, millions(np.mean(run.instructions)), f"{run.arena:,}", "", "", differing(run.outputs, outputs))
    if arguments.kinds:
        yield from (("", "", "", f"  {kind}", millions(count), "", "", "", "") for kind, count in run.kinds.items())


def engine_rows(start, name, tflite_bytes, inputs, outputs, arguments) -> Iterator[tuple[str, ...]]:
    """The row of the C, with --steps one more for every call of a kernel."""
    run = engine.run(emulator.BOARDS[name], tflite_bytes, inputs, steps=arguments.steps)
    ram = run.arena + run.stack + inputs.shape[1] + outputs.shape[1]
    sizes = (f"{ram:,}", f"{run.code:,}", f"{run.weights:,}")
    yield (*start, millions(np.mean(run.instructions)), *sizes, differing(run.outputs, outputs))
    yield from (("", "", "", f"  {note}", millions(count), "", "", "", "") for note, count in run.steps.items())


def differing(found: bytes, outputs: np.ndarray) -> str:
    """How many of the outputs are not the expected ones."""
    return f"{np.count_nonzero(np.frombuffer(found, np.int8) != outputs.ravel())} of {outputs.size}"


def fired_share(tflite_bytes: bytes, inputs: np.ndarray) -> str:
    """Mean share of spikes in a file's tensors of spikes, as text; empty for files without any."""
    try:
        program = flatbuffer.read(tflite_bytes)
    except ValueError:
        return ""  # of another tool
    names = [tensor.name for _, tensor in spike_tensors(program)]
    if not names:
        return ""
    (index,) = program.inputs
    values = program.trace(inputs.reshape(-1, *program.tensors[index].shape[1:]), keep=set(names))
    return f"{np.mean([np.count_nonzero(values[name]) / values[name].size for name in names]):.0%}"


def run_file(name: str, tflite_bytes: bytes, inputs: np.ndarray, arguments: argparse.Namespace) -> interpreter.Run:
    """Builds the interpreter for a board where that is not done, and runs a file on it."""
    board = emulator.BOARDS[name]
    sources = interpreter.checkouts(arguments.tflite_micro, arguments.cmsis_nn, reference=arguments.reference)
    image = interpreter.build(board, sources, arguments.builds / f"tflm-{name}{'-reference' * arguments.reference}")
    with tempfile.TemporaryDirectory() as folder:
        return interpreter.run(board, image, tflite_bytes, inputs, Path(folder))


def millions(instructions: float) -> str:
    return f"{instructions / 1e6:.3f} M"


def chosen(arguments: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """The files to run, labelled."""
    if arguments.files:
        yield from ((path.name, path.read_bytes()) for path in arguments.files)
        return
    for name in arguments.networks:
        yield from network_files(name, arguments.timesteps, arguments.thresholds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflite-micro", type=Path, metavar="DIR", help="a checkout of TFLM")
    parser.add_argument("--cmsis-nn", type=Path, metavar="DIR", help="default: among TFLM's downloads")
    parser.add_argument("--reference", action="store_true", help="TFLM's reference kernels instead of CMSIS-NN's")
    parser.add_argument("--boards", nargs="+", choices=emulator.BOARDS, default=BOARDS, metavar="BOARD")
    parser.add_argument("--networks", nargs="+", choices=zoo.INPUTS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--timesteps", nargs="+", type=int, default=TIMESTEPS, metavar="T")
    parser.add_argument("--thresholds", nargs="+", type=float, default=(0.5,), metavar="THRESHOLD")
    parser.add_argument("--files", nargs="+", type=Path, metavar="TFLITE", help="these instead of the networks'")
    parser.add_argument("--kinds", action="store_true", help="instructions of every kind of operator, too")
    parser.add_argument("--steps", action="store_true", help="instructions of every call of the C, too")
    parser.add_argument("--builds", type=Path, default=BUILDS, metavar="DIR", help=f"default: {BUILDS}")
    arguments = parser.parse_args()
    print(setting.describe(), *emulator.versions(), sep="\n", end="\n\n")
    found = [row for label, tflite_bytes in chosen(arguments) for row in rows(label, tflite_bytes, arguments)]
    print(setting.table([HEADER, *found]))


if __name__ == "__main__":
    main()
