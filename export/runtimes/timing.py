"""How long a file takes: alone, and beside another in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..program.program import Integers
from ..tflite import flatbuffer
from ..tflite.float_ends import fed
from . import implementations as runtimes
from .implementations import filled, litert, set_inputs

ROUNDS = 100
BLOCK_SECONDS = 0.002  # one turn of one file: calls that take about this long
LONGEST_SECONDS = 4.0  # of all rounds


@dataclass(frozen=True)
class Ratio:
    """Times of one file divided by those of another, in turns on XNNPACK, one thread: median and quartiles."""

    median: float
    low: float
    high: float
    rounds: int


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
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    interpreter.invoke()
    return interpreter.invoke


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start


WARM_UP, LEAST_INVOCATIONS, LATENCY_SECONDS = 5, 20, 2.0  # before the clock starts; at least; at most


@dataclass(frozen=True)
class Latency:
    """Milliseconds per sample: the median and the quartiles of `invocations`."""

    median_ms: float
    low_ms: float
    high_ms: float
    invocations: int


def latency(tflite_bytes: bytes, sample: Integers, *, invocations: int = 200) -> Latency:
    """Time of a sample on XNNPACK, one thread, in calls of as many as the file takes.

    sample: int8, without batch axis; for several inputs by name.
    """
    batch = {name: values[None] for name, values in sample.items()} if isinstance(sample, Mapping) else sample[None]
    program = flatbuffer.read(tflite_bytes)
    interpreter = litert(tflite_bytes)
    inputs = [filled(values, program.samples_a_call) for values in program.feeds(batch).values()]
    set_inputs(interpreter, fed(program, inputs))
    return call_latency(interpreter.invoke, samples=program.samples_a_call, invocations=invocations)


def call_latency(call: Callable[[], object], *, samples: int = 1, invocations: int = 200) -> Latency:
    """Time of one of the samples of a call, after some that are not counted."""
    for _ in range(WARM_UP):
        call()
    start, times = time.perf_counter(), []
    while len(times) < LEAST_INVOCATIONS or (
        len(times) < invocations and time.perf_counter() - start < LATENCY_SECONDS
    ):
        times.append(_milliseconds(call) / samples)
    low, median, high = np.percentile(times, [25, 50, 75])
    return Latency(float(median), float(low), float(high), len(times))


def _milliseconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)
