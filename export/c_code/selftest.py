"""NAME_selftest.c: vectors, and a main that prints PASS or FAIL."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .c_text import filled
from .design import Design
from .header import banner
from .vectors import Vectors


def selftest_text(design: Design, vectors: Vectors) -> str:
    """A program that runs all vectors, compares every byte, and returns how many sequences differ."""
    called = {name_of(design, index): own for own, index in (design.inputs | design.outputs).items()}
    sequences, calls = next(iter(vectors.outputs.values())).shape[:2]
    arrays = [
        *(_array("const ", f"in_{called[name]}", values) for name, values in vectors.inputs.items()),
        *(_array("const ", f"expected_{called[name]}", values) for name, values in vectors.outputs.items()),
        *(f"static int8_t out_{name}[{design.size(index)}];\n" for name, index in design.outputs.items()),
    ]
    name, upper = design.name, design.name.upper()
    return "\n".join(
        [
            banner(design),
            f'#include "{name}.h"\n\n#include <stdio.h>\n#include <string.h>\n',
            f"#define SEQUENCES {sequences} /* each begins with a reset */\n#define CALLS {calls}\n",
            *arrays,
            f"static uint32_t arena[({upper}_ARENA_BYTES + 3) / 4];\nstatic {name}_t context;\n",
            _main(design),
        ]
    )


def name_of(design: Design, index: int) -> str:
    """What users call an input or output."""
    return design.program.names.get(index, design.tensor(index).name)


def _array(kind: str, name: str, values: np.ndarray) -> str:
    body = filled([str(value) for value in values.reshape(-1).tolist()])
    size = values[0, 0].size
    return f"static {kind}int8_t {name}[SEQUENCES * CALLS * {size}] = {{\n{body}\n}};\n"


def _main(design: Design) -> str:
    name = design.name
    checks = " ||\n                ".join(
        f"memcmp(out_{out}, expected_{out} + at * {design.size(index)}, sizeof out_{out}) != 0"
        for out, index in design.outputs.items()
    )
    return (
        f"/* How many sequences differ from the file's bits. */\nint {name}_selftest(void);\n"
        f"int {name}_selftest(void)\n{{\n    int sequence, call, failed = 0;\n"
        f"    {name}_init(&context, (uint8_t *)arena);\n"
        "    for (sequence = 0; sequence < SEQUENCES; sequence++) {\n        int differs = 0;\n"
        f"        {name}_reset(&context);\n"
        "        for (call = 0; call < CALLS; call++) {\n            int at = sequence * CALLS + call;\n"
        f"{_invoked(design)}"
        f"            if ({checks})\n                differs = 1;\n        }}\n        failed += differs;\n    }}\n"
        "    return failed;\n}\n\n"
        f"#if !defined(ARDUINO) && !defined({name.upper()}_WITHOUT_MAIN)\nint main(void)\n{{\n"
        f"    int failed = {name}_selftest();\n"
        '    printf("%s: %d of %d sequences differ\\n", failed ? "FAIL" : "PASS", failed, SEQUENCES);\n'
        "    return failed != 0;\n}\n#endif\n"
    )


def _invoked(design: Design) -> str:
    places = {name: f"in_{name} + at * {design.size(index)}" for name, index in design.inputs.items()}
    return invocation(design, places, {name: f"out_{name}" for name in design.outputs}, indent=" " * 12)


def invocation(design: Design, inputs: Mapping[str, str], outputs: Mapping[str, str], indent: str) -> str:
    """Lines of C that call run or step on these places, at the start of a block. inputs, outputs: by names in C."""
    declared, filled_in, arguments = [], [], []
    for role, places in (("inputs", inputs), ("outputs", outputs)):
        arguments += places.values() if len(places) == 1 else [f"&{role}"]
        if len(places) > 1:
            declared.append(f"{indent}struct {design.name}_{role} {role};\n")
            filled_in += [f"{indent}{role}.{name} = {where};\n" for name, where in places.items()]
    called = "step" if design.steps_in_time else "run"
    return "".join([*declared, *filled_in, f"{indent}{design.name}_{called}(&context, {', '.join(arguments)});\n"])
