"""Runs a file of the step form: one timestep a call, states carried between calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..program.program import Integers, check_lengths, check_names, unwrapped
from ..program.samples import Samples, by_name, check_samples, dequantize_output, quantize_input
from ..program.step_form import averages, paired_states
from ..tflite import flatbuffer
from .session import Session


class StepRunner:
    """A file of `export_tflite(model, form="step")` on LiteRT's XNNPACK kernels, one thread.

    After as many steps as the model has timesteps the scores equal the unrolled file's output, bit for bit. Several
    threads may share it: each `step` and each `run` is a whole, and all belong to one stream. Pickled it goes on where
    it was.

    program: the integer program of the file, with its metadata.
    steps: timesteps since the last reset.

    Raises:
        ValueError: if the bytes are not such a file, or its states are not paired by name, shape and scale.

    Example:
        >>> runner = StepRunner(export_tflite(model, form="step"))
        >>> for frame in frames:
        ...     scores = runner.step(frame)
    """

    def __init__(self, tflite_bytes: bytes):
        self.program = flatbuffer.read(tflite_bytes)
        self._pairs = paired_states(self.program)
        self._inputs = tuple(name for name in self.program.named_inputs if name not in self._pairs)
        self._outputs = tuple(name for name in self.program.named_outputs if name not in self._pairs.values())
        self._session = Session(tflite_bytes)
        self.reset()

    def __getstate__(self) -> tuple[bytes, int, dict[str, np.ndarray]]:
        with self._session.turn():
            return self._session.tflite_bytes, self.steps, self._states

    def __setstate__(self, state: tuple[bytes, int, dict[str, np.ndarray]]) -> None:
        tflite_bytes, steps, states = state
        self.__init__(tflite_bytes)
        self.steps, self._states = steps, states

    def reset(self) -> None:
        """Back to before the first timestep: every state 0."""
        tensors = {name: self.program.tensors[self.program.named_inputs[name]] for name in self._pairs}
        with self._session.turn():
            self.steps = 0
            self._states = {name: np.full(t.shape, t.zero_point, np.int8) for name, t in tensors.items()}

    def step(self, frame: Samples) -> Integers:
        """Feeds one timestep.

        Args:
            frame: Numbers in the units of the Keras model's input: one timestep of a sequence, or the whole still
                image again. For several inputs one for each: by name, or a list in the model's order.

        Returns:
            float32, the network's output; for several outputs one for each, by name. Behind a mean over time: the sum
            so far, divided by the model's timesteps.

        Raises:
            ValueError: if a name or a shape differs, a number is not finite, or a mean over time is already complete.
        """
        with self._session.turn():
            outputs = self._step(frame)
        scores = dequantize_output(self.program, {name: outputs[name] for name in self._outputs})
        return unwrapped({name: values[0] for name, values in scores.items()})

    def run(self, frames: Samples | Iterable[Samples], *, confidence: float = 1.0) -> Integers:
        """Resets, feeds frame after frame, and stops early once one class is as probable as `confidence`.

        Args:
            frames: `(timesteps, *frame shape)`; for several inputs such an array for each by name, or anything that
                gives what `step` takes, timestep after timestep.
            confidence: Softmax probability of the leading class at which to stop. Default: 1.0, never.

        Returns:
            The scores after the last step taken, `self.steps`.

        Raises:
            ValueError: as `step`, if there is no frame, or if `confidence` is below 1 and there are several outputs.
        """
        if confidence < 1 and len(self._outputs) > 1:
            raise ValueError(
                f"Stopping early needs one output, the classes. Received: confidence={confidence} and outputs "
                f"{list(self._outputs)}. Call step() and decide yourself."
            )
        with self._session.turn():
            self.reset()
            for frame in self._in_time(frames):
                scores = self.step(frame)
                if confidence < 1 and softmax(scores).max() >= confidence:
                    break
            if not self.steps:
                raise ValueError("`frames` must hold at least one timestep. Received: 0")
            return scores

    def _step(self, frame: Samples) -> dict[str, np.ndarray]:
        """One timestep: all outputs of the file, whose states are kept."""
        limit = self.program.facts.timesteps
        if self._averages and self.steps >= limit:
            raise ValueError(f"The mean over time is complete after {limit} steps. Call reset() before the next.")
        frame = by_name(frame, self._inputs)
        check_names("frame", frame, self._inputs)
        for name, values in frame.items():
            self._check_frame(name, np.shape(values))
        batch = {name: np.asarray(values)[None] for name, values in frame.items()}
        outputs = self._invoke(quantize_input(self.program, check_samples(self.program, batch)) | self._states)
        self._states = {name: outputs[after] for name, after in self._pairs.items()}
        self.steps += 1
        return outputs

    def _check_frame(self, name: str, shape: tuple[int, ...]) -> None:
        expected = self.program.tensors[self.program.named_inputs[name]].shape[1:]
        if shape != expected:
            way_out = " It has a batch axis too many: frame[0]" if shape == (1, *expected) else ""
            raise ValueError(
                f"A frame of {name!r} must have shape {expected}: one timestep, without batch axis. Received: {shape}."
                f"{way_out}"
            )

    def _in_time(self, frames: Samples | Iterable[Samples]) -> Iterable[Samples]:
        if not isinstance(frames, Mapping):
            return frames
        check_names("frames", frames, self._inputs)
        check_lengths("frames", frames)
        return [dict(zip(frames, frame, strict=True)) for frame in zip(*frames.values(), strict=True)]

    @property
    def _averages(self) -> bool:
        """Whether an output is a mean over time: then there is a state that does not hold after any number of steps."""
        return averages(self.program)

    def _invoke(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One call of the file; all inputs and outputs by name, `(1, *shape)`."""
        outputs = self._session.run([feeds[name] for name in self.program.named_inputs])
        return dict(zip(self.program.named_outputs, outputs, strict=True))


def softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()
