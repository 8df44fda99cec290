"""NAME.h: what a firmware needs to know of a program."""

from __future__ import annotations

from ..program.step_form import states
from .c_text import comment
from .design import Design

LICENCE = "SPDX-License-Identifier: Apache-2.0"


def banner(design: Design) -> str:
    """The comment that every file begins with."""
    shapes = [
        ", ".join(f"{comment(name)} {_sizes(design, index)}" for name, index in named.items())
        for named in (design.inputs, design.outputs)
    ]
    return (
        f"/* {design.name}: int8 {shapes[0]} in, int8 {shapes[1]} out.\n"
        f" * Network {comment(design.program.name)!r}, written by keras-ternary-spike; do not edit.\n"
        f" * {LICENCE} (the code; the weights are their owner's) */\n"
    )


def header_text(design: Design, class_names: tuple[str, ...] = ()) -> str:
    """The header: sizes, scales, the context, and the functions."""
    name, upper = design.name, design.name.upper()
    parts = [
        banner(design),
        f"#ifndef {upper}_H\n#define {upper}_H\n\n#include <stdint.h>\n",
        "".join(f"#define {upper}_{macro} {value}\n" for macro, value in macros(design).items()),
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        *_context(design),
        *_structs(design),
        f"/* arena: {upper}_ARENA_BYTES, aligned to 4; it and the context are the caller's and must stay. Resets. */\n"
        f"void {name}_init({name}_t *{name}, uint8_t *arena);\n",
        f"/* {_reset_note(design)} */\nvoid {name}_reset({name}_t *{name});\n",
        f"/* {_run_note(design)} */\n{run_signature(design)};\n",
        *([f"extern const char *const {name}_class_names[{upper}_CLASSES];\n"] if class_names else []),
        "#ifdef __cplusplus\n}\n#endif\n\n#endif\n",
    ]
    return "\n".join(parts)


def _context(design: Design) -> list[str]:
    name, upper, steps = design.name, design.name.upper(), len(design.steps)
    counts = "".join(f"    uint32_t {kind}[{upper}_STEPS];\n" for kind in ("additions", "products", "spikes"))
    return [
        f"#ifdef {upper}_COUNT\n/* Of every step of the report since init: weights added for spikes, weights times\n"
        f" * values, spikes written. */\n#define {upper}_STEPS {steps}\n"
        f"typedef struct {{\n{counts}}} {name}_counts_t;\n#endif\n",
        f"typedef struct {{\n    uint8_t *arena;\n#ifdef {upper}_COUNT\n    {name}_counts_t counts;\n#endif\n"
        f"}} {name}_t;\n",
    ]


def macros(design: Design) -> dict[str, str]:
    """Values of the macros, by their names without the prefix."""
    found = {}
    for role, named in (("INPUT", design.inputs), ("OUTPUT", design.outputs)):
        for name, index in named.items():
            macro, tensor = role if len(named) == 1 else f"{role}_{name.upper()}", design.tensor(index)
            found[f"{macro}_BYTES"] = str(design.size(index))
            found[f"{macro}_SCALE"] = f"{_float(float(tensor.scale))} /* real = scale * (integer - zero point) */"
            found[f"{macro}_ZERO_POINT"] = f"({tensor.zero_point})"
    found["ARENA_BYTES"] = str(design.memory.size)
    found["TIMESTEPS"] = str(design.timesteps)
    if design.classes is not None:
        found["CLASSES"] = str(design.classes)
    return found


def _float(value: float) -> str:
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _structs(design: Design) -> list[str]:
    """Of several inputs or outputs one struct each, a pointer for every array."""
    texts = []
    for role, named, kind in (("inputs", design.inputs, "const int8_t"), ("outputs", design.outputs, "int8_t")):
        if len(named) > 1:
            members = "".join(f"    {kind} *{name}; /* {_sizes(design, index)} */\n" for name, index in named.items())
            texts.append(f"struct {design.name}_{role} {{\n{members}}};\n")
    return texts


def _reset_note(design: Design) -> str:
    return "States as before the first timestep." if states(design.program) else "There are no states to reset."


def _run_note(design: Design) -> str:
    if not design.steps_in_time:
        return f"All {design.timesteps} timesteps of one input; calls do not depend on each other."
    if design.program.facts.any_length:
        window = design.program.facts.window
        return "One timestep of a stream without end" + (f"; means are of the last {window}." if window else ".")
    return (
        f"One timestep; the output is that of all timesteps since reset, {design.timesteps} when trained. "
        "To stop earlier is the caller's choice."
    )


def _sizes(design: Design, index: int) -> str:
    return "x".join(map(str, design.tensor(index).shape[1:]))


def run_signature(design: Design) -> str:
    """The declaration of run or step, without a semicolon."""
    name, inputs, outputs = design.name, design.inputs, design.outputs
    called, values = ("step", "frame") if design.steps_in_time else ("run", "input")
    source = f"const int8_t *{values}" if len(inputs) == 1 else f"const struct {name}_inputs *inputs"
    target = "int8_t *output" if len(outputs) == 1 else f"const struct {name}_outputs *outputs"
    return f"void {name}_{called}({name}_t *{name}, {source}, {target})"
