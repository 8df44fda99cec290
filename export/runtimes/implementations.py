"""The runtimes that can be installed from PyPI, behind one interface: a file and int8 samples in, int8 out."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ..program.program import Integers, Program
from ..tflite import flatbuffer
from ..tflite.contents import contents
from ..tflite.float_ends import fed, fetched

Outputs = dict[str, np.ndarray]  # by tensor name, in the order of the file, each `(samples, *shape)`


ARENA_SLACK = 1 << 20  # bytes, for what TFLite Micro allocates once per model, and scratch memory of foreign operators
ARENA_PER_RECORD = 1 << 10  # bytes, well above what it keeps per tensor or operator


@dataclass(frozen=True)
class Runtime:
    """One implementation of the builtin operators.

    name: as in reports.
    run: (tflite_bytes, samples) -> Outputs; samples: int8, as `Program.run` takes them.
    expose: the file with everything as an output that the runtime can show.
    """

    name: str
    run: Callable[[bytes, Integers], Outputs]
    expose: Callable[[bytes], bytes] = field(default_factory=lambda: expose)


def expose(tflite_bytes: bytes) -> bytes:
    """The same file with every activation that an operator writes as an output, in order of execution.

    The inputs keep what users call them, which may be the name of another; outputs are called as their tensors.
    """
    program = flatbuffer.read(tflite_bytes)
    outputs = tuple(operator.output for operator in program.operators)
    names = {index: name for name, index in program.named_inputs.items()}
    return flatbuffer.write(replace(program, outputs=outputs, names=names))


def litert(tflite_bytes: bytes, *, resolver: OpResolverType = OpResolverType.AUTO) -> Interpreter:
    """A LiteRT interpreter on one thread, ready to invoke. AUTO is the XNNPACK delegate.

    Raises: ValueError if the runtime refuses the file.
    """
    try:
        interpreter = Interpreter(model_content=tflite_bytes, num_threads=1, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise ValueError(f"LiteRT refuses the file: {error}") from error
    return interpreter


@contextlib.contextmanager
def failures(runtime: str) -> Iterator[None]:
    """Turns what a runtime raises on a file into ValueError."""
    try:
        yield
    except RuntimeError as error:
        raise ValueError(f"{runtime} fails on the file: {error}") from error


def run_on_zeros(interpreter: Interpreter) -> None:
    """Invokes anybody's file once. Raises: ValueError if it fails."""
    with failures("LiteRT"):
        for detail in interpreter.get_input_details():
            if np.dtype(detail["dtype"]).hasobject or not detail["shape"].all():
                continue  # strings, and sizes that are not known
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        interpreter.invoke()


def run_litert(tflite_bytes: bytes, samples: Integers, resolver: OpResolverType) -> Outputs:
    """Runs the file on LiteRT with the kernels of `resolver`, call by call."""
    program = flatbuffer.read(tflite_bytes)
    feeds = tuple(program.feeds(samples).values())
    interpreter = litert(tflite_bytes, resolver=resolver)
    fetch = [detail["index"] for detail in interpreter.get_output_details()]
    outputs = _empty_outputs(program, len(feeds[0]))
    with failures("LiteRT"):
        for part, inputs in calls(feeds, program.samples_a_call):
            set_inputs(interpreter, fed(program, inputs))
            interpreter.invoke()
            _keep(outputs, part, fetched(program, map(interpreter.get_tensor, fetch)))
    return outputs


