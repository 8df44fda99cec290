"""Proof by comparison: the file on every runtime, value by value, against Program and the Keras model."""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from . import flatbuffer, runtimes
from .predictor import check_samples, count_saturating, dequantize_output, quantize_input, single_input
from .program import Program, Tensor
from .report import Agreement, Comparison, Report

if TYPE_CHECKING:
    import keras

CHUNK_VALUES = 2**24  # int8 values in memory per runtime
SPIKE_NAME = re.compile(r"(?P<layer>.+)/spike/\d+(#\d+)?")
PACKAGES = ("keras-ternary-spike", "numpy", "ai-edge-litert", "tflite-micro", "keras", "tensorflow")


def verify(model: keras.Model | None, tflite_bytes: bytes, samples: np.ndarray) -> Report:
    """Compares a file on every runtime with its integer program, and its classes with the Keras model's.

    LiteRT's reference kernels, its optimized kernels, XNNPACK and TFLite Micro (where `tflite-micro` is installed)
    run the file as shipped, and once more with every intermediate tensor as an output: exposing tensors can change
    what a runtime fuses.

    Args:
        model: The Keras model that was exported, or None to compare the runtimes only.
        tflite_bytes: The file, as `export_tflite` returns it.
        samples: Numbers of shape `(samples, *input shape)`, in the units of the Keras model's input.

    Returns:
        A `Report`. `report.exact` is the verdict.

    Raises:
        ValueError: if the file is corrupt or holds other operators than ours, or the samples do not fit.
    """
    program = single_input(flatbuffer.read(tflite_bytes))
    samples = check_samples(program, samples)
    if not len(samples):
        raise ValueError("`samples` must hold at least one sample. Received: 0")
    tally = Tally(program, tflite_bytes)
    for chunk in chunked(samples, program):
        tally.add(chunk, None if model is None else model.predict(chunk, verbose=0))
    first = quantize_input(program, samples[:1])[0]
    return Report(
        name=program.name,
        samples=len(samples),
        runtimes=tally.comparisons(),
        pairs=dict(tally.pairs),
        agreement=Agreement(tally.same_class, tally.classified) if tally.classified else None,
        float_tensors=tuple(t.name for t in program.tensors if t.dtype not in ("int8", "int32")),
        operators=dict(Counter(operator.kind for operator in program.operators).most_common()),
        spike_tensors=tuple(t.name for t in spike_tensors(program)),
        improper_spikes=tuple(t.name for t in spike_tensors(program) if t.name in tally.improper),
        firing_rates={layer: tally.spikes[layer] / count for layer, count in tally.neurons.items()},
        file_bytes=len(tflite_bytes),
        arena_bytes=runtimes.arena_bytes(tflite_bytes) if "tflm" in tally.runtimes else None,
        latency=runtimes.latency(tflite_bytes, first),
        notes=(*program.metadata.get("notes", ()), *tally.notes()),
        versions=versions(with_keras=model is not None),
    )


