"""The neurons of a program whose timesteps `stacked_neurons` can compute by convolutions, and their currents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction

from ...program.facts import NeuronFacts
from ...program.grid import INT8_MAX, Grid, float32
from ...program.names import written_by
from ...program.operators import ELEMENTWISE, WEIGHTED, Operator
from ...program.program import Program
from ..integer_neuron import QS
from ..weights import is_safe

ROLES = ("spike", "leaked", "state", "membrane")  # of the operators of a neuron that can be stacked


@dataclass(frozen=True)
class Recurrence:
    """One neuron with one decay that a spike clears, and its operators in the elementwise program.

    leak: the tap and the multiplier that make a membrane leak.
    spikes, membranes: the operators that write them, by timestep; there is no membrane of timestep 0.
    """

    layer: str
    quiet_steps: int
    leak: tuple[int, float]
    drop: int
    spikes: Mapping[int, Operator]
    membranes: Mapping[int, Operator]

    @property
    def last(self) -> int:
        return len(self.spikes) - 1

    @property
    def clipped(self) -> Grid:
        edge = self.quiet_steps + 1
        return Grid(float32(1 / edge), low=-edge, high=edge)

    @property
    def fires_stacked(self) -> bool:
        """Whether the last membrane can be rounded to a spike as it is summed."""
        return is_safe(2 * self.quiet_steps + 1) and 2 * self.drop <= INT8_MAX

    @property
    def currents(self) -> dict[int, int]:
        """The tensors of the program, by timestep."""
        return {0: self.spikes[0].inputs[0]} | {t: operator.inputs[1] for t, operator in self.membranes.items()}


def recurrences(program: Program) -> dict[str, Recurrence]:
    """The neurons of a program that can be stacked, by layer."""
    if program.facts.form == "step":
        return {}
    found = (_recurrence(program, facts) for facts in program.facts.neurons)
    return {one.layer: one for one in found if one is not None}


def _recurrence(program: Program, facts: NeuronFacts) -> Recurrence | None:
    if facts.reset != "zero" or isinstance(facts.decay, tuple) or facts.levels != (-1, 0, 1):
        return None
    written = [(name, op) for name, op in written_by(program, facts.name) if op.kind in ELEMENTWISE]
    by_role = {role: {name.timestep: op for name, op in written if name.role == role} for role in ROLES}
    timesteps, leak = range(program.facts.timesteps), _leak(facts.decay)
    expected = {"spike": set(timesteps), "membrane": set(timesteps[1:]), "state": set(timesteps[:-1])}
    whole = all(set(by_role[role]) == times for role, times in expected.items()) and len(timesteps) > 1
    if not whole or leak is None or any(name.role not in ROLES for name, _ in written):
        return None
    if _is_read(program, [op for _, op in written], [op.output for op in by_role["spike"].values()]):
        return None
    quiet_steps = facts.steps_per_unit // 2
    twice = 2 * (quiet_steps + 1) * facts.decay
    drop = (twice.numerator + twice.denominator) // (2 * twice.denominator)
    return Recurrence(facts.name, quiet_steps, leak, drop, by_role["spike"], by_role["membrane"])


def _leak(decay: Fraction) -> tuple[int, float] | None:
    """An even tap and its multiplier, 1 / (2 q), that decay an integer without ever making a tie."""
    fitting = (q for q in QS if q % decay.denominator == 0 and 2 * q * decay <= INT8_MAX)
    return next(((int(2 * q * decay), 1 / (2 * q)) for q in fitting), None)


def _is_read(program: Program, operators: Sequence[Operator], spikes: Sequence[int]) -> bool:
    """Whether anybody but the operators themselves reads what they write, spikes apart."""
    inside = {operator.output for operator in operators} - set(spikes)
    own = set(map(id, operators))
    outside = {index for operator in program.operators if id(operator) not in own for index in operator.inputs}
    return bool(inside & (outside | set(program.outputs)))


def whole_currents(program: Program, neurons: Iterable[Recurrence], sums: Set[int]) -> dict[int, float]:
    """The currents whose step can be labelled 1, and what it is now: of convolutions that nothing else reads, with
    kernels that nothing else uses; and of `sums`, which convolutions will compute.
    """
    neurons = tuple(neurons)
    membranes = {id(operator) for neuron in neurons for operator in neuron.membranes.values()}
    wanted = {index for neuron in neurons for t, index in neuron.currents.items() if t}
    wanted -= {neuron.currents[0] for neuron in neurons} | set(program.outputs)
    for operator in program.operators:
        if id(operator) not in membranes:
            wanted -= set(operator.inputs)
    users: dict[int, set[int]] = {}
    for operator in program.operators:
        for index in operator.inputs[1:] if operator.kind in WEIGHTED else ():
            users.setdefault(index, set()).add(operator.output)
    made = {op.output: op for op in program.operators if op.kind in WEIGHTED and op.kind != "TRANSPOSE_CONV"}
    alone = {index for index in wanted if index in made and all(users[i] <= wanted for i in made[index].inputs[1:])}
    alone |= wanted & sums
    return {index: float(program.tensors[index].scale) for index in alone}
