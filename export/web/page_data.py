"""page.json: all that the page knows of the network. Names are text, never markup or code."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from ..costs.operation_counts import SpikeReader, count_operations, spike_readers
from ..program.names import STATE_IN, is_state, read, spike_levels, spike_tensors
from ..program.operators import Tensor
from ..program.program import Program
from ..program.step_form import averages, is_step, states
from ..text import printable
from .sources import Fitting

FILE, COPY, CHECK = "model.tflite", "watched.tflite", "check.bin"


def page_data(
    program: Program, copy: Program, fit: Fitting, *, file: bytes, classes: Sequence[str], sources: Sequence[str]
) -> dict[str, object]:
    """Only dicts, lists, strings, numbers, booleans and None. copy: `watched(program)`. file: the bytes of FILE."""
    total, pairs = count_operations(program).total, states(program)
    answers = [place for place, index in enumerate(program.outputs) if index not in pairs.values()]
    endless = is_step(program) and not averages(program)
    return {
        "title": printable(program.name),
        "what": what(program),
        "file": {"name": FILE, "bytes": len(file), "sha256": hashlib.sha256(file).hexdigest()},
        "network": COPY,
        "copy": copy_text(program, copy),
        "inputs": tensors(copy, copy.inputs, program.named_inputs),
        "outputs": tensors(copy, copy.outputs, program.named_outputs),
        "samples": [place for place, index in enumerate(program.inputs) if index not in pairs],
        "answers": answers,
        "states": [
            {"input": copy.inputs.index(before), "output": copy.outputs.index(after)} for before, after in pairs.items()
        ],
        "calls": calls(program),
        "limit": calls(program) if is_step(program) and not endless else None,
        "endless": endless,
        "layers": layers(program, copy),
        "readers": [reader(copy, each) for each in spike_readers(program)],
        "work": {"additions": total.additions, "multiply_accumulates": total.multiply_accumulates},
        "classes": class_names(program, answers, classes),
        "sources": list(sources),
        "takes": f"What the network takes: {' x '.join(map(str, fit.shape))} integers of 8 bits.",
        **fit.to_json(),
    }


def what(program: Program) -> str:
    facts = program.facts
    layers, step = len(facts.neurons), is_step(program)
    times = "one timestep a call" if step else f"{facts.timesteps} timestep{'s' * (facts.timesteps != 1)}"
    return f"A network of {layers} spiking layer{'s' * (layers != 1)}, {times}."


def copy_text(program: Program, copy: Program) -> str:
    return (
        f"What runs here is a copy, {COPY}: the same operators and constants, with float32 at the ends, for LiteRT.js "
        f"takes no int8, and {len(copy.outputs) - len(program.outputs)} tensors inside as further outputs, to be seen. "
        "Its integers are those of the file."
    )


def calls(program: Program) -> int:
    """Calls that make one prediction."""
    return program.facts.timesteps if is_step(program) else 1


def tensors(copy: Program, indices: Sequence[int], titles: dict[str, int]) -> list[dict[str, object]]:
    names = {index: name for name, index in (copy.named_inputs | copy.named_outputs).items()}
    shown = {index: title for title, index in titles.items()}
    return [tensor(copy.tensors[index], names[index], shown.get(index, "")) for index in indices]


def tensor(described: Tensor, name: str, title: str) -> dict[str, object]:
    shape, scale = described.shape[1:], float(described.scale)
    limits = [scale * (integer - described.zero_point) for integer in (-128, 127)]
    return {
        "name": name,
        "title": printable(title),
        "shape": list(shape),
        "length": math.prod(shape),
        "scale": scale,
        "zero_point": described.zero_point,
        "range": limits,
    }


def layers(program: Program, copy: Program) -> list[dict[str, object]]:
    """The spiking layers in order of execution; of each the output that holds the spikes of every timestep."""
    places = {copy.tensors[index].name: place for place, index in enumerate(copy.outputs)}
    levels, found = spike_levels(program), {}
    for layer, spikes in spike_tensors(program):
        row = {"name": printable(layer), "shape": list(spikes.shape[1:]), "highest": levels[spikes.name] or 1}
        steps = found.setdefault(layer, row | {"steps": []})["steps"]
        steps.append({"output": places[spikes.name], "timestep": read(spikes.name).timestep or 0})
    for row in found.values():
        row["steps"].sort(key=lambda step: step["timestep"])
    return list(found.values())


def reader(copy: Program, found: SpikeReader) -> dict[str, object]:
    """Where the spikes are that a kernel reads, and how many weights a value at each position meets."""
    is_input = found.tensor in copy.inputs
    uses = found.applied.reshape(-1, found.applied.shape[-1])  # channels at a position meet equally many
    return {
        "layer": printable(found.layer),
        "input": copy.inputs.index(found.tensor) if is_input else None,
        "output": None if is_input else copy.outputs.index(found.tensor),
        "uses": uses[:, 0].tolist(),
        "channels": uses.shape[1],
    }


def class_names(program: Program, answers: Sequence[int], names: Sequence[str]) -> list[str] | None:
    """The names of the classes, numbers if there are none; None where the output is not one of classes.

    Raises: ValueError if there are not as many as values of the only output.
    """
    shapes = [program.tensors[program.outputs[place]].shape[1:] for place in answers]
    classes = shapes[0][0] if len(shapes) == 1 and len(shapes[0]) == 1 else None
    if names and len(names) != classes:
        raise ValueError(
            f"`class_names` must hold a name for each of the {classes or 'values of one output'}. "
            f"Received: {len(names)}"
        )
    if classes is None or classes < 2:
        return None
    return [printable(str(name)) for name in names] or [str(number) for number in range(classes)]


def check_data(inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> tuple[dict[str, object], bytes]:
    """What stands in page.json of CHECK, and CHECK.

    inputs, outputs: int8 `(samples, calls, *shape)` each. In the file: sample by sample, call by call, all inputs and
    all outputs.
    """
    samples, calls = inputs[0].shape[:2]
    rows = [array.reshape(samples, calls, -1) for array in (*inputs, *outputs)]
    return {"file": CHECK, "samples": samples}, np.concatenate(rows, axis=2).astype(np.int8).tobytes()


def state_free(program: Program) -> list[int]:
    """The inputs that are no states."""
    return [index for index in program.inputs if not is_state(program.tensors[index].name, STATE_IN)]
