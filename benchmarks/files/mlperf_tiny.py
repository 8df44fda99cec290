"""MLPerf Tiny's six networks, spiking, graded and with ReLU: bytes, arithmetic, cycles, milliseconds, instructions.

    python -m benchmarks.files.mlperf_tiny                                    45 minutes
    python -m benchmarks.files.mlperf_tiny --tasks SWW KWS --boards m4
    python -m benchmarks.files.mlperf_tiny --mlperf-tiny DIR --tflite-micro DIR

Weights are drawn as training could leave them: accuracy is not measured here. For each task:

    reference   MLPerf Tiny's own int8 file; --mlperf-tiny is the user's checkout of github.com/mlcommons/tiny
    converter   TensorFlow's full-int8 file of the same network with ReLU
    the others  files of this package

MACs: weights times real values, levels above 1, sums, or what is behind a ReLU; additions: weights times spikes, as
if all fired. fired: mean share of values other than 0, on the random inputs that run. cycles: Vela's estimate for
Ethos-U55-128 of the file that is exported for it, and how many operators it leaves to the CPU. XNNPACK: one thread,
the fastest of alternating runs. Instructions: on QEMU, of this package's C; of the others' files of TensorFlow Lite
Micro with CMSIS-NN (--tflite-micro, see benchmarks.boards.board).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np

import baseline
from benchmarks.boards import board, emulator, engine
from benchmarks.files import zoo
from keras_ternary_spike import MultiLevelLIF
from keras_ternary_spike.export import check, export_tflite
from keras_ternary_spike.export.costs.energy import arithmetic
from keras_ternary_spike.export.tflite import flatbuffer

TRAINED = "benchmark/training/{}/trained_models/{}.tflite"  # in the checkout of MLPerf Tiny
ACCELERATOR = "ethos-u55-128"
OUTPUT_RANGE = (-8.0, 8.0)
CALIBRATION_IMAGES, ROUNDS, RUN_SAMPLES = 8, 60, 1
BOARDS = ("m4", "m7", "m55")
REFERENCE, CONVERTER = "reference", "converter"
TOO_LARGE = "overflowed"  # the linker's word


@dataclass(frozen=True)
class Task:
    """network: its name in the zoo. classes: as in MLPerf Tiny. reference: the folder and the name of its int8 file."""

    network: str
    classes: int
    reference: tuple[str, str]


TASKS: Mapping[str, Task] = {
    "KWS": Task("keyword_spotter", 12, ("keyword_spotting", "kws_ref_model")),
    "VWW": Task("visual_wake_words", 2, ("visual_wake_words", "vww_96_int8")),
    "IC01": Task("resnet8", 10, ("image_classification", "pretrainedResnet_quant")),
    "IC02": Task("resnet8_wide", 10, ("image_classification", "pretrainedResnet_large_int8")),
    "AD": Task("anomaly_detector", 0, ("anomaly_detection", "ad01_int8")),
    "SWW": Task("wake_word", 3, ("streaming_wakeword", "str_ww_ref_model")),
}
ACTIVATIONS: Mapping[str, dict[str, Any]] = {
    "ReLU": {"neuron": keras.layers.ReLU, "max_value": 6.0, "timesteps": 1},  # so needs no samples for its range
    "{0..4}, T=1": {"neuron": MultiLevelLIF, "levels": 4, "signed": False, "threshold": 0.25, "timesteps": 1},
    "ternary, T=1": {"timesteps": 1},
    "ternary, T=2": {"timesteps": 2},
}
HEADER = ("task", "file", "bytes", "MACs", "additions", "fired", "cycles", "on the CPU", "XNNPACK")


def model_of(task: Task, activation: str) -> keras.Model:
    """A network at full size, its weights drawn; the same at every call."""
    keras.utils.set_random_seed(0)
    return zoo.drawn(zoo.built(task.network, task.classes, **ACTIVATIONS[activation]))


def samples_of(task: Task, count: int = CALIBRATION_IMAGES) -> np.ndarray:
    return zoo.images(task.network, count).astype("float32")


def exported(task: Task, activation: str, **options: Any) -> bytes:
    """The file. What leaves the network has no range of its own: wide enough for random weights."""
    return export_tflite(model_of(task, activation), output_range=OUTPUT_RANGE, **options)


def files(task: Task, checkout: Path | None) -> dict[str, bytes]:
    """Every file of a task, by what it is."""
    found = {}
    if checkout is not None:
        found[REFERENCE] = (checkout / TRAINED.format(*task.reference)).read_bytes()
    keras.utils.set_random_seed(0)
    relu = zoo.built(task.network, task.classes, **ACTIVATIONS["ReLU"])
    found[CONVERTER] = baseline.convert_int8(relu, samples_of(task))
    return {**found, **{activation: exported(task, activation) for activation in ACTIVATIONS}}


def rows(name: str, arguments: argparse.Namespace) -> list[tuple[str, ...]]:
    """The lines of one task."""
    contents = files(TASKS[name], arguments.mlperf_tiny)
    image = samples_of(TASKS[name], 1)[0]
    times = baseline.time_calls(file_calls(contents, image), rounds=arguments.rounds)
    return [(name, *row(TASKS[name], file, contents[file], times[file].min(), arguments)) for file in contents]


def row(task: Task, file: str, content: bytes, fastest: float, arguments: argparse.Namespace) -> tuple[str, ...]:
    """One file's line. fastest: milliseconds."""
    found = facts(content, for_accelerator(task, file, content))
    return (file, *found, f"{fastest:.4f} ms", *instructions(content, arguments))


