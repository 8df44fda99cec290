"""Instructions of the files of `fast_front` on Cortex-M, in QEMU, and the picture of accuracy against all three costs.

    python -m benchmarks.accuracy.front_instructions --tflite-micro DIR       after fast_front, minutes
    python -m benchmarks.accuracy.front_instructions --report                 the table and the picture of what is there

Files of this package run as the C of `export_c`, those of TensorFlow's converter in TensorFlow Lite Micro with
CMSIS-NN, both as in benchmarks/boards/board.py, which says what DIR is. Instructions are of one image, mean over the
first test images: what fires decides them. QEMU counts instructions, not cycles. A second table has the distance to
ReLU networks of fewer channels with as many instructions, between two of them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import numpy as np

import baseline
import datasets
from benchmarks.accuracy import fast_front, front_equal_cost, front_report
from benchmarks.boards import emulator, engine, interpreter
from benchmarks.boards.board import BUILDS

BOARDS = ("m4", "m7")
IMAGES = 8


def count(point: fast_front.Point, folder: Path, images: np.ndarray, name: str, image: Path) -> float:
    """Instructions of one sample. name: of the board; image: TensorFlow Lite Micro for it."""
    content, board = (folder / f"{point.name}.tflite").read_bytes(), emulator.BOARDS[name]
    source = baseline.interpreter_of(content).get_input_details()[0]
    samples = np.stack(list(baseline.quantized(images, source))).reshape(len(images), -1)
    if point.network.own_file:
        return float(np.mean(engine.run(board, content, samples).instructions))
    with tempfile.TemporaryDirectory() as empty:
        return float(np.mean(interpreter.run(board, image, content, samples, Path(empty)).instructions))


def run(arguments: argparse.Namespace, folder: Path, file: Path) -> None:
    """A row for every file that is there, unless it has one."""
    installed = setting.FASHION_MNIST if setting.FASHION_MNIST.exists() else None
    images = datasets.load("fashion_mnist", data_dir=installed).test_images[:IMAGES]
    sources = interpreter.checkouts(arguments.tflite_micro, arguments.cmsis_nn)
    interpreters = {
        name: interpreter.build(emulator.BOARDS[name], sources, arguments.builds / f"tflm-{name}") for name in BOARDS
    }
    keys = ("alphabet", "budget", "seed")
    done = [[row[key] for key in keys] for row in front_report.rows(file)]
    for row in front_report.rows(folder / fast_front.ROWS):
        own = {key: row[key] for key in keys}
        if list(own.values()) not in done:
            point = fast_front.Point(**own)
            counts = {name: count(point, folder, images, name, image) for name, image in interpreters.items()}
            front_report.add_row(file, {**own, **counts})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, nargs=2, default=fast_front.EPOCHS, metavar=("RELU", "OTHERS"))
    parser.add_argument("--tflite-micro", type=Path, metavar="DIR", help="a checkout of TFLM")
    parser.add_argument("--cmsis-nn", type=Path, metavar="DIR", help="default: among TFLM's downloads")
    parser.add_argument("--builds", type=Path, default=BUILDS, metavar="DIR", help=f"default: {BUILDS}")
    parser.add_argument("--report", action="store_true", help="count nothing")
    parser.add_argument("--output", type=Path, default=fast_front.OUTPUT)
    arguments = parser.parse_args()
    if not arguments.report and arguments.tflite_micro is None:
        parser.error("--tflite-micro DIR is needed to run ReLU networks; or --report")
    return arguments


def main() -> None:
    arguments = parse()
    folder = fast_front.folder_of(arguments.output, arguments.epochs)
    file = folder / "instructions.jsonl"
    if not arguments.report:
        run(arguments, folder, file)
    print(setting.describe(), *emulator.versions(), sep="\n")
    found = front_report.joined(front_report.rows(folder / fast_front.ROWS), front_report.rows(file))
    print(front_report.table(found, BOARDS))
    print(front_equal_cost.table(front_report.summary(found), BOARDS[0]))
    front_report.draw(found, folder / "fashion_mnist.png", ("additions", *BOARDS))


if __name__ == "__main__":
    main()
