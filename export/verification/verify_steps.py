"""Proof by comparison for files of the step form: every timestep of every sample is a call, states and all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..program.names import parse
from ..program.program import Program
from ..program.samples import Samples, check_samples, count_samples, dequantize_output, part, quantize_input
from ..program.step_form import states
from .keras_outputs import comparable, left_out_of, predictions
from .report import Report
from .verify import Tally, chunked, report_on

if TYPE_CHECKING:
    import keras


def verify_steps(
    model: keras.Model | None,
    program: Program,
    tflite_bytes: bytes,
    samples: Samples,
    whole: Program,
    *,
    also: Collection[str] = (),
) -> Report:
    """As `verify`, for a file of the step form.

    Every call starts from the states that `Program` has left. A runtime that differs nowhere here leaves the same
    states, so it equals `Program` over all timesteps in a row, too.

    Args:
        model: The Keras model that was exported, or None.
        program: Of the file.
        tflite_bytes: The file.
        samples: As the inputs of `whole` take them: an image, or all frames of a sequence.
        whole: `unroll(program)`.
        also: As for `verify`.

    Raises:
        ValueError: if the samples do not fit.
    """
    model, samples = comparable(model), check_samples(whole, samples)
    if not count_samples(samples):
        raise ValueError("`samples` must hold at least one sample. Received: 0")
    tally = Tally(program, tflite_bytes, left_out_of(model, program), also)
    for chunk in chunked(samples, whole):
        calls = calls_of(program, whole, chunk)
        tally.add(calls, None)
        if model is not None:
            tally.compare_predictions(_last_outputs(whole, chunk), _last(predictions(model, chunk), whole))
    first = calls_of(program, whole, part(samples, slice(1)))
    return report_on(tally, part(first, slice(1)), samples=count_samples(samples), with_keras=model is not None)


def calls_of(program: Program, whole: Program, samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What goes into the file at all timesteps of all samples, as real numbers: `(timesteps * samples, *shape)`."""
    timesteps = whole.facts.timesteps
    calls = {}
    for name, values in samples.items():
        sequence = whole.tensors[whole.named_inputs[name]].shape != program.tensors[program.named_inputs[name]].shape
        frames = np.moveaxis(values, 1, 0) if sequence else [values] * timesteps
        calls[name] = np.concatenate(list(frames))
    trace = whole.trace(quantize_input(whole, samples)) if states(program) else {}
    for before, after in states(program).items():
        state, later = program.tensors[before], parse(program.tensors[after].name)
        left = [trace[str(later.at(t))] for t in range(timesteps - 1)]
        zero = np.full((count_samples(samples), *state.shape[1:]), state.zero_point, np.int8)
        integers = np.concatenate([zero, *left]).astype(np.float64)
        calls[state.name] = np.float64(state.scale) * (integers - state.zero_point)
    return calls


def _last_outputs(whole: Program, samples: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The outputs of the last call, real numbers by name."""
    named = {name: whole.tensors[index].name for name, index in whole.named_outputs.items()}
    trace = whole.trace(quantize_input(whole, samples), keep=set(named.values()))
    return dequantize_output(whole, {name: trace[tensor] for name, tensor in named.items()})


def _last(outputs: list[np.ndarray], whole: Program) -> list[np.ndarray]:
    """Of outputs with a time axis the last timestep."""
    ranks = [len(whole.tensors[index].shape) for index in whole.outputs]
    return [values[:, -1] if values.ndim > rank else values for values, rank in zip(outputs, ranks, strict=True)]
