"""Proof by comparison: the file on every runtime, value by value, against Program and the Keras model."""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from ..program.grid import INT8_MAX, INT8_MIN
from ..program.names import STATE_OUT, is_state, spike_levels, spike_tensors
from ..program.program import Program
from ..program.samples import (
    Samples,
    check_samples,
    count_samples,
    count_saturating,
    dequantize_output,
    part,
    quantize_input,
)
from ..program.step_form import without_states
from ..runtimes import implementations as runtimes
from ..runtimes import timing
from ..tflite import flatbuffer
from ..tflite.float_ends import with_float_ends
from .keras_outputs import comparable, left_out_of, predictions, sigmoid
from .moments import Moments
from .report import Agreement, Comparison, Report, Saturation

if TYPE_CHECKING:
    import keras


CHUNK_VALUES = 2**24  # int8 values in memory per runtime
PACKAGES = ("keras-ternary-spike", "numpy", "ai-edge-litert", "tflite-micro", "keras", "tensorflow")


def verify(model: keras.Model | None, tflite_bytes: bytes, samples: Samples, *, also: Collection[str] = ()) -> Report:
    """Compares a file on every runtime with its integer program, and its classes with the Keras model's.

    LiteRT's reference kernels, its optimized kernels, XNNPACK and TFLite Micro (where `tflite-micro` is installed)
    run the file as shipped, and once more with every intermediate tensor as an output: exposing tensors can change
    what a runtime fuses.

    Args:
        model: The Keras model that was exported, or None to compare the runtimes only.
        tflite_bytes: The file, as `export_tflite` returns it.
        samples: Numbers of shape `(samples, *input shape)`, in the units of the Keras model's input. For several
            inputs such an array for each: by name, or a list in the model's order.
        also: `("c",)` to run the C code of `export_c` too, compiled on this machine: every output and every spike.

    Returns:
        A `Report`. `report.exact` is the verdict.

    Raises:
        ImportError: if C is asked for and there is no compiler.
        ValueError: if the file is corrupt or holds other operators than ours, or the samples do not fit.
    """
    program, model = without_states(flatbuffer.read(tflite_bytes)), comparable(model)
    samples = check_samples(program, samples)
    if not count_samples(samples):
        raise ValueError("`samples` must hold at least one sample. Received: 0")
    tally = Tally(program, tflite_bytes, left_out_of(model, program), also)
    for chunk in chunked(samples, program):
        tally.add(chunk, None if model is None else predictions(model, chunk))
    return report_on(tally, part(samples, slice(1)), samples=count_samples(samples), with_keras=model is not None)


def report_on(tally: Tally, first: Mapping[str, np.ndarray], *, samples: int, with_keras: bool) -> Report:
    """The report on what was counted. first: one sample, for the clock."""
    program, tflite_bytes, file = tally.program, tally.shipped, with_float_ends(tally.program)
    return Report(
        name=program.name,
        samples=samples,
        runtimes=tally.comparisons(),
        pairs=dict(tally.pairs),
        agreements=tally.agreements(),
        distances={name: moments.distance() for name, moments in tally.moments.items()},
        inputs=Saturation(tally.saturating, tally.inputs),
        outputs=Saturation(tally.limited, tally.outputs),
        float_tensors=tuple(t.name for t in file.tensors if t.dtype not in ("int8", "int32")),
        operators=dict(Counter(operator.kind for operator in file.operators).most_common()),
        spike_tensors=tuple(t.name for _, t in spike_tensors(program)),
        improper_spikes=tuple(t.name for _, t in spike_tensors(program) if t.name in tally.improper),
        firing_rates={layer: tally.spikes[layer] / count for layer, count in tally.neurons.items()},
        file_bytes=len(tflite_bytes),
        arena_bytes=runtimes.arena_bytes(tflite_bytes) if "tflm" in tally.runtimes else None,
        latency=timing.latency(tflite_bytes, {n: values[0] for n, values in quantize_input(program, first).items()}),
        notes=(*program.facts.notes, *tally.notes()),
        versions=versions(with_keras=with_keras),
    )


