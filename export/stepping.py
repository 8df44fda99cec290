"""Runs a file of the step form: one timestep a call, states carried between calls."""

from __future__ import annotations

import numpy as np

from . import flatbuffer, runtimes
from .predictor import check_samples, dequantize_output, quantize_input
from .program import Program, Tensor
from .signal import STATE_IN, STATE_OUT


class StepRunner:
    """A file of `export_tflite(model, form="step")` on LiteRT's XNNPACK kernels, one thread.

    After as many steps as the model has timesteps the scores equal the unrolled file's output, bit for bit.

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
        self._interpreter = runtimes.litert(tflite_bytes)
        details = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
        self._index = {detail["name"]: detail["index"] for detail in details}
        self.reset()

    def reset(self) -> None:
        """Back to before the first timestep: every state 0."""
        self.steps = 0
        self._states = {name: np.zeros(tensor.shape, np.int8) for name, tensor in self._state_inputs().items()}

    def step(self, frame: np.ndarray) -> np.ndarray:
        """Feeds one timestep.

        Args:
            frame: Numbers in the units of the Keras model's input: one timestep of a sequence, or the whole still
                image again.

        Returns:
            float32, the network's output. Behind a mean over time: the sum so far, divided by the model's timesteps.

        Raises:
            ValueError: if the shape differs, a number is not finite, or a mean over time is already complete.
        """
        limit = self.program.metadata["timesteps"]
        if self._averages and self.steps >= limit:
            raise ValueError(f"The mean over time is complete after {limit} steps. Call reset() before the next.")
        integers = quantize_input(self.program, check_samples(self.program, np.asarray(frame)[None]))
        self._set(self._name(self.program.inputs[0]), integers)
        for name, state in self._states.items():
            self._set(name, state)
        self._interpreter.invoke()
        self._states = {name: self._get(after) for name, after in self._pairs.items()}
        self.steps += 1
        return dequantize_output(self.program, self._get(self._name(self.program.outputs[0])))[0]

    def run(self, frames: np.ndarray, *, confidence: float = 1.0) -> np.ndarray:
        """Resets, feeds frame after frame, and stops early once one class is as probable as `confidence`.

        Args:
            frames: `(timesteps, *frame shape)`.
            confidence: Softmax probability of the leading class at which to stop. Default: 1.0, never.

        Returns:
            The scores after the last step taken, `self.steps`.
        """
        self.reset()
        for frame in frames:
            scores = self.step(frame)
            if confidence < 1 and softmax(scores).max() >= confidence:
                break
        return scores

    @property
    def _averages(self) -> bool:
        """Whether the output is a mean over time: then there is a state that is no neuron's."""
        neurons = {neuron["name"] for neuron in self.program.metadata["neurons"]}
        return any(name.removeprefix(STATE_IN) not in neurons for name in self._pairs)

    def _name(self, index: int) -> str:
        return self.program.tensors[index].name

    def _state_inputs(self) -> dict[str, Tensor]:
        tensors = (self.program.tensors[index] for index in self.program.inputs[1:])
        return {tensor.name: tensor for tensor in tensors}

    def _set(self, name: str, value: np.ndarray) -> None:
        self._interpreter.set_tensor(self._index[name], value)

    def _get(self, name: str) -> np.ndarray:
        return self._interpreter.get_tensor(self._index[name])


def paired_states(program: Program) -> dict[str, str]:
    """Names of the state inputs and of the outputs that hold their next values.

    Raises: ValueError if the file is not of the step form, or a pair does not fit.
    """
    if program.metadata.get("form") != "step":
        raise ValueError('StepRunner needs a file of the step form. Export it with: export_tflite(model, form="step")')
    before = {program.tensors[index].name: program.tensors[index] for index in program.inputs[1:]}
    after = {program.tensors[index].name: program.tensors[index] for index in program.outputs[1:]}
    pairs = {name: name.replace(STATE_IN, STATE_OUT, 1) for name in before}
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


def softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()
