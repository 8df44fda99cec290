"""The names of a program's tensors: made here, and read here.

    <layer>/<role>[/<index>][/<timestep>][/<part> ...]     "lif/spike/0", "both/sum/2/0", "conv/current/1/full"
    state_in/<layer>, state_out/<layer>                    a state of the step form, and its next value
    <layer>                                                an input of the network

Layers may have slashes in their names, the constants that layers share have none. Of several tensors of one name all
but the first end with "#<number>".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .operators import WEIGHTED, Operator, Tensor, fired_level
from .program import Program

FIRST = "@0"  # of a kernel or bias: its scale is that of the first timestep
KERNELS = ("kernel", f"kernel{FIRST}")
KERNELS_AND_BIASES = (*KERNELS, "bias", f"bias{FIRST}")
TIMED = ("spike", "membrane", "clipped", "fired", "keep", "drop", "leaked", "residue", "state")  # always of a timestep
CONSTANT_CURRENT = ("positive", "within", "first", "sum")
NEURON = (*TIMED, *CONSTANT_CURRENT)  # what the operators of a spiking layer write
VALUES = (
    *("current", "sum", "max", "joined", "upsampled", "padded", "cropped", "reshaped", "shifted", "scaled", "relu"),
    *("rows", "frame", "sequence", "output"),
)
CONSTANTS = (
    *(*KERNELS_AND_BIASES, "ones", "zeros", "zero", "decay", "threshold", "beyond", "label", "offset", "steps"),
    *("factor", "shape", "begin", "size", "pads"),
)
COPIES = ("MAX_POOL_2D", "RESHAPE")  # of a far stride, and of wide pixels
STATE_IN, STATE_OUT = "state_in", "state_out"
ROLES = tuple(dict.fromkeys((*NEURON, *VALUES, *CONSTANTS, STATE_IN, STATE_OUT)))
COUNTED = ("within", "first", "output", *CONSTANTS)  # a number behind these is no timestep
PARTS = r"full|padded|copy|float|stage\d+|pixels|columns|lines|rows|stacked"  # on the way to a value


@dataclass(frozen=True)
class Name:
    """What a tensor is called.

    layer: of the network, or "" for a constant that layers share.
    role: one of ROLES, or "" for an input of the network and for the values of a network without timesteps.
    index: what tells several tensors of one role apart, such as "2" of the second sum or "3d" of a constant's rank.
    parts: of values on the way to the one that is named.

    Raises: ValueError if the role or a part is none of them.
    """

    layer: str
    role: str = ""
    timestep: int | None = None
    index: str = ""
    parts: tuple[str, ...] = ()
    copy: str = ""

    def __post_init__(self) -> None:
        if self.role and self.role not in ROLES:
            raise unknown(f"role {self.role!r} of layer {self.layer!r}")
        if not all(re.fullmatch(PARTS, part) for part in self.parts):
            raise unknown(f"parts {self.parts} of layer {self.layer!r}")

    def __str__(self) -> str:
        if self.role in (STATE_IN, STATE_OUT):
            return f"{self.role}/{self.layer}"
        role = f"ones_{self.index}" if self.role == "ones" and self.index else self.role
        index = "" if self.role == "ones" else self.index
        timestep = "" if self.timestep is None else str(self.timestep)
        words = (self.layer, role, index, timestep, *self.parts)
        return "/".join(word for word in words if word) + (f"#{self.copy}" if self.copy else "")

    def at(self, timestep: int) -> Name:
        """The same of one timestep; of the next value of a state, the state behind that timestep."""
        if self.role == STATE_OUT:
            return Name(self.layer, "state", timestep)
        index = f"{self.index}/{self.timestep}".strip("/") if self.timestep else self.index  # the number of a sum
        return replace(self, index=index, timestep=timestep)

    def part(self, *parts: str) -> Name:
        """The name of a value on the way to this one; to the next value of a state, on the way to that state."""
        named = self.at(0) if self.role == STATE_OUT else self
        return replace(named, parts=(*named.parts, *parts))

    def ranked(self, rank: int) -> Name:
        """The name of a constant for values of `rank` axes without the batch axis."""
        return replace(self, index=f"{self.index}/{rank}d".strip("/"))


ZERO = Name("", "zero")
ROLE, NUMBER = "|".join(re.escape(role) for role in sorted(ROLES, key=len, reverse=True)), r"/\d[0-9.x@+e-]*d?"
GRAMMAR = re.compile(
    # Of several ways to read a name the one with the shortest layer: "a/current/padded" is a part of a's current.
    rf"(?:(?=(?:{ROLE})(?:{NUMBER})+\Z)|(?P<layer>.+?)/)"
    rf"(?P<role>{ROLE})(?:(?<=ones)_(?P<size>\d+x\d+))?(?P<numbers>(?:{NUMBER})*)"
    rf"(?P<parts>(?:/(?:{PARTS}))*)(?:\#(?P<copy>\d+))?",
    re.DOTALL,
)
ONLY_PARTS = re.compile(rf"(?P<layer>.+?)(?P<parts>(?:/(?:{PARTS}))+)(?:\#(?P<copy>\d+))?", re.DOTALL)
STATE = re.compile(rf"(?P<role>{STATE_IN}|{STATE_OUT})/(?P<layer>.+)", re.DOTALL)


def parse(text: str) -> Name:
    """What a tensor's name says. Raises: ValueError if it is not one that a program has."""
    name = read(text)
    if name is None:
        raise unknown(repr(text))
    return name


