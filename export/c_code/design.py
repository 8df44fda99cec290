"""A Program as steps, constants and places: all that the C files, the report and the memory map say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..program.operators import Tensor
from ..program.program import Program
from ..program.step_form import is_step, states
from .arithmetic.ranges import intervals
from .c_text import Constants, check_name, identifier
from .events.plan import planned
from .memory import Memory, plan_memory
from .normal_form.normal_form import normal_form
from .plain import Source
from .steps import Step


@dataclass(frozen=True)
class Design:
    """name: the prefix of every symbol. program: in its normal form, without the operators of neurons."""

    name: str
    program: Program
    steps: tuple[Step, ...]
    constants: Constants
    memory: Memory

    @property
    def inputs(self) -> dict[str, int]:
        """The tensors that the caller gives, by their names in C; states are the arena's."""
        before = states(self.program)
        named = {name: index for name, index in self.program.named_inputs.items() if index not in before}
        return _in_c(named)

    @property
    def outputs(self) -> dict[str, int]:
        """The tensors that the caller gets, by their names in C."""
        after = set(states(self.program).values())
        named = {name: index for name, index in self.program.named_outputs.items() if index not in after}
        return _in_c(named)

    @property
    def steps_in_time(self) -> bool:
        """Whether the program computes one timestep a call."""
        return is_step(self.program)

    @property
    def timesteps(self) -> int:
        return self.program.facts.timesteps

    @property
    def classes(self) -> int | None:
        """Values of the only output; None where there are several."""
        return self.tensor(*self.outputs.values()).shape[-1] if len(self.outputs) == 1 else None

    def tensor(self, index: int) -> Tensor:
        return self.program.tensors[index]

    def size(self, index: int) -> int:
        """Values of a tensor, and bytes where they are int8."""
        return math.prod(self.tensor(index).shape)


def design(program: Program, name: str, constants: Constants | None = None) -> Design:
    """Decides how a program is computed in C.

    constants: of other programs in the same C file, to which its own are added.

    Raises: ValueError if `name` is no identifier, or an operator has no kernel for what it is asked to do.
    """
    check_name(name)
    constants = constants or Constants()
    form = normal_form(program)
    plan = planned(Source(form.program, intervals(form.program, form.fired), constants), form.neurons)
    memory = plan_memory(form.program, plan.steps, plan.sizes)
    return Design(name, form.program, tuple(plan.steps), constants, memory)


def _in_c(named: Mapping[str, int]) -> dict[str, int]:
    """Names made identifiers, each of its own."""
    found: dict[str, int] = {}
    for name, index in named.items():
        base = identifier(name)
        found[base if base not in found else f"{base}_{index}"] = index
    return found
