"""Runs a .tflite file on float samples, for people who only want to use it. Needs neither Keras nor TensorFlow."""

from __future__ import annotations

import numpy as np

from . import flatbuffer, runtimes
from .grid import INT8_MAX, INT8_MIN
from .program import Program


def load(tflite_bytes: bytes) -> Predictor:
    """Opens a file of `export_tflite`.

    Raises: ValueError if the bytes are not such a file.

    Example:
        >>> load(Path("model.tflite").read_bytes()).predict(images).argmax(axis=-1)
    """
    return Predictor(tflite_bytes)


class Predictor:
    """A file on LiteRT's XNNPACK kernels, one thread.

    input_shape, output_shape: of one sample, without the batch axis.
    program: the integer program of the file, with its metadata.
    """

    def __init__(self, tflite_bytes: bytes):
        self.program = single_input(flatbuffer.read(tflite_bytes))
        self.input_shape = self.program.tensors[self.program.inputs[0]].shape[1:]
        self.output_shape = self.program.tensors[self.program.outputs[0]].shape[1:]
        self._interpreter = runtimes.litert(tflite_bytes)
        self._feed = self._interpreter.get_input_details()[0]["index"]
        self._fetch = self._interpreter.get_output_details()[0]["index"]

    def predict(self, samples: np.ndarray, *, batch_size: int = 32) -> np.ndarray:
        """The network's outputs (logits, where the Keras model ended with a softmax).

        Args:
            samples: Numbers of shape `(samples, *input_shape)`, in the units of the Keras model's input. Those
                outside its input range saturate.
            batch_size: How many samples are in memory as integers at a time. Default: 32.

        Returns:
            float32 of shape `(samples, *output_shape)`.

        Raises:
            ValueError: if the shape differs, or a sample is NaN or infinite.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
        samples = check_samples(self.program, samples)
        outputs = np.empty((len(samples), *self.output_shape), np.float32)
        for start in range(0, len(samples), batch_size):
            batch = slice(start, start + batch_size)
            outputs[batch] = self._predict_batch(samples[batch])
        return outputs

    def _predict_batch(self, samples: np.ndarray) -> np.ndarray:
        integers = np.empty((len(samples), *self.output_shape), np.int8)
        for i, sample in enumerate(quantize_input(self.program, samples)):
            self._interpreter.set_tensor(self._feed, sample[None])
            self._interpreter.invoke()
            integers[i] = self._interpreter.get_tensor(self._fetch)[0]
        return dequantize_output(self.program, integers)


def single_input(program: Program) -> Program:
    """`program`; ValueError if it needs more than samples, as files of the step form do."""
    if len(program.inputs) > 1:
        names = [program.tensors[index].name for index in program.inputs]
        raise ValueError(f"The file must have one input. Received: {names}. Run files of the step form with StepRunner")
    return program


def check_samples(program: Program, samples: np.ndarray) -> np.ndarray:
    """`samples` as an array of finite numbers, `(samples, *input shape)`; ValueError otherwise."""
    samples = np.asarray(samples)
    expected = program.tensors[program.inputs[0]].shape[1:]
    if samples.shape[1:] != expected or samples.ndim != len(expected) + 1:
        raise ValueError(
            f"`samples` must have shape {('samples', *expected)}. Received: {samples.shape}. "
            "A single sample needs a batch axis: samples[None]"
        )
    if samples.dtype.kind not in "biuf":
        raise ValueError(f"`samples` must be real numbers. Received: dtype {samples.dtype}")
    wrong = samples.size - np.count_nonzero(np.isfinite(samples))
    if wrong:
        raise ValueError(f"`samples` must be finite. Received: {wrong} of {samples.size} values NaN or infinite")
    return samples


def quantize_input(program: Program, samples: np.ndarray) -> np.ndarray:
    """Floats in the units of the Keras model's input to int8: rounded half to even, saturated."""
    return np.clip(_steps(program, samples), INT8_MIN, INT8_MAX).astype(np.int8)


def count_saturating(program: Program, samples: np.ndarray) -> int:
    """How many values `quantize_input` has to saturate."""
    steps = _steps(program, samples)
    return int(np.count_nonzero((steps < INT8_MIN) | (steps > INT8_MAX)))


def dequantize_output(program: Program, integers: np.ndarray) -> np.ndarray:
    """int8 of the first output to float32: scale * (integer - zero_point)."""
    tensor = program.tensors[program.outputs[0]]
    return np.float32(tensor.scale) * (integers.astype(np.float32) - np.float32(tensor.zero_point))


def _steps(program: Program, samples: np.ndarray) -> np.ndarray:
    tensor = program.tensors[program.inputs[0]]
    return np.rint(np.asarray(samples, np.float64) / np.float64(tensor.scale)) + tensor.zero_point
