"""Inputs and the outputs that Program computes for them: what the self-test compares, and `verify`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..program.grid import INT8_MAX, INT8_MIN
from ..program.program import Integers, Program
from ..program.samples import Samples, check_samples, part, quantize_input, sample_tensors
from ..program.step_form import is_step, states

NOISE_SEQUENCES, LARGEST_COUNT = 3, 16


@dataclass(frozen=True)
class Vectors:
    """int8 `(sequences, calls, *shape)` by name; before the first call of a sequence comes a reset."""

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


def vectors(program: Program, samples: Samples | None = None, *, most: int = LARGEST_COUNT) -> Vectors:
    """Of the first samples, or of noise. Raises: ValueError if the samples do not fit.

    samples: as the model takes them; in the step form each goes in at every timestep. most: how many of them.
    """
    if samples is None:
        return run_calls(program, noise(program))
    checked = quantize_input(program, part(check_samples(program, samples), slice(most)))
    return run_calls(program, {name: np.repeat(array[:, None], calls(program), 1) for name, array in checked.items()})


def calls(program: Program) -> int:
    """Calls that make one prediction: one for every timestep in the step form."""
    return program.facts.timesteps if is_step(program) else 1


def noise(program: Program, sequences: int = NOISE_SEQUENCES, seed: int = 0) -> dict[str, np.ndarray]:
    """int8 for every input that is no state, all values alike."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(INT8_MIN, INT8_MAX + 1, (sequences, calls(program), *tensor.shape[1:]), np.int8)
        for name, tensor in sample_tensors(program).items()
    }


def run_calls(program: Program, inputs: Mapping[str, np.ndarray]) -> Vectors:
    """What Program computes for `(sequences, calls, *shape)`, its states 0 before the first call."""
    sequences, count = next(iter(inputs.values())).shape[:2]
    pairs = {program.tensors[b].name: program.tensors[a].name for b, a in states(program).items()}
    zeros = {program.tensors[index].name: program.tensors[index] for index in states(program)}
    before = {name: np.full((sequences, *t.shape[1:]), t.zero_point, np.int8) for name, t in zeros.items()}
    results: list[Mapping[str, np.ndarray]] = []
    for call in range(count):
        results.append(_named(program, program.run({name: array[:, call] for name, array in inputs.items()} | before)))
        before = {name: results[-1][after] for name, after in pairs.items()}
    names = [name for name in program.named_outputs if name not in pairs.values()]
    return Vectors(inputs, {name: np.stack([one[name] for one in results], axis=1) for name in names})


def _named(program: Program, outputs: Integers) -> Mapping[str, np.ndarray]:
    return outputs if isinstance(outputs, Mapping) else dict.fromkeys(program.named_outputs, outputs)