class Tally:
    """Counts, chunk of samples by chunk of samples."""

    def __init__(self, program: Program, tflite_bytes: bytes):
        self.program = program
        self.shipped, self.exposed = tflite_bytes, runtimes.expose(tflite_bytes)
        self.runtimes = runtimes.installed()
        self.values, self.differing, self.output_values, self.output_differing = (Counter() for _ in range(4))
        self.pairs = {f"{one} / {other}": 0 for one, other in itertools.combinations(self.runtimes, 2)}
        self.first: dict[str, str] = {}
        self.spikes, self.neurons = Counter(), Counter()
        self.improper = {t.name for t in spike_tensors(program) if not literal(t)}
        self.same_class = self.classified = self.saturating = self.inputs = 0

    def add(self, samples: np.ndarray, predictions: np.ndarray | None) -> None:
        """Runs the samples everywhere; predictions: the Keras model's, or None."""
        integers = quantize_input(self.program, samples)
        self.saturating += count_saturating(self.program, samples)
        self.inputs += samples.size
        expected = self.program.trace(integers)
        self._count_spikes(expected)
        self._compare_tensors(integers, expected)
        self._compare_outputs(integers, expected)
        if predictions is not None:
            output = self.program.tensors[self.program.outputs[0]].name
            self._compare_classes(dequantize_output(self.program, expected[output]), predictions)

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

    def notes(self) -> list[str]:
        notes = []
        if self.saturating:
            notes.append(f"{self.saturating:,} of {self.inputs:,} input values lie outside the range and saturate")
        if "tflm" not in self.runtimes:
            notes.append("TFLite Micro not run: pip install 'keras-ternary-spike[tflm]'")
        return notes

    def _compare_tensors(self, integers: np.ndarray, expected: runtimes.Outputs) -> None:
        results = {name: runtime.run(self.exposed, integers) for name, runtime in self.runtimes.items()}
        for name, result in results.items():
            self.values[name] += sum(values.size for values in result.values())
            counts = {tensor: differing(values, expected[tensor]) for tensor, values in result.items()}
            self.differing[name] += sum(counts.values())
            for tensor in (tensor for tensor, count in counts.items() if count):
                self.first.setdefault(name, tensor)
        for one, other in itertools.combinations(results, 2):
            count = sum(differing(results[one][tensor], results[other][tensor]) for tensor in results[one])
            self.pairs[f"{one} / {other}"] += count

    def _compare_outputs(self, integers: np.ndarray, expected: runtimes.Outputs) -> None:
        for name, runtime in self.runtimes.items():
            for tensor, values in runtime.run(self.shipped, integers).items():
                self.output_values[name] += values.size
                self.output_differing[name] += differing(values, expected[tensor])

    def _compare_classes(self, outputs: np.ndarray, predictions: np.ndarray) -> None:
        if predictions.shape != outputs.shape:
            raise ValueError(
                "The model and the file must have outputs of the same shape. Received: "
                f"{predictions.shape} of the model, {outputs.shape} of the file"
            )
        if outputs.shape[-1] == 1:
            return  # a single output is no class
        same = outputs.argmax(axis=-1) == predictions.argmax(axis=-1)
        self.same_class += int(same.sum())
        self.classified += same.size

    def _count_spikes(self, values: runtimes.Outputs) -> None:
        for tensor in spike_tensors(self.program):
            spikes = values[tensor.name]
            layer = SPIKE_NAME.fullmatch(tensor.name)["layer"]
            self.spikes[layer] += int(np.count_nonzero(spikes))
            self.neurons[layer] += spikes.size
            if spikes.min() < -1 or spikes.max() > 1:
                self.improper.add(tensor.name)


def spike_tensors(program: Program) -> list[Tensor]:
    """The tensors named "<layer>/spike/<timestep>", in order of execution."""
    tensors = [program.tensors[operator.output] for operator in program.operators]
    return [tensor for tensor in tensors if SPIKE_NAME.fullmatch(tensor.name)]


def literal(tensor: Tensor) -> bool:
    """Whether the integers of the tensor are its real values."""
    return tensor.dtype == "int8" and tensor.scale.tolist() == 1.0 and tensor.zero_point == 0


def differing(left: np.ndarray, right: np.ndarray) -> int:
    """How many entries differ."""
    return int(np.count_nonzero(left != right))


def chunked(samples: np.ndarray, program: Program) -> list[np.ndarray]:
    """Splits the samples so that all tensors of a chunk hold at most CHUNK_VALUES values."""
    values = sum(math.prod(program.tensors[operator.output].shape) for operator in program.operators)
    size = max(1, CHUNK_VALUES // values)
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def versions(*, with_keras: bool) -> dict[str, str]:
    """Installed versions of the packages that took part, and Python's."""
    names = PACKAGES if with_keras else PACKAGES[:-2]
    installed = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in metadata.distributions()}
    return {"python": sys.version.split()[0]} | {name: installed[name] for name in names if name in installed}