def calls(feeds: Sequence[np.ndarray], batch: int) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Which samples go in at each call, and they: as many as the file takes, at the end the last ones repeated."""
    for start in range(0, len(feeds[0]), batch):
        part = slice(start, start + batch)
        yield part, [filled(values[part], batch) for values in feeds]


def filled(samples: np.ndarray, batch: int) -> np.ndarray:
    """`batch` samples: fewer are repeated."""
    return samples if len(samples) == batch else np.resize(samples, (batch, *samples.shape[1:]))


def set_inputs(interpreter: Interpreter, inputs: Sequence[np.ndarray]) -> None:
    """Feeds one call, an array with its batch axis for each input in the order of the file."""
    for detail, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], values)


def run_tflm(tflite_bytes: bytes, samples: Integers) -> Outputs:
    """Runs the file on TFLite Micro, call by call.

    Raises: ImportError, naming the extra to install, if `tflite-micro` is missing.
    """
    program = flatbuffer.read(tflite_bytes)
    feeds = tuple(program.feeds(samples).values())
    interpreter = _tflm(tflite_bytes)
    outputs = _empty_outputs(program, len(feeds[0]))
    with failures("TFLite Micro"):
        for part, inputs in calls(feeds, program.samples_a_call):
            for position, values in enumerate(fed(program, inputs)):
                interpreter.set_input(values, position)
            interpreter.invoke()
            _keep(outputs, part, fetched(program, map(interpreter.get_output, range(len(outputs)))))
    return outputs


def arena_bytes(tflite_bytes: bytes) -> int:
    """Bytes of the tensor arena that TFLite Micro uses for this file, anybody's, from its recording allocator.

    Raises:
        ImportError: naming the extra to install, if `tflite-micro` is missing.
        ValueError: if TFLite Micro does not run the file.
    """
    found = contents(tflite_bytes)
    interpreter = _tflm(tflite_bytes)
    try:
        for position, value in enumerate(found.inputs.values()):
            interpreter.set_input(np.zeros(value.shape, value.dtype), position)
        interpreter.invoke()
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"TFLite Micro fails on the file: {error}") from error
    with _captured_stderr() as lines:
        interpreter.print_allocations()
    total = re.search(r"Arena allocation total (\d+) bytes", "".join(lines))
    if total is None:
        raise ValueError("TFLite Micro printed no arena size: this release of tflite-micro is not supported.")
    return int(total.group(1))


RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime("reference", lambda f, x: run_litert(f, x, OpResolverType.BUILTIN_REF)),
        Runtime("optimized", lambda f, x: run_litert(f, x, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)),
        Runtime("xnnpack", lambda f, x: run_litert(f, x, OpResolverType.AUTO)),
        Runtime("tflm", run_tflm),
    )
}


def installed() -> dict[str, Runtime]:
    """RUNTIMES without TFLite Micro where `tflite-micro` is not installed."""
    missing = {"tflm"} if importlib.util.find_spec("tflite_micro") is None else set()
    return {name: runtime for name, runtime in RUNTIMES.items() if name not in missing}


def _empty_outputs(program: Program, samples: int) -> Outputs:
    tensors = [program.tensors[index] for index in program.outputs]
    return {tensor.name: np.empty((samples, *tensor.shape[1:]), tensor.dtype) for tensor in tensors}


def _keep(outputs: Outputs, part: slice, given: Sequence[np.ndarray]) -> None:
    """Writes what a call gave to where its samples are; the last call may give more."""
    for values, integers in zip(outputs.values(), given, strict=True):
        kept = values[part]
        kept[:] = integers[: len(kept)]


def _tflm(tflite_bytes: bytes):
    """A TFLite Micro interpreter with an arena that holds every tensor at once (pages unused cost nothing)."""
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise ImportError(
            "TFLite Micro is not installed. Install it with: pip install 'keras-ternary-spike[tflm]'"
        ) from error
    found = contents(tflite_bytes)
    records = len(found.tensors) + len(found.operators)
    arena = 2 * sum(value.size for value in found.tensors) + ARENA_PER_RECORD * records + ARENA_SLACK
    try:
        return runtime.Interpreter.from_bytes(tflite_bytes, arena_size=arena)
    except RuntimeError as error:
        raise ValueError(f"TFLite Micro refuses the file: {error}") from error


@contextlib.contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """What native code writes to the process's standard error meanwhile, filled in on leaving."""
    lines: list[str] = []
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines.extend(file)