class Tally:
    """Counts, chunk of samples by chunk of samples.

    left_out: by output the function that only the Keras model has behind it, "softmax" or "sigmoid".
    also: runtimes beside the installed ones, see `verify`.
    """

    def __init__(
        self, program: Program, tflite_bytes: bytes, left_out: Mapping[str, str] = {}, also: Collection[str] = ()
    ):
        self.left_out = left_out
        self.program = program
        self.runtimes = runtimes.installed() | further_runtimes(also)
        self.shipped = tflite_bytes
        self.exposed = {name: runtime.expose(tflite_bytes) for name, runtime in self.runtimes.items()}
        self.values, self.differing, self.output_values, self.output_differing = (Counter() for _ in range(4))
        self.pairs = {f"{one} / {other}": 0 for one, other in itertools.combinations(self.runtimes, 2)}
        self.first: dict[str, str] = {}
        self.spikes, self.neurons = Counter(), Counter()
        self.levels = spike_levels(program)
        stated = stated_levels(program)
        self.improper = {
            tensor.name
            for layer, tensor in spike_tensors(program)
            if self.levels[tensor.name] is None
            or self.levels[tensor.name] != stated.get(layer, self.levels[tensor.name])
        }
        self.same_class, self.classified = Counter(), Counter()
        self.moments: dict[str, Moments] = {}
        self.saturating = self.inputs = self.limited = self.outputs = 0

    def add(self, samples: Mapping[str, np.ndarray], predictions: list[np.ndarray] | None) -> None:
        """Runs the samples everywhere; predictions: the Keras model's, one array an output, or None."""
        integers = quantize_input(self.program, samples)
        self.saturating += count_saturating(self.program, samples)
        self.inputs += sum(values.size for values in samples.values())
        expected = self.program.trace(integers)
        self._count_spikes(expected)
        self._compare_tensors(integers, expected)
        self._compare_outputs(integers, expected)
        named = self.program.named_outputs
        outputs = {name: expected[self.program.tensors[index].name] for name, index in named.items()}
        self._count_limits(outputs)
        if predictions is not None:
            self.compare_predictions(dequantize_output(self.program, outputs), predictions)

    def comparisons(self) -> dict[str, Comparison]:
        return {
            name: Comparison(
                values=self.values[name],
                differing=self.differing[name],
                output_values=self.output_values[name],
                output_differing=self.output_differing[name],
                first_tensor=self.first.get(name),
            )
            for name in self.runtimes
        }

    def agreements(self) -> dict[str, Agreement]:
        return {name: Agreement(self.same_class[name], count) for name, count in self.classified.items()}

    def notes(self) -> list[str]:
        notes = []
        if "tflm" not in self.runtimes:
            notes.append("TFLite Micro not run: pip install 'keras-ternary-spike[tflm]'")
        return notes

    def _compare_tensors(self, integers: Mapping[str, np.ndarray], expected: runtimes.Outputs) -> None:
        results = {name: runtime.run(self.exposed[name], integers) for name, runtime in self.runtimes.items()}
        for name, result in results.items():
            self.values[name] += sum(values.size for values in result.values())
            counts = {tensor: differing(values, expected[tensor]) for tensor, values in result.items()}
            self.differing[name] += sum(counts.values())
            for tensor in (tensor for tensor, count in counts.items() if count):
                self.first.setdefault(name, tensor)
        for one, other in itertools.combinations(results, 2):
            both = results[one].keys() & results[other].keys()
            count = sum(differing(results[one][tensor], results[other][tensor]) for tensor in both)
            self.pairs[f"{one} / {other}"] += count

    def _compare_outputs(self, integers: Mapping[str, np.ndarray], expected: runtimes.Outputs) -> None:
        for name, runtime in self.runtimes.items():
            for tensor, values in runtime.run(self.shipped, integers).items():
                self.output_values[name] += values.size
                self.output_differing[name] += differing(values, expected[tensor])

    def compare_predictions(self, outputs: Mapping[str, np.ndarray], predictions: list[np.ndarray]) -> None:
        shapes = [values.shape for values in predictions], [values.shape for values in outputs.values()]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "The model and the file must have outputs of the same shape. Received: "
                f"{', '.join(map(str, shapes[0]))} of the model, {', '.join(map(str, shapes[1]))} of the file"
            )
        for (name, values), expected in zip(outputs.items(), predictions, strict=True):
            function = self.left_out.get(name)
            if function != "softmax":
                numbers = sigmoid(values) if function == "sigmoid" else values
                self.moments.setdefault(name, Moments()).add(numbers, expected)
            if function == "sigmoid":  # every value is a class, or not
                same = (values > 0) == (expected > 0.5)
            elif values.shape[-1] > 1:  # a single value is no class
                same = values.argmax(axis=-1) == expected.argmax(axis=-1)
            else:
                continue
            self.same_class[name] += int(same.sum())
            self.classified[name] += same.size

    def _count_limits(self, outputs: Mapping[str, np.ndarray]) -> None:
        """States of the step form are no outputs of the model: the neuron says where they end."""
        for name, values in outputs.items():
            if not is_state(self.program.tensors[self.program.named_outputs[name]].name, STATE_OUT):
                self.outputs += values.size
                self.limited += int(np.count_nonzero((values == INT8_MIN) | (values == INT8_MAX)))

    def _count_spikes(self, values: runtimes.Outputs) -> None:
        for layer, tensor in spike_tensors(self.program):
            spikes = values[tensor.name]
            self.spikes[layer] += int(np.count_nonzero(spikes))
            self.neurons[layer] += spikes.size
            highest = self.levels[tensor.name] or 0
            if spikes.min() < -highest or spikes.max() > highest:
                self.improper.add(tensor.name)


def further_runtimes(also: Collection[str]) -> dict[str, runtimes.Runtime]:
    """Runtimes that run on demand only. Raises: ValueError if one is not known, ImportError if it cannot run."""
    if set(also) - {"c"}:
        raise ValueError(f"`also` must hold no other names than 'c'. Received: also={also!r}")
    if not also:
        return {}
    from ..c_code.compiled import c_runtime

    return {"c": c_runtime()}


def stated_levels(program: Program) -> dict[str, int]:
    """The largest spike of each layer that the file states."""
    neurons = program.facts.neurons if "neurons" in program.metadata else ()
    return {neuron.name: max(neuron.levels) for neuron in neurons}


def differing(left: np.ndarray, right: np.ndarray) -> int:
    """How many entries differ."""
    return int(np.count_nonzero(left != right))


def chunked(samples: Mapping[str, np.ndarray], program: Program) -> Iterator[dict[str, np.ndarray]]:
    """Splits the samples so that all tensors of a chunk hold at most CHUNK_VALUES values."""
    values = sum(math.prod(program.tensors[operator.output].shape) for operator in program.operators)
    size = max(1, CHUNK_VALUES // values)
    return (part(samples, slice(start, start + size)) for start in range(0, count_samples(samples), size))


def versions(*, with_keras: bool) -> dict[str, str]:
    """Installed versions of the packages that took part, and Python's."""
    found = {name: _version(name) for name in (PACKAGES if with_keras else PACKAGES[:-2])}
    return {"python": sys.version.split()[0]} | {name: version for name, version in found.items() if version}


@functools.cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
