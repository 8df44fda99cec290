"""Generated C on this machine: compiled into a temporary folder, run in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..program.names import spike_tensors
from ..program.program import Integers, Program
from ..program.step_form import states
from ..runtimes.implementations import Runtime
from ..tflite import flatbuffer
from .c_text import Constants
from .design import Design, design
from .header import header_text
from .selftest import invocation
from .source import counting, definitions, place

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O2")
LIMIT_SECONDS = 1800


def compiler() -> str | None:
    """The path of a C compiler of this machine; None if there is none."""
    return next((found for found in map(shutil.which, COMPILERS) if found), None)


def needed_compiler() -> str:
    """As `compiler`. Raises: ImportError if there is none."""
    found = compiler()
    if found is None:
        raise ImportError(f"The runtime c needs a C compiler, one of {', '.join(COMPILERS)}. None is on the path.")
    return found


def c_runtime() -> Runtime:
    """The file's C code as a runtime. Raises: ImportError if this machine has no C compiler."""
    needed_compiler()
    return Runtime("c", lambda f, x: run_c(f, x), with_spikes)


def with_spikes(tflite_bytes: bytes) -> bytes:
    """The file with its spikes as outputs, too: what event-driven code has of the values inside."""
    program = flatbuffer.read(tflite_bytes)
    indices = {tensor.name: index for index, tensor in enumerate(program.tensors)}
    spikes = [indices[tensor.name] for _, tensor in spike_tensors(program)]
    return flatbuffer.write(replace(program, outputs=tuple(dict.fromkeys((*spikes, *program.outputs))), names={}))


def run_c(tflite_bytes: bytes, samples: Integers) -> dict[str, np.ndarray]:
    """Runs a file of this package as C, sample by sample: as the other runtimes, outputs by tensor name.

    samples: int8, as `Program.run` takes them; states of the step form are inputs and outputs like others.

    Raises: ImportError if this machine has no C compiler.
    """
    return _compiled(tflite_bytes).run(0, samples)


def run_programs(
    cases: Sequence[tuple[Program, Integers]], flags: Sequence[str] = FLAGS, command: str | None = None
) -> list[dict[str, np.ndarray]]:
    """Several programs in one executable, each on its samples.

    command: the compiler. Default: the machine's.

    Raises: ImportError if there is none; ValueError if it refuses the code, or the code does not come to its end.
    """
    made = Executable([program for program, _ in cases], flags, command)
    return [made.run(number, samples) for number, (_, samples) in enumerate(cases)]


class Executable:
    """Programs compiled into one executable, in a temporary folder that goes with the object."""

    def __init__(self, programs: Sequence[Program], flags: Sequence[str] = FLAGS, command: str | None = None):
        constants = Constants()
        self.designs = [design(program, f"c{number}", constants) for number, program in enumerate(programs)]
        self.folder = tempfile.TemporaryDirectory()
        self.binary = build(self.designs, Path(self.folder.name), flags, command or needed_compiler())

    def run(self, number: int, samples: Integers) -> dict[str, np.ndarray]:
        """The outputs of one program by tensor name, `(samples, *shape)`."""
        return _run(self.binary, number, self.designs[number], samples)


@lru_cache(maxsize=4)
def _compiled(tflite_bytes: bytes) -> Executable:
    return Executable([flatbuffer.read(tflite_bytes)])


def build(designs: Sequence[Design], folder: Path, flags: Sequence[str], command: str) -> Path:
    """An executable that runs any of the programs: its argument is the number, stdin and stdout their bytes."""
    parts = [
        *(header_text(planned) for planned in designs),
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n",
        next((text for planned in designs if (text := counting(planned))), ""),
        *definitions(designs),
        *(runner_text(planned) for planned in designs),
        main_text(len(designs)),
    ]
    (folder / "main.c").write_text("\n".join(parts))
    made = subprocess.run([command, *flags, "-o", "run", "main.c"], cwd=folder, capture_output=True, text=True)
    if made.returncode:
        raise ValueError(f"{command} refuses the generated code: {made.stderr[:2000]}")
    return folder / "run"


def runner_text(planned: Design) -> str:
    """A function behind the generated ones: reads inputs and states, calls, writes outputs and states, to the end."""
    name, pairs = planned.name, states(planned.program)
    arrays = {own: index for own, index in (planned.inputs | planned.outputs).items()}
    lines = [
        f"static void {name}_runner(void)\n{{\n",
        *(f"    static int8_t at_{own}[{planned.size(index)}];\n" for own, index in arrays.items()),
        f"    static uint32_t memory[({name.upper()}_ARENA_BYTES + 3) / 4];\n    static {name}_t context;\n",
        "    int8_t *arena = (int8_t *)memory;\n",
        f"    {name}_init(&context, (uint8_t *)memory);\n    (void)arena;\n    for (;;) {{\n",
        *(_moved("fread", f"at_{own}", planned.size(index)) for own, index in planned.inputs.items()),
        *(_moved("fread", place(planned, before), planned.size(before)) for before in pairs),
        "        {\n",
        invocation(planned, _at(planned.inputs), _at(planned.outputs), indent=" " * 12),
        "        }\n",
        *(_moved("fwrite", f"at_{own}", planned.size(index)) for own, index in planned.outputs.items()),
        *(_moved("fwrite", place(planned, before), planned.size(before)) for before in pairs),
        "    }\n}\n",
    ]
    return "".join(lines)


def main_text(count: int) -> str:
    """The function that picks a runner by its number."""
    runners = ", ".join(f"c{number}_runner" for number in range(count))
    return (
        "int main(int count, char **arguments)\n{\n"
        f"    static void (*const runners[{count}])(void) = {{{runners}}};\n"
        f"    int chosen = count > 1 ? atoi(arguments[1]) : -1;\n    if (chosen < 0 || chosen >= {count})\n"
        "        return 1;\n    runners[chosen]();\n    return 0;\n}\n"
    )


def _at(named: Mapping[str, int]) -> dict[str, str]:
    return {own: f"at_{own}" for own in named}


def _moved(call: str, where: str, size: int) -> str:
    file = "stdin" if call == "fread" else "stdout"
    return f"        if ({call}({where}, 1, {size}, {file}) != {size})\n            return;\n"


def _run(binary: Path, number: int, planned: Design, samples: Integers) -> dict[str, np.ndarray]:
    """Feeds samples to the executable. Returns outputs by tensor name, in the program's order."""
    program = planned.program
    feeds, pairs = program.feeds(samples), states(program)
    count = len(next(iter(feeds.values())))
    order = [*planned.inputs.values(), *pairs]
    given = np.concatenate([feeds[index].reshape(count, -1) for index in order], axis=1)
    try:
        run = subprocess.run(
            [str(binary), str(number)], input=given.tobytes(), capture_output=True, timeout=LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"The C code must be done with the samples in {LIMIT_SECONDS} seconds. It is not.") from error
    written = [*planned.outputs.values(), *pairs.values()]
    sizes = [planned.size(index) for index in written]
    if run.returncode or len(run.stdout) != count * sum(sizes):
        raise ValueError(f"The C code broke down: exit code {run.returncode}, {run.stderr.decode()[:2000]}")
    values = np.frombuffer(run.stdout, np.int8).reshape(count, -1)
    parts = dict(zip(written, np.split(values, np.cumsum(sizes)[:-1], axis=1), strict=True))
    return {program.tensors[i].name: parts[i].reshape(count, *program.tensors[i].shape[1:]) for i in program.outputs}
