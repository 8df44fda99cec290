"""C++ sources for TFLite Micro: the file as an array, its operators, its arena, and a loop that runs it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from ..program.names import STATE_IN, STATE_OUT, is_state, partner
from ..program.program import Program
from ..runtimes import own_process
from ..tflite import flatbuffer
from .c_templates import DATA, HEADER, MAIN, OPS, STATES
from .tflm_resolver import op_resolver

BYTES_PER_LINE = 12
MARGIN_SHARE, MARGIN_BYTES, ARENA_ALIGNMENT = 8, 1024, 16  # an eighth of the measured arena and 1 KiB
NAME = re.compile(r"[a-z][a-z0-9_]*")


def c_sources(tflite_bytes: bytes, *, name: str = "model_data") -> dict[str, str]:
    """C++ sources by file name: `<name>.cc`, `<name>.h`, `<name>_ops.h` and `main.cc`.

    The array and its header depend on nothing, the other two on TFLite Micro. In the step form of a file, main.cc
    carries every output `state_out/<layer>` over to the input `state_in/<layer>`.

    Args:
        tflite_bytes: The file, as `export_tflite` returns it.
        name: Names the files and, in C++, the array g_<name>. Default: "model_data".

    Raises:
        ImportError: naming the extra to install, if `tflite-micro`, which measures the arena, is missing.
        ValueError: if the file is corrupt or takes float32, TFLite Micro refuses it, or `name` is not a lower-case C
            identifier.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"`name` must be lower-case letters, digits and underscores. Received: {name!r}")
    program = flatbuffer.read(tflite_bytes)
    if program.io != "int8":
        raise ValueError(f"The file must take and give int8. Received: {program.io}. Export it with io='int8'.")
    values = common_values(program, len(tflite_bytes), name)
    return {
        f"{name}.cc": DATA.substitute(values, bytes="\n".join(byte_lines(tflite_bytes))),
        f"{name}.h": HEADER.substitute(values, **arena_values(own_process.run_in_own_process("tflm", tflite_bytes))),
        f"{name}_ops.h": OPS.substitute(values, **resolver_values(op_resolver(program))),
        "main.cc": MAIN.substitute(values, **loop_values(program)),
    }


def common_values(program: Program, size: int, name: str) -> dict[str, object]:
    camel = "".join(word.capitalize() for word in name.split("_"))
    return {"title": in_comment(program.name), "name": name, "guard": name.upper(), "camel": camel, "size": size}


def in_comment(name: str) -> str:
    """A name of the user's, which may be anything: a comment ends where a line ends."""
    return re.sub(r"[^\w .,:()+/-]", "?", name, flags=re.ASCII)


def byte_lines(data: bytes) -> Iterator[str]:
    """Lines of hexadecimal numbers."""
    for start in range(0, len(data), BYTES_PER_LINE):
        yield "    " + " ".join(f"0x{byte:02x}," for byte in data[start : start + BYTES_PER_LINE])


def arena_values(measured: int) -> dict[str, int]:
    """What was measured, what is added, and the sum in whole units of the arena's alignment. All in bytes."""
    arena = measured + measured // MARGIN_SHARE + MARGIN_BYTES
    arena = math.ceil(arena / ARENA_ALIGNMENT) * ARENA_ALIGNMENT
    return {"measured": measured, "margin": arena - measured, "arena": arena}


def resolver_values(calls: tuple[str, ...]) -> dict[str, object]:
    lines = [f"  if (resolver.{call}() != kTfLiteOk) return kTfLiteError;" for call in calls]
    return {"count": len(calls), "calls": "\n".join(lines)}


def loop_values(program: Program) -> dict[str, object]:
    """What main.cc reads and writes, and the states that it carries over, if there are any."""
    rows = state_rows(program)
    return {
        "inputs": "\n".join(value_rows(program, program.named_inputs, STATE_IN)),
        "outputs": "\n".join(value_rows(program, program.named_outputs, STATE_OUT)),
        "states": STATES.substitute(rows="\n".join(rows), bytes=state_bytes(program)) if rows else "",
        "reset": "  ResetStates();\n" if rows else "",
        "load": "\n    LoadStates(interpreter);" if rows else "",
        "save": "\n    SaveStates(interpreter);" if rows else "",
    }


def value_rows(program: Program, named: Mapping[str, int], state: str) -> list[str]:
    """The places of all inputs or outputs but the states, each with its name and sizes in a comment."""
    return [
        f"    {place},  // {in_comment(name)}: {shape(program, index)}"
        for place, (name, index) in enumerate(named.items())
        if not is_state(name, state)
    ]


def state_rows(program: Program) -> list[str]:
    """C initializers {input, output, offset, bytes, zero_point} of the states, paired by name.

    Raises: ValueError if a state has no partner of the same shape.
    """
    outputs = {program.tensors[index].name: (place, index) for place, index in enumerate(program.outputs)}
    rows, offset = [], 0
    for place, index in enumerate(program.inputs):
        tensor = program.tensors[index]
        if is_state(tensor.name, STATE_IN):
            after = partner(tensor.name)
            if after not in outputs or program.tensors[outputs[after][1]].shape != tensor.shape:
                raise ValueError(f"Every state must be an input and an output of one shape. Received: {tensor.name!r}")
            size = math.prod(tensor.shape)
            rows.append(f"    {{{place}, {outputs[after][0]}, {offset}, {size}, {tensor.zero_point}}},")
            offset += size
    return rows


def state_bytes(program: Program) -> int:
    tensors = [program.tensors[index] for index in program.inputs]
    return sum(math.prod(tensor.shape) for tensor in tensors if is_state(tensor.name, STATE_IN))


def shape(program: Program, index: int) -> str:
    """Sizes, without a batch axis of 1, such as "8 x 8 x 1"."""
    batch = (program.samples_a_call,) if program.samples_a_call > 1 else ()
    return " x ".join(map(str, (*batch, *program.tensors[index].shape[1:]))) or "1"
