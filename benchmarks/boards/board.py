"""Instructions on microcontrollers, emulated by QEMU: TensorFlow Lite Micro with CMSIS-NN, from the user's checkouts.

    python -m benchmarks.boards.board --tflite-micro DIR
    python -m benchmarks.boards.board --tflite-micro DIR --networks keyword_spotter --boards m7 m55 --timesteps 1 2
    python -m benchmarks.boards.board --tflite-micro DIR --files one.tflite two.tflite --kinds

DIR holds TFLM; after its own `make -f tensorflow/lite/micro/tools/make/Makefile third_party_downloads
OPTIMIZED_KERNEL_DIR=cmsis_nn` the libraries that it needs are there, too; they may also lie beside it (flatbuffers,
gemmlowp, ruy, and CMSIS-NN by --cmsis-nn). Nothing of their code is part of this project. Every output is compared with
LiteRT's. QEMU executes instruction by instruction and has no pipeline, caches or wait states: counts, not times.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import numpy as np

from benchmarks.boards import emulator, interpreter
from benchmarks.files import zoo
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.costs.relu_network import relu_network
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.runtimes.implementations import litert, set_inputs
from keras_ternary_spike.export.tflite import flatbuffer

NETWORKS = ("keyword_spotter", "tiny")
TIMESTEPS = (1, 2, 4)
BOARDS = ("m3", "m4", "m7", "m55")
SAMPLES = 2
BUILDS = Path(tempfile.gettempdir()) / "keras_ternary_spike_boards"
HEADER = ("file", "core", "instructions", "arena", "differing")


def network_files(name: str, timesteps: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """The files of one network, labelled: its ReLU network first."""
    models = {count: zoo.randomized(name, timesteps=count) for count in timesteps}
    yield f"{name}, ReLU", flatbuffer.write(relu_network(fold_network(describe(models[timesteps[0]]))))
    for count, model in models.items():
        yield f"{name}, T={count}", export_tflite(model)


def samples(tflite_bytes: bytes, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs of anybody's int8 file and LiteRT's outputs, `(samples, values)`; the same at every call."""
    runtime = litert(tflite_bytes)
    rng = np.random.default_rng(1)
    inputs, outputs = [], []
    for _ in range(count):
        shapes = [detail["shape"][1:] for detail in runtime.get_input_details()]
        sample = [rng.integers(-128, 128, shape, np.int8) for shape in shapes]
        set_inputs(runtime, sample)
        runtime.invoke()
        inputs.append(_joined(sample))
        outputs.append(_joined([runtime.get_tensor(detail["index"]) for detail in runtime.get_output_details()]))
    return np.stack(inputs), np.stack(outputs)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def rows(label: str, tflite_bytes: bytes, arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """One row for every board; with --kinds one more for every kind of operator."""
    inputs, outputs = samples(tflite_bytes, SAMPLES)
    for name in arguments.boards:
        run = run_file(name, tflite_bytes, inputs, arguments)
        differing = np.count_nonzero(np.frombuffer(run.outputs, np.int8) != outputs.ravel())
        instructions = np.mean(run.instructions)
        core = emulator.BOARDS[name].core
        yield label, core, millions(instructions), f"{run.arena:,}", f"{differing} of {outputs.size}"
        if arguments.kinds:
            yield from (("", f"  {kind}", millions(count), "", "") for kind, count in run.kinds.items())


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
        yield from network_files(name, arguments.timesteps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflite-micro", type=Path, required=True, metavar="DIR", help="a checkout of TFLM")
    parser.add_argument("--cmsis-nn", type=Path, metavar="DIR", help="default: among TFLM's downloads")
    parser.add_argument("--reference", action="store_true", help="TFLM's reference kernels instead of CMSIS-NN's")
    parser.add_argument("--boards", nargs="+", choices=emulator.BOARDS, default=BOARDS, metavar="BOARD")
    parser.add_argument("--networks", nargs="+", choices=zoo.INPUTS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--timesteps", nargs="+", type=int, default=TIMESTEPS, metavar="T")
    parser.add_argument("--files", nargs="+", type=Path, metavar="TFLITE", help="these instead of the networks'")
    parser.add_argument("--kinds", action="store_true", help="instructions of every kind of operator, too")
    parser.add_argument("--builds", type=Path, default=BUILDS, metavar="DIR", help=f"default: {BUILDS}")
    arguments = parser.parse_args()
    print(setting.describe(), *emulator.versions(), sep="\n", end="\n\n")
    found = [row for label, tflite_bytes in chosen(arguments) for row in rows(label, tflite_bytes, arguments)]
    print(setting.table([HEADER, *found]))


if __name__ == "__main__":
    main()
