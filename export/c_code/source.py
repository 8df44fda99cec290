"""NAME.c: kernels, constants, and one line a step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from ..program.step_form import states
from .c_text import INDENT, KERNELS, comment, string
from .design import Design
from .header import banner, run_signature
from .steps import Offsets, Step

INCLUDE = re.compile(r'#include (?P<file>"[^"]+"|<string\.h>)\n\n?')  # those of intrinsics stay where they are


def source_text(design: Design, class_names: tuple[str, ...] = ()) -> str:
    """The C file: everything but init, reset, run and step is static."""
    includes = f'#include "{design.name}.h"\n\n#include <string.h>\n'
    parts = [*_class_names(design, class_names), counting(design), *definitions([design])]
    return "\n".join([banner(design), includes, *parts])


def counting(design: Design) -> str:
    """The macros around calls of kernels: nothing is counted unless the user asks for it."""
    if not any(step.counted for step in design.steps):
        return ""
    text, name = _kernel_text("counting.h"), design.name
    return text.replace("CONTEXT", name).replace("WANTED", f"{name.upper()}_COUNT")


def definitions(designs: Sequence[Design]) -> list[str]:
    """Kernels, constants and functions of programs that share their constants."""
    kernels = dict.fromkeys(kernel for design in designs for step in design.steps for kernel in step.kernels)
    functions = [text for design in designs for text in _functions(design)]  # they may define constants
    constants = [f"{text}\n" for text in designs[0].constants.used("".join(functions))]
    return [*_amalgamated(f"{kernel}.c" for kernel in kernels), *constants, *functions]


def _amalgamated(files: Iterable[str]) -> list[str]:
    """The kernels with all they include, each file once, those included first."""
    found: dict[str, str] = {}
    for file in files:
        _include(file, found)
    return list(found.values())


def _include(file: str, found: dict[str, str]) -> None:
    if file in found:
        return
    text = _kernel_text(file)
    for include in INCLUDE.finditer(text):
        if include["file"].startswith('"'):
            _include(include["file"].strip('"'), found)
    found[file] = INCLUDE.sub("", text)


@cache
def _kernel_text(file: str) -> str:
    return next(KERNELS.glob(f"*/{file}")).read_text()


def _class_names(design: Design, class_names: tuple[str, ...]) -> list[str]:
    if not class_names:
        return []
    lines = ",\n".join(f"    {string(name)}" for name in class_names)
    return [f"const char *const {design.name}_class_names[{design.name.upper()}_CLASSES] = {{\n{lines}\n}};\n"]


def _functions(design: Design) -> list[str]:
    name = design.name
    init = f"void {name}_init({name}_t *{name}, uint8_t *arena)\n{{\n    {name}->arena = arena;\n"
    reset = f"void {name}_reset({name}_t *{name})\n{{\n"
    resets = [
        f"    memset({place(design, index)}, {design.tensor(index).zero_point}, {design.size(index)});\n"
        for index in states(design.program)
    ]
    init += f"#ifdef {name.upper()}_COUNT\n    memset(&{name}->counts, 0, sizeof {name}->counts);\n#endif\n"
    arena = f"    int8_t *arena = (int8_t *){name}->arena;\n"
    unused = f"    (void){name};\n"
    parts = [init + f"    {name}_reset({name});\n}}\n", reset + (arena + "".join(resets) if resets else unused) + "}\n"]
    return [*parts, _run(design, arena, unused)]


def _run(design: Design, arena: str, unused: str) -> str:
    calls = zip(design.steps, code(design), strict=True)
    steps = "".join(f"    /* {comment(step.note)} */\n    {call}\n" for step, call in calls)
    steps += "".join(_copies(design))
    uses_arena = "arena" in steps
    return f"{run_signature(design)}\n{{\n{arena if uses_arena else unused}{steps}}}\n"


def place(design: Design, index: int) -> str:
    """The C expression of the first byte of a tensor."""
    memory = design.memory
    root = memory.roots[index]
    if root in memory.inputs:
        alone = "frame" if design.steps_in_time else "input"
        return _of_caller(design.inputs, memory.inputs[root], alone, "inputs")
    if root in memory.outputs:
        return _of_caller(design.outputs, memory.outputs[root], "output", "outputs")
    return f"arena + {memory.offsets[root]}"


def _of_caller(named: dict[str, int], index: int, alone: str, several: str) -> str:
    member = next(name for name, own in named.items() if own == index)
    return alone if len(named) == 1 else f"{several}->{member}"


def code(design: Design) -> list[str]:
    """The lines of C of every step."""
    return [_call(design, number, step) for number, step in enumerate(design.steps)]


def _call(design: Design, number: int, step: Step) -> str:
    call = f"{step.kernel}({', '.join(_argument(design, argument) for argument in step.arguments)})"
    if step.counted is None:
        return f"{call};"
    kind, each = step.counted
    counted = [f"COUNT_{kind.upper()}({number}, {each}, {call});"]
    for index, words in dict(step.spikes).items():
        counted.append(f"COUNT_SPIKES({number}, {place(design, index)}, {words});")
    return f"\n{INDENT}".join(counted)


def _argument(design: Design, argument: str | int | Offsets) -> str:
    offsets = design.memory.offset
    if isinstance(argument, Offsets):
        values = [offsets(index) for index in argument.tensors] or [0]
        return design.constants.array(argument.name, np.array(values, np.int32))
    return place(design, argument) if isinstance(argument, int) else argument


def _copies(design: Design) -> Iterable[str]:
    """What lies elsewhere than its output, or than its state, at the end."""
    for index in design.outputs.values():
        target = _of_caller(design.outputs, index, "output", "outputs")
        if place(design, index) != target:
            yield f"    memcpy({target}, {place(design, index)}, {design.size(index)});\n"
    for before, after in states(design.program).items():
        if place(design, before) != place(design, after):
            yield f"    memmove({place(design, before)}, {place(design, after)}, {design.size(before)});\n"