def read(text: str) -> Name | None:
    """As `parse`, for files of anybody: None where a name is not one of ours."""
    if "/" not in text:
        return Name(text)
    found = GRAMMAR.fullmatch(text)
    name = None if found is None else _from(found)
    if name is not None and name.role in TIMED and name.timestep is not None:
        return name
    if state := STATE.fullmatch(text):
        return Name(state["layer"], state["role"])
    if name is not None and name.role not in TIMED:
        return name
    if rest := ONLY_PARTS.fullmatch(text):
        return Name(rest["layer"], parts=tuple(rest["parts"].split("/")[1:]), copy=rest["copy"] or "")
    return None


def _from(found: re.Match) -> Name:
    role, numbers, timestep = found["role"], found["numbers"].split("/")[1:], None
    if numbers and numbers[-1].isdigit() and role not in COUNTED:
        timestep = int(numbers.pop())
    index, parts = found["size"] or "/".join(numbers), tuple(found["parts"].split("/")[1:])
    return Name(found["layer"] or "", role, timestep, index, parts, found["copy"] or "")


def unknown(received: str) -> ValueError:
    return ValueError(
        f"Every tensor must be called <layer>/<role>[/<timestep>], its role one of {', '.join(ROLES)}. "
        f"Received: {received}. Write the role into ROLES of program/names.py, or export the model again."
    )


def checked(name: Name | str) -> str:
    """The text of a name. Raises: ValueError if it could not be read again."""
    return str(name) if isinstance(name, Name) and not name.role else _checked(str(name))


def _checked(text: str) -> str:
    parse(text)
    return text


def is_state(text: str, role: str) -> bool:
    """Whether a tensor is a state's: role STATE_IN before a call, STATE_OUT behind it."""
    name = read(text)
    return name is not None and name.role == role


def partner(state: str) -> str:
    """The output that holds the next value of a state input."""
    return str(replace(parse(state), role=STATE_OUT))


def part_of(text: str, part: str) -> Name:
    """The name of a value made of the tensor called `text`: "<text>/<part>"."""
    return Name(text, "padded") if part == "padded" else Name(text, parts=(part,))


def numbered(text: str, uses: int) -> str:
    """The name of a further tensor where `uses` of that name are there already."""
    return f"{text}#{uses}" if uses else text


def spike_tensors(program: Program) -> list[tuple[str, Tensor]]:
    """(layer, tensor) of the tensors that hold spikes, in order of execution."""
    tensors = (program.tensors[operator.output] for operator in program.operators)
    named = ((read(tensor.name), tensor) for tensor in tensors)
    return [(name.layer, tensor) for name, tensor in named if name and name.role == "spike" and not name.parts]


def spike_levels(program: Program) -> dict[str, int | None]:
    """The largest spike that each of these tensors may hold, by name; None where it cannot hold spikes."""
    writers = {operator.output: operator for operator in program.operators}
    tensors = {index: program.tensors[index] for index in writers}
    spikes = {tensor.name for _, tensor in spike_tensors(program)}
    return {
        tensor.name: spike_level(program, writers, index) for index, tensor in tensors.items() if tensor.name in spikes
    }


def spike_level(program: Program, writers: Mapping[int, Operator], index: int) -> int | None:
    """The largest spike that a tensor may hold; None where it cannot hold spikes. writers: as in `computed_by`."""
    operator = computed_by(writers, index)
    return fired_level(operator, [program.tensors[i] for i in operator.inputs], program.tensors[index])


def computed_by(writers: Mapping[int, Operator], index: int) -> Operator:
    """The operator that computes, and clips, what tensor `index` holds: of a copy the one in front.

    writers: by the tensors that they write.
    """
    operator = writers[index]
    while operator.kind in COPIES and operator.inputs[0] in writers:
        operator = writers[operator.inputs[0]]
    return operator


def written_by(program: Program, layer: str) -> list[tuple[Name, Operator]]:
    """The operators that write the tensors of a layer. Raises: ValueError if one of them has an unknown role."""
    written = ((program.tensors[operator.output].name, operator) for operator in program.operators)
    named = [(parse(text), operator) for text, operator in written if text.startswith(f"{layer}/")]
    return [(name, operator) for name, operator in named if name.layer == layer]


def is_factor(program: Program, operator: Operator) -> bool:
    """Whether an operator with a kernel computes what an elementwise one would: factors of a neuron, or of an image."""
    kernel = read(program.tensors[operator.inputs[1]].name) if operator.kind in WEIGHTED else None
    return kernel is not None and kernel.role == "factor"


def layer_of(program: Program, operator: Operator) -> str:
    """Of an operator with a kernel: the kernel's layer. Of any other: the layer of the tensor that it writes."""
    index = operator.inputs[1] if operator.kind in WEIGHTED else operator.output
    text = program.tensors[index].name
    name = read(text)
    layer = text if name is None else name.layer
    return layer if operator.kind in WEIGHTED else layer.split("/")[0]  # of "add/lif", a shortcut into "add"