def file_calls(contents: Mapping[str, bytes], image: np.ndarray) -> dict[str, Any]:
    """As `baseline.file_calls`: the reference takes the same numbers in another shape."""
    calls = {}
    for name, content in contents.items():
        shape = baseline.interpreter_of(content).get_input_details()[0]["shape"][1:]
        calls |= baseline.file_calls({name: content}, image.reshape(shape))
    return calls


def for_accelerator(task: Task, file: str, content: bytes) -> bytes:
    """The file that is exported for Ethos-U: of several timesteps it has other operators, for the same integers."""
    several = ACTIVATIONS.get(file, {}).get("timesteps", 1) > 1
    return exported(task, file, target=ACCELERATOR) if several else content


def facts(content: bytes, compiled: bytes) -> tuple[str, ...]:
    """bytes, MACs, additions, fired; of the file for the accelerator its cycles, and its operators on the CPU."""
    report = check(compiled, target=ACCELERATOR)
    numbers = ("", "", "")
    if is_ours(content):
        found = arithmetic(flatbuffer.read(content))
        fired = board.fired_share(content, board.samples(content, RUN_SAMPLES)[0])
        numbers = (f"{found['real'] + found['multiplied']:,.0f}", f"{found['additions']:,.0f}", fired)
    return (f"{len(content):,}", *numbers, f"{report.facts['cycles']:,.0f}", str(len(report.refused)))


def is_ours(content: bytes) -> bool:
    """Whether this package wrote a file."""
    try:
        flatbuffer.read(content)
    except ValueError:
        return False
    return True


def instructions(content: bytes, arguments: argparse.Namespace) -> list[str]:
    """Of every board, in millions."""
    inputs, _ = board.samples(content, RUN_SAMPLES)
    if not is_ours(content) and not arguments.tflite_micro:
        return ["" for _ in arguments.boards]
    return [on_board(name, content, inputs, arguments) for name in arguments.boards]


def on_board(name: str, content: bytes, inputs: np.ndarray, arguments: argparse.Namespace) -> str:
    try:
        run = (
            engine.run(emulator.BOARDS[name], content, inputs)
            if is_ours(content)
            else board.run_file(name, content, inputs, arguments)
        )
    except RuntimeError as error:
        if TOO_LARGE in str(error):
            return "does not fit"
        raise
    return board.millions(np.mean(run.instructions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument("--boards", nargs="*", choices=emulator.BOARDS, default=BOARDS, metavar="BOARD")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--mlperf-tiny", type=Path, metavar="DIR", help="a checkout of MLPerf Tiny")
    parser.add_argument("--tflite-micro", type=Path, metavar="DIR", help="a checkout of TFLM")
    parser.add_argument("--cmsis-nn", type=Path, metavar="DIR", help="default: among TFLM's downloads")
    parser.add_argument("--builds", type=Path, default=board.BUILDS, metavar="DIR", help=f"default: {board.BUILDS}")
    parser.set_defaults(reference=False)  # CMSIS-NN's kernels
    arguments = parser.parse_args()
    print(setting.describe(), *emulator.versions(), sep="\n", end="\n\n")
    cores = tuple(f"{emulator.BOARDS[name].core} instructions" for name in arguments.boards)
    for name in arguments.tasks:
        print(setting.table([(*HEADER, *cores), *rows(name, arguments)]), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
