"""What a value costs in each operator of which a neuron could be made: the table of docs/exact-integers.md.

    python -m benchmarks.operators.operator_costs
    python -m benchmarks.operators.operator_costs --write FOLDER

XNNPACK: picoseconds on one thread, the fastest of alternating runs, less those of a file that only copies. Ethos-U:
Vela's cycles. --write leaves the files, of one operator each, for `python -m benchmarks.boards.board --files`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import numpy as np

from keras_ternary_spike.export import check
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid, float32
from keras_ternary_spike.export.program.names import Name
from keras_ternary_spike.export.runtimes.timing import idle_call
from keras_ternary_spike.export.tflite import flatbuffer

CHANNELS = 64
PIXELS = {"Vela": 125, "XNNPACK": 1000}  # the file that is timed is longer, so that a call itself costs little
STEP = Grid(1 / 64)
ESTIMATED = "ethos-u55-128"
ROUNDS, SECONDS = 60, 0.002
OUT = Name("neuron", "membrane", 1)
PLAIN = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "padding": "VALID"}
Emit = Callable[[Builder, tuple[int, ...], tuple[int, ...]], int]


def elementwise(kind: str) -> Emit:
    return lambda builder, tensors, shape: builder.emit(kind, tensors, OUT, shape, STEP)


def product(builder: Builder, tensors: tuple[int, ...], shape: tuple[int, ...]) -> int:
    constant = builder.scalar(Name("neuron", "decay"), 4, float32(1 / 804), len(shape))
    return builder.emit("MUL", (tensors[0], constant), OUT, shape, STEP, activation="RELU_N1_TO_1")


def full_product(builder: Builder, tensors: tuple[int, ...], shape: tuple[int, ...]) -> int:
    constant = builder.constant(Name("neuron", "decay"), np.full((1, *shape), 4, np.int8), float32(1 / 804))
    return builder.emit("MUL", (tensors[0], constant), OUT, shape, STEP, activation="RELU_N1_TO_1")


def convolution(kind: str, kernel: tuple[int, ...]) -> Emit:
    """Of weights 2 and the multiplier 1 / 402."""

    def emit(builder: Builder, tensors: tuple[int, ...], shape: tuple[int, ...]) -> int:
        scale, axis = float32(1 / 402), 3 if kind == "DEPTHWISE_CONV_2D" else 0
        weights = builder.constant(Name("neuron", "kernel"), np.full(kernel, 2, np.int8), scale, channel_axis=axis)
        bias = builder.constant(Name("neuron", "bias"), np.zeros(CHANNELS, np.int32), np.float32(scale) * STEP.scale)
        options = PLAIN | ({"depth_multiplier": 1} if axis == 3 else {})
        return builder.emit(kind, (tensors[0], weights, bias), OUT, shape, STEP, options=options)

    return emit


def stacked(builder: Builder, tensors: tuple[int, ...], shape: tuple[int, ...]) -> int:
    rows = builder.join(tensors, Name("neuron", "joined", 1), (3, *shape[1:]), STEP, axis=1)
    return convolution("DEPTHWISE_CONV_2D", (1, 3, 1, CHANNELS))(builder, (rows,), shape)


def copy(builder: Builder, tensors: tuple[int, ...], shape: tuple[int, ...]) -> int:
    return builder.reshape(tensors[0], OUT, (shape[1], 1, CHANNELS), STEP)


OPERATORS: Mapping[str, tuple[int, Emit]] = {  # how many tensors it reads, and how it is emitted
    "copy": (1, copy),
    "MUL by one number, clipped": (1, product),
    "MUL by a constant of the tensor's size": (1, full_product),
    "ADD of two tensors": (2, elementwise("ADD")),
    "SUB of two tensors": (2, elementwise("SUB")),
    "depthwise 1x1": (1, convolution("DEPTHWISE_CONV_2D", (1, 1, 1, CHANNELS))),
    "depthwise over three rows, stacked": (3, stacked),
    "convolution 1x1": (1, convolution("CONV_2D", (CHANNELS, 1, 1, CHANNELS))),
}


def file(name: str, pixels: int) -> bytes:
    reads, emit = OPERATORS[name]
    builder, shape = Builder(), (1, pixels, CHANNELS)
    tensors = tuple(builder.activation(Name(f"input{number}"), shape, STEP) for number in range(reads))
    return flatbuffer.write(builder.program("operator", tensors, (emit(builder, tensors, shape),)))


def picoseconds() -> dict[str, float]:
    """A value of each operator, the time of a copy taken off."""
    calls = {name: idle_call(file(name, PIXELS["XNNPACK"])) for name in OPERATORS}
    fastest = dict.fromkeys(calls, np.inf)
    for _ in range(ROUNDS):
        for name, call in calls.items():
            fastest[name] = min(fastest[name], seconds(call))
    values = PIXELS["XNNPACK"] * CHANNELS
    return {name: 1e12 * (taken - fastest["copy"]) / values for name, taken in fastest.items()}


def seconds(call: Callable[[], object]) -> float:
    """Of one call, from as many as take SECONDS; at least one, however long the machine is elsewhere."""
    count, start = 0, time.perf_counter()
    while True:
        call()
        count += 1
        passed = time.perf_counter() - start
        if passed >= SECONDS:
            return passed / count


def row(name: str, times: Mapping[str, float]) -> tuple[str, ...]:
    cycles = check(file(name, PIXELS["Vela"]), target=ESTIMATED).facts["cycles"]
    return name, f"{times[name]:.0f}", f"{cycles / (PIXELS['Vela'] * CHANNELS):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    names, times = [name for name in OPERATORS if name != "copy"], picoseconds()
    print(setting.table([("operator", "XNNPACK, ps", "Ethos-U55-128, cycles"), *(row(name, times) for name in names)]))
    for name in names if arguments.write else ():
        path = arguments.write / f"{name.replace(' ', '_').replace(chr(39), '')}.tflite"
        path.write_bytes(file(name, PIXELS["Vela"]))


if __name__ == "__main__":
    main()
