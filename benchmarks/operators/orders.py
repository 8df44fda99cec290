"""What the order of operators changes: time on XNNPACK, TensorFlow Lite Micro's arena, Vela's cycles and SRAM.

    python -m benchmarks.operators.orders
    python -m benchmarks.operators.orders --networks keyword_spotter --rounds 1000

Layer by layer with both timesteps one behind the other, timestep by timestep as far as that goes, and layer by layer
with each convolution only where somebody needs it. Times are fastest runs in turns, in times of the first order's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
from benchmarks.files import zoo
from benchmarks.operators.shares import fastest
from keras_ternary_spike.export import check, export_tflite
from keras_ternary_spike.export.program.operators import WEIGHTED, Operator
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.program.schedule import depth_first
from keras_ternary_spike.export.runtimes.timing import idle_call
from keras_ternary_spike.export.tflite import flatbuffer

NETWORKS = ("keyword_spotter", "visual_wake_words", "resnet8")
TARGETS = (None, "litert")
ESTIMATED = "ethos-u55-128"
ROUNDS = 200
HEADER = ("network", "target", "order", "XNNPACK", "arena", "cycles", "SRAM")


def orders(program: Program) -> dict[str, Program]:
    """The program in the orders that are other ones."""
    needed = [operator.output for operator in program.operators if operator.kind not in WEIGHTED]
    found = {
        "as written": program.operators,
        "timestep by timestep": tuple(depth_first(program)),
        "late": tuple(depth_first(replace(program, outputs=(*needed, *program.outputs)))),
    }
    different: dict[tuple[int, ...], tuple[str, tuple[Operator, ...]]] = {}
    for name, operators in found.items():
        different.setdefault(tuple(operator.output for operator in operators), (name, operators))
    return {name: replace(program, operators=operators) for name, operators in different.values()}


def times(files: Mapping[str, bytes], rounds: int) -> dict[str, float]:
    """Of each file, in times of the first."""
    found = fastest([idle_call(tflite_bytes) for tflite_bytes in files.values()], rounds)
    return {name: taken / found[0] for name, taken in zip(files, found, strict=True)}


def rows(name: str, target: str | None, rounds: int) -> Iterator[tuple[str, ...]]:
    program = flatbuffer.read(export_tflite(zoo.randomized(name, timesteps=2), target=target))
    files = {order: flatbuffer.write(one) for order, one in orders(program).items()}
    found = times(files, rounds)
    for order, tflite_bytes in files.items():
        arena = check(tflite_bytes, target="tflm").facts["arena_bytes"]
        vela = check(tflite_bytes, target=ESTIMATED).facts
        costs = (f"{found[order]:.3f}", f"{arena:,}", f"{vela['cycles']:,}", f"{vela['sram_bytes']:,}")
        yield (name, target or "any", order, *costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=zoo.INPUTS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    found = [row for name in arguments.networks for target in TARGETS for row in rows(name, target, arguments.rounds)]
    print(setting.table([HEADER, *found]))


if __name__ == "__main__":
    main()
