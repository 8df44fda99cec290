"""Runs a .tflite file on float samples, for people who only want to use it. Needs neither Keras nor TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..program.program import Integers, Program, unwrapped
from ..program.samples import Samples, check_samples, count_samples, dequantize_output, part, quantize_input
from ..program.step_form import without_states
from ..tflite import flatbuffer
from .implementations import calls
from .session import Session


def load(tflite_bytes: bytes) -> Predictor:
    """Opens a file of `export_tflite`.

    Raises: ValueError if the bytes are not such a file.

    Example:
        >>> load(Path("model.tflite").read_bytes()).predict(images).argmax(axis=-1)
    """
    return Predictor(tflite_bytes)


class Predictor:
    """A file on LiteRT's XNNPACK kernels, one thread. Several threads may share it; it can be pickled.

    input_shape, output_shape: of one sample, without the batch axis; for several inputs or outputs by name.
    program: the integer program of the file, with its metadata.
    """

    def __init__(self, tflite_bytes: bytes):
        self.program = without_states(flatbuffer.read(tflite_bytes))
        self.input_shape = _shapes(self.program, self.program.named_inputs)
        self.output_shape = _shapes(self.program, self.program.named_outputs)
        self._session = Session(tflite_bytes)

    def __reduce__(self) -> tuple[type[Predictor], tuple[bytes]]:
        return type(self), (self._session.tflite_bytes,)

    def predict(self, samples: Samples, *, batch_size: int = 32) -> Integers:
        """The network's outputs (logits, where the Keras model ended with a softmax).

        Args:
            samples: Numbers of shape `(samples, *input_shape)`, in the units of the Keras model's input. Those
                outside its input range saturate. For several inputs such an array for each: by name, or a list in the
                model's order.
            batch_size: How many samples are in memory as integers at a time. Default: 32.

        Returns:
            float32 of shape `(samples, *output_shape)`; for several outputs such an array for each, by name, in the
            model's order.

        Raises:
            ValueError: if a name or a shape differs, or a sample is NaN or infinite.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
        samples = check_samples(self.program, samples)
        count = count_samples(samples)
        starts = range(0, max(count, 1), batch_size)
        batches = [self._predict_batch(part(samples, slice(start, start + batch_size))) for start in starts]
        return unwrapped({name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]})

    def _predict_batch(self, samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        feeds = tuple(self.program.feeds(quantize_input(self.program, samples)).values())
        tensors = [self.program.tensors[index] for index in self.program.outputs]
        integers = [np.empty((len(feeds[0]), *tensor.shape[1:]), np.int8) for tensor in tensors]
        for place, inputs in calls(feeds, self.program.samples_a_call):
            for values, output in zip(integers, self._session.run(inputs), strict=True):
                given = values[place]
                given[:] = output[: len(given)]
        return dequantize_output(self.program, dict(zip(self.program.named_outputs, integers, strict=True)))


def _shapes(program: Program, named: Mapping[str, int]) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    return unwrapped({name: program.tensors[index].shape[1:] for name, index in named.items()})
