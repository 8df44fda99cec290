"""The file of a model trained on integers against the model: spikes, outputs, and what LiteRT gets right."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_ternary_spike.exact import ExactLIF
from keras_ternary_spike.export import Program, export_tflite, load
from keras_ternary_spike.export.program.samples import dequantize_output, quantize_input
from keras_ternary_spike.export.tflite import flatbuffer

CHUNK = 1000
BATCH_SIZE = 500


@dataclass(frozen=True)
class Exactness:
    """Counts over test images.

    spikes, outputs: (differing, compared) between the model and `Program.run`, of every neuron layer and timestep.
    litert: (differing, compared) outputs between the model and the file on LiteRT with XNNPACK.
    right: images that `evaluate` counts as right, and those that the file on LiteRT classifies right.
    """

    spikes: tuple[int, int]
    outputs: tuple[int, int]
    litert: tuple[int, int]
    right: tuple[int, int]
    images: int

    @property
    def holds(self) -> bool:
        return not (self.spikes[0] or self.outputs[0] or self.litert[0]) and self.right[0] == self.right[1]

    def __str__(self) -> str:
        kinds = {"spikes": self.spikes, "outputs": self.outputs, "outputs on LiteRT": self.litert}
        differing = ", ".join(f"{count:,} of {total:,} {kind}" for kind, (count, total) in kinds.items())
        evaluate, file = self.right
        return f"{differing} differ; evaluate() has {evaluate:,} of {self.images:,} right, the file on LiteRT {file:,}"


def exactness(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Exactness:
    """Of a compiled model, whose first metric is the accuracy."""
    tflite_bytes = export_tflite(model)
    program, file = flatbuffer.read(tflite_bytes), load(tflite_bytes)
    neurons = {layer.name: layer.output for layer in model.layers if isinstance(layer, ExactLIF)}
    probe, counts, right = keras.Model(model.inputs, [neurons, model.outputs[0]]), np.zeros((3, 2), int), 0
    for start in range(0, len(images), CHUNK):
        chunk = slice(start, start + CHUNK)
        spikes, outputs = probe.predict(images[chunk], batch_size=BATCH_SIZE, verbose=0)
        logits = file.predict(images[chunk])
        counts[:2] += program_differences(program, images[chunk], spikes, outputs)
        counts[2] += (logits != outputs).sum(), outputs.size
        right += int((logits.argmax(-1) == labels[chunk]).sum())
    evaluated = model.evaluate(images, labels, batch_size=BATCH_SIZE, verbose=0)[1]
    pairs = (tuple(row) for row in counts.tolist())
    return Exactness(*pairs, right=(round(evaluated * len(images)), right), images=len(images))


def program_differences(program: Program, images: np.ndarray, spikes: dict, outputs: np.ndarray) -> np.ndarray:
    """(differing, compared) of the spikes and of the outputs."""
    tensors = program.trace(quantize_input(program, images))
    pairs = [
        (tensors[key], values[:, t])
        for name, values in spikes.items()
        for t in range(values.shape[1])
        if (key := f"{name}/spike/{t}") in tensors  # equal timesteps of a constant current share a tensor
    ]
    logits = dequantize_output(program, tensors[program.tensors[program.outputs[0]].name])
    differing, compared = sum(int((a != b).sum()) for a, b in pairs), sum(a.size for a, _ in pairs)
    return np.array([(differing, compared), (int((logits != outputs).sum()), outputs.size)])
