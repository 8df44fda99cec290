"""What a file costs, and the same for its ReLU twin: in size, arithmetic, memory and time."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import flatbuffer, runtimes
from .folding import fold_network
from .network import Network
from .program import Program
from .target_report import Fact, TargetReport
from .targets import check
from .twin import relu_twin
from .work import LayerWork, work

ROUNDS = 100
BLOCK_SECONDS = 0.002  # one turn of one file: calls that take about this long
LONGEST_SECONDS = 4.0  # of all rounds


@dataclass(frozen=True)
class Memory:
    """Bytes. arena: RAM of TFLite Micro (None: not installed); file, gzip, constants: flash, the last without names."""

    arena: int | None
    file: int
    gzip: int
    constants: int


@dataclass(frozen=True)
class Cost:
    """One call of one file. work: its arithmetic, see `LayerWork`; target: the facts of `check`, {} without target."""

    work: LayerWork
    memory: Memory
    target: Mapping[str, Fact]


@dataclass(frozen=True)
class Ratio:
    """Times of one file divided by those of another, in turns on XNNPACK, one thread: median and quartiles."""

    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Twin:
    """A spiking file beside its ReLU twin, an int8 CNN of the same layers written by the same emitter, run once.

    Only costs are compared: the twin is not trained, so nothing is known of its accuracy.

    spiking, relu: the cost of one call of each.
    time: of the spiking file in times of the twin.
    """

    spiking: Cost
    relu: Cost
    time: Ratio


def beside_twin(
    network: Network, tflite_bytes: bytes, *, arena: int | None = None, target: TargetReport | None = None
) -> Twin:
    """Writes the ReLU twin of a network, and measures it and the spiking file alike.

    Args:
        network: As `describe` returns it.
        tflite_bytes: The spiking file of that network, of any form.
        arena: Of the spiking file, as `runtimes.arena_bytes` returns it; None where TFLite Micro is not installed.
        target: What `check` says of the spiking file; the same target is asked about the twin.

    Raises:
        ValueError: if the network cannot be folded, or the target's tool refuses the twin as a whole.
    """
    other = flatbuffer.write(relu_twin(fold_network(network)))
    found = None if target is None else check(other, target=target.target)
    relu_arena = None if arena is None else runtimes.arena_bytes(other)
    return Twin(
        spiking=cost(tflite_bytes, arena, target),
        relu=cost(other, relu_arena, found),
        time=time_ratio(tflite_bytes, other),
    )


def cost(tflite_bytes: bytes, arena: int | None, target: TargetReport | None) -> Cost:
    program = flatbuffer.read(tflite_bytes)
    facts = {} if target is None else target.facts
    return Cost(work(program).total, memory(program, tflite_bytes, arena), facts)


def memory(program: Program, tflite_bytes: bytes, arena: int | None) -> Memory:
    """Sizes of a file; constants that share a buffer in the file are counted once."""
    constants = {tensor.data.tobytes() for tensor in program.tensors if tensor.data is not None}
    return Memory(
        arena=arena,
        file=len(tflite_bytes),
        gzip=len(gzip.compress(tflite_bytes, mtime=0)),
        constants=sum(map(len, constants)),
    )


def time_ratio(one: bytes, other: bytes) -> Ratio:
    """Times two files in turns, so that a slow moment of the machine falls on both. Their inputs are zeros."""
    calls = [idle_call(one), idle_call(other)]
    repeats = [max(1, int(BLOCK_SECONDS / min(_seconds(call, 1) for _ in range(3)))) for call in calls]
    start, ratios = time.perf_counter(), []
    while len(ratios) < ROUNDS and (not ratios or time.perf_counter() - start < LONGEST_SECONDS):
        first, second = (_seconds(call, count) / count for call, count in zip(calls, repeats, strict=True))
        ratios.append(first / second)
    low, median, high = np.percentile(ratios, (25, 50, 75))
    return Ratio(float(median), float(low), float(high), len(ratios))


def idle_call(tflite_bytes: bytes) -> Callable[[], object]:
    """A function that runs a file on zeros, on XNNPACK with one thread: dense operators do not look at values."""
    interpreter = runtimes.litert(tflite_bytes)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], np.int8))
    interpreter.invoke()
    return interpreter.invoke


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start
