"""Users' samples as integers of a program, and its integers as real numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_ternary_spike.samples import gathered

from .grid import INT8_MAX, INT8_MIN
from .names import STATE_IN, is_state
from .operators import Tensor
from .program import Integers, Program, check_lengths, check_names

# Arrays, or batches as `fit` takes them: a tf.data.Dataset, a keras.utils.PyDataset, a loader, a generator.
Samples = np.ndarray | Mapping[str, np.ndarray] | Sequence[np.ndarray] | Iterable[Any]


def check_samples(program: Program, samples: Samples) -> dict[str, np.ndarray]:
    """`samples` as arrays of finite numbers, `(samples, *input shape)`, by the name of the input; ValueError otherwise.

    samples: an array; for several inputs a mapping by name, or a list in order; or batches of those, read once, to the
        end. States are no samples.
    """
    return check_arrays({name: tensor.shape[1:] for name, tensor in sample_tensors(program).items()}, samples)


def check_arrays(shapes: Mapping[str, tuple[int, ...]], samples: Samples) -> dict[str, np.ndarray]:
    """As `check_samples`, for inputs of these shapes, without the axis of the samples."""
    samples = by_name(samples, tuple(shapes))
    check_names("samples", samples, shapes)
    called = {name: "`samples`" if len(shapes) == 1 else f"`samples[{name!r}]`" for name in shapes}
    arrays = {
        name: _check_array(called[name], shape, _unlisted(samples[name], shape)) for name, shape in shapes.items()
    }
    check_lengths("samples", arrays)
    return arrays


def sample_tensors(program: Program) -> dict[str, Tensor]:
    """The inputs that are no states, by name."""
    return {n: program.tensors[i] for n, i in program.named_inputs.items() if not is_state(n, STATE_IN)}


def by_name(samples: Samples, names: Sequence[str]) -> object:
    """A list of one array for each input, the array of the only one, or batches, as a mapping; else as it is."""
    samples = gathered(samples, names)
    if isinstance(samples, Mapping):
        return samples
    if isinstance(samples, list | tuple) and len(samples) == len(names) > 1:
        return dict(zip(names, samples, strict=True))
    return {names[0]: samples} if len(names) == 1 else samples


def part(samples: Mapping[str, np.ndarray], which: slice) -> dict[str, np.ndarray]:
    """Some of the samples."""
    return {name: array[which] for name, array in samples.items()}


def count_samples(samples: Mapping[str, np.ndarray]) -> int:
    """How many samples arrays of equal length hold."""
    return len(next(iter(samples.values())))


def quantize_input(program: Program, samples: Integers) -> Integers:
    """Floats in the units of the Keras model's input to int8: rounded half to even, saturated. By name or alone."""
    return _each(program, program.named_inputs, samples, lambda tensor, values: _saturated(_steps(tensor, values)))


def count_saturating(program: Program, samples: Integers) -> int:
    """How many values `quantize_input` has to saturate."""
    counts = _each(program, program.named_inputs, samples, _count_beyond)
    return sum(counts.values()) if isinstance(counts, Mapping) else counts


def saturating_shares(program: Program, samples: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The share of the values that `quantize_input` has to saturate, by input; inputs without are left out."""
    counts = {name: _count_beyond(sample_tensors(program)[name], values) for name, values in samples.items()}
    return {name: count / samples[name].size for name, count in counts.items() if count}


def _count_beyond(tensor: Tensor, values: np.ndarray) -> int:
    steps = _steps(tensor, values)
    return int(np.count_nonzero(steps != np.clip(steps, INT8_MIN, INT8_MAX)))


def dequantize_output(program: Program, integers: Integers) -> Integers:
    """int8 of the outputs to float32: scale * (integer - zero_point). By name or alone."""

    def reals(tensor: Tensor, values: np.ndarray) -> np.ndarray:
        return np.float32(tensor.scale) * (values.astype(np.float32) - np.float32(tensor.zero_point))

    return _each(program, program.named_outputs, integers, reals)


def _each(program: Program, named: Mapping[str, int], values: Integers, apply: Callable) -> object:
    """apply(tensor, array) on every array of a mapping, or on the array of the first name."""
    if isinstance(values, Mapping):
        return {name: apply(program.tensors[named[name]], array) for name, array in values.items()}
    return apply(program.tensors[next(iter(named.values()))], values)


def _unlisted(samples: Any, expected: tuple[int, ...]) -> np.ndarray:
    """An array; of a list of one array, as Keras takes the only input too, that array."""
    array = np.asarray(samples)
    listed = isinstance(samples, list | tuple) and len(samples) == 1 and array.ndim == len(expected) + 2
    return array[0] if listed else array


def _check_array(called: str, expected: tuple[int, ...], samples: np.ndarray) -> np.ndarray:
    if samples.shape[1:] != expected or samples.ndim != len(expected) + 1:
        raise ValueError(
            f"{called} must have shape {('samples', *expected)}. Received: {samples.shape}. "
            "A single sample needs a batch axis: samples[None], or dataset.batch(32)"
        )
    if samples.dtype.kind not in "biuf":
        raise ValueError(f"{called} must be real numbers. Received: dtype {samples.dtype}")
    wrong = samples.size - np.count_nonzero(np.isfinite(samples))
    if wrong:
        raise ValueError(f"{called} must be finite. Received: {wrong} of {samples.size} values NaN or infinite")
    return samples


def _saturated(steps: np.ndarray) -> np.ndarray:
    return np.clip(steps, INT8_MIN, INT8_MAX).astype(np.int8)


def _steps(tensor: Tensor, samples: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(samples, np.float64) / np.float64(tensor.scale)) + tensor.zero_point
