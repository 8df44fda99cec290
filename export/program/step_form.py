"""A program of the step form as one of all its timesteps: what a certificate proves, counts and observes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .builder import Builder
from .grid import Grid
from .names import STATE_IN, STATE_OUT, Name, is_state, parse, partner
from .operators import ELEMENTWISE, Tensor
from .program import Program


def without_states(program: Program) -> Program:
    """`program`; ValueError if it needs more than samples, as files of the step form do."""
    states = [name for name in program.named_inputs if is_state(name, STATE_IN)]
    if states:
        raise ValueError(
            f"The file must have no states. Received: {states}. Run files of the step form with StepRunner"
        )
    return program


def paired_states(program: Program) -> dict[str, str]:
    """Names of the state inputs and of the outputs that hold their next values.

    Raises: ValueError if the file is not of the step form, or a pair does not fit.
    """
    if not is_step(program):
        raise ValueError('StepRunner needs a file of the step form. Export it with: export_tflite(model, form="step")')
    before = state_tensors(program, program.named_inputs, STATE_IN)
    after = state_tensors(program, program.named_outputs, STATE_OUT)
    pairs = {name: partner(name) for name in before}
    if set(pairs.values()) != set(after):
        raise ValueError(f"Every state input needs an output of its name. Received: {list(before)} and {list(after)}")
    for name, other in pairs.items():
        one, two = before[name], after[other]
        if (one.shape, one.scale, one.zero_point) != (two.shape, two.scale, two.zero_point):
            raise ValueError(
                f"A state must have one shape and scale before and after. Received: {name!r} {one.shape} in steps of "
                f"{one.scale} and {other!r} {two.shape} in steps of {two.scale}"
            )
    return pairs


def state_tensors(program: Program, named: Mapping[str, int], role: str) -> dict[str, Tensor]:
    """The states among inputs or outputs, by name. role: STATE_IN or STATE_OUT."""
    return {name: program.tensors[index] for name, index in named.items() if is_state(name, role)}


def averages(program: Program) -> bool:
    """Whether an output of the step form is a mean since the reset: its state ends after so many steps."""
    facts = program.facts
    endless = {*(neuron.name for neuron in facts.neurons), *facts.endless}
    return any(parse(program.tensors[index].name).layer not in endless for index in states(program))


def is_step(program: Program) -> bool:
    """Whether a program computes one timestep a call."""
    return program.facts.form == "step"


def unroll(program: Program, *, sequence: bool, timesteps: int | None = None) -> Program:
    """The operators of one step, once for every timestep of the model, with states of 0 before the first.

    Nothing is merged: what is the same at every timestep is computed as often as the file is called.

    sequence: whether every timestep has a frame of its own; otherwise the same image goes in at all of them.
    timesteps: how many; None: as many as the model has.
    """
    program = _of_length(program, timesteps or program.facts.timesteps)
    builder, pairs = Builder(), states(program)
    builder.tensors = list(program.tensors)
    before = {index: _zero(builder, program, index) for index in pairs}
    images = {
        index: _image(builder, program, index, sequence=sequence) for index in program.inputs if index not in pairs
    }
    mapped: dict[int, int] = {}
    for t in range(program.facts.timesteps):
        mapped = _repeat(builder, program, {index: frames[t] for index, (_, frames) in images.items()} | before, t)
        before = {index: mapped[after] for index, after in pairs.items()}
    inputs = {index: tensor for index, (tensor, _) in images.items()}
    outputs = {index: mapped[index] for index in program.outputs if index not in pairs.values()}
    return replace(
        program,
        tensors=tuple(builder.tensors),
        operators=tuple(builder.operators),
        inputs=tuple(inputs.values()),
        outputs=tuple(outputs.values()),
        names=_names(program, inputs | outputs),
    )


def _of_length(program: Program, timesteps: int) -> Program:
    """The program, which says that it has so many timesteps."""
    facts = program.facts
    if timesteps == facts.timesteps:
        return program
    return replace(program, metadata=replace(facts, timesteps=timesteps).to_json())


def states(program: Program) -> dict[int, int]:
    """The state inputs of a program and the outputs with their next values, by index; none of an unrolled one."""
    outputs = {program.tensors[index].name: index for index in program.outputs}
    names = {index: program.tensors[index].name for index in program.inputs}
    return {index: outputs[partner(name)] for index, name in names.items() if is_state(name, STATE_IN)}


def _repeat(builder: Builder, program: Program, feeds: Mapping[int, int], t: int) -> dict[int, int]:
    """Appends all operators once more. feeds: what stands for the inputs. Returns what stands for every activation."""
    mapped = dict(feeds)
    for operator in program.operators:
        output = program.tensors[operator.output]
        builder.tensors.append(replace(output, name=str(parse(output.name).at(t))))
        mapped[operator.output] = len(builder.tensors) - 1
        inputs = tuple(mapped.get(index, index) for index in operator.inputs)
        builder.operators.append(replace(operator, inputs=inputs, output=mapped[operator.output]))
    return mapped


def _zero(builder: Builder, program: Program, index: int) -> int:
    """One number where it is added, else as many as the state has."""
    state = program.tensors[index]
    added = all(operator.kind in ELEMENTWISE for operator in program.operators if index in operator.inputs)
    zero = np.full([1] * len(state.shape) if added else state.shape, state.zero_point, np.int8)
    return builder.constant(Name(parse(state.name).layer, "zero"), zero, state.scale, zero_point=state.zero_point)


def _image(builder: Builder, program: Program, index: int, *, sequence: bool) -> tuple[int, tuple[int, ...]]:
    """What goes in at an image input, and its part at every timestep: a frame of a sequence, or the image itself."""
    frame, timesteps = program.tensors[index], program.facts.timesteps
    if not sequence:
        return index, (index,) * timesteps
    grid, shape = Grid(float(frame.scale), frame.zero_point), frame.shape[1:]
    tensor = builder.activation(frame.name, (timesteps, *shape), grid)
    return tensor, builder.frames(tensor, frame.name, shape, grid, timesteps)


def _names(program: Program, moved: Mapping[int, int]) -> dict[int, str]:
    """What users call inputs and outputs, at their new indices."""
    called = {index: name for name, index in (program.named_inputs | program.named_outputs).items()}
    return {after: called[before] for before, after in moved.items()}
