"""The names of a program's tensors, `<layer>/<role>/<timestep>`: whoever reads one, reads it here."""

from __future__ import annotations

import re

from .operators import WEIGHTED, Operator, Tensor
from .program import Program

FIRST = "@0"  # behind the name of a kernel or bias: its scale is that of the first timestep
KERNEL = re.compile(rf"(?P<layer>.+)/kernel(?:{FIRST})?")
KERNEL_OR_BIAS = re.compile(rf".+/(?:kernel|bias)(?:{FIRST})?")
TIMESTEP = re.compile(r".*/(?:current|spike)/(?P<timestep>\d+)(?:#\d+)?")


def role_path(program: Program, operator: Operator, layer: str) -> list[str]:
    """["spike", "0"] of an operator that writes "<layer>/spike/0"; [""] for other layers."""
    name = program.tensors[operator.output].name
    return name[len(layer) + 1 :].split("/") if name.startswith(f"{layer}/") else [""]


STATE_IN, STATE_OUT = "state_in/", "state_out/"
FIRST_TIMESTEP = re.compile(r"/0$")


def name_at(name: str, t: int) -> str:
    """What the tensor of a step is called at one timestep: "<layer>/<role>/<t>"."""
    if name.startswith(STATE_OUT):
        return f"{name.removeprefix(STATE_OUT)}/state/{t}"
    return FIRST_TIMESTEP.sub(f"/{t}", name) if FIRST_TIMESTEP.search(name) else f"{name}/{t}"


SPIKE_NAME = re.compile(r"(?P<layer>.+)/spike/\d+(#\d+)?")


def spike_tensors(program: Program) -> list[Tensor]:
    """The tensors named "<layer>/spike/<timestep>", in order of execution."""
    tensors = [program.tensors[operator.output] for operator in program.operators]
    return [tensor for tensor in tensors if SPIKE_NAME.fullmatch(tensor.name)]


def layer_of(program: Program, operator: Operator) -> str:
    """Of an operator with a kernel: the kernel's layer. Of any other: the layer of the tensor that it writes."""
    if operator.kind in WEIGHTED:
        return program.tensors[operator.inputs[1]].name.rsplit("/", 1)[0]
    return program.tensors[operator.output].name.removeprefix("state_out/").split("/")[0]
