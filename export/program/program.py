"""The integer program: int8 tensors and builtin TFLite operators, with a NumPy reference that runs them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .arithmetic import KERNELS
from .facts import Facts
from .operators import ANY_BATCH, Operator, Tensor

Integers = np.ndarray | Mapping[str, np.ndarray]  # one array, or several by name


@dataclass(frozen=True, eq=False)
class Program:
    """An exact integer program: what the .tflite file holds, operator for operator.

    metadata: JSON of what the file says of itself, as `Facts.to_json` gives it.
    names: what users call the inputs and outputs, by the index of the tensor; one without goes by the tensor's name.
    batch: how many samples a call of the file takes; None: one, and the file says that it may be resized to any. The
        tensors here are those of one sample.
    io: what the file takes and gives: "int8", or "float32", the numbers that these integers stand for.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: Mapping[str, object] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    batch: int | None = 1
    io: str = "int8"

    @property
    def samples_a_call(self) -> int:
        """How many samples a call of the file takes as it is."""
        return self.batch or 1

    @property
    def facts(self) -> Facts:
        """The metadata, checked.

        Raises: ValueError, naming the key, if a value is not of its type.
        """
        return Facts.from_json(self.metadata)

    @property
    def named_inputs(self) -> dict[str, int]:
        """Index of the tensor of every input, by the name that users give it."""
        return self._named(self.inputs)

    @property
    def named_outputs(self) -> dict[str, int]:
        """As `named_inputs`, of the outputs."""
        return self._named(self.outputs)

    def run(self, inputs: Integers) -> Integers:
        """Integers in, integers out, as every runtime computes them.

        inputs: int8, `(samples, *shape of the input tensor without its batch axis)`; for several inputs such an array
            for each, by name.
        Returns: int8, `(samples, *shape of the output tensor without its batch axis)`; for several outputs such an
            array for each, by name.
        Raises: ValueError if a name, a dtype or a shape differs.
        """
        named = {name: self.tensors[index].name for name, index in self.named_outputs.items()}
        values = self.trace(inputs, keep=set(named.values()))
        return unwrapped({name: values[tensor] for name, tensor in named.items()})

    def trace(self, inputs: Integers, *, keep: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """As `run`, but every activation that an operator writes, by tensor name (or only those named in `keep`).

        Returns: int8 or int32, `(samples, *shape of the tensor without its batch axis)`, for each name.
        Raises: ValueError as `run`.
        """
        feeds = self.feeds(inputs)
        samples = len(feeds[self.inputs[0]])
        chunks = [
            self._trace_chunk({index: array[chunk] for index, array in feeds.items()}, keep)
            for chunk in chunked(samples, self.tensors)
        ]
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def feeds(self, inputs: Integers) -> dict[int, np.ndarray]:
        """The array of every input, int8 `(samples, *shape)`, by the index of its tensor.

        Raises: ValueError if a name, a dtype or a shape differs.
        """
        named = self.named_inputs
        if isinstance(inputs, np.ndarray) and len(named) == 1:
            inputs = dict.fromkeys(named, inputs)
        check_names("inputs", inputs, named)
        for name, index in named.items():
            check_inputs(self.tensors[index], inputs[name])
        check_lengths("inputs", inputs)
        return {index: inputs[name] for name, index in named.items()}

    def _named(self, indices: tuple[int, ...]) -> dict[str, int]:
        return {self.names.get(index, self.tensors[index].name): index for index in indices}

    def _trace_chunk(self, feeds: dict[int, np.ndarray], keep: Collection[str] | None) -> dict[str, np.ndarray]:
        values = feeds | {i: tensor.data for i, tensor in enumerate(self.tensors) if tensor.data is not None}
        last_use = {index: step for step, op in enumerate(self.operators) for index in op.inputs}
        kept = {}
        for step, op in enumerate(self.operators):
            tensors = [self.tensors[i] for i in op.inputs]
            output = self.tensors[op.output]
            values[op.output] = KERNELS[op.kind](op, tensors, output, [values[i] for i in op.inputs])
            if keep is None or output.name in keep:
                kept[output.name] = values[op.output]
            for index in op.inputs:
                if last_use[index] == step:
                    values.pop(index, None)
        return kept


def unwrapped(values: Mapping[str, np.ndarray]) -> Integers:
    """The only array as it is; several by name."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def check_names(argument: str, values: object, names: Collection[str]) -> None:
    """Raises ValueError unless `values` is a mapping that has exactly `names` as keys."""
    wanted = f"`{argument}` must hold an array for each of {list(names)}, by name."
    if not isinstance(values, Mapping):
        raise ValueError(f"{wanted} Received: one {type(values).__name__}")
    missing, unknown = [name for name in names if name not in values], [name for name in values if name not in names]
    if missing or unknown:
        raise ValueError(f"{wanted} Received: {list(values)}. Missing: {missing}, unknown: {unknown}")


def check_lengths(argument: str, values: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError unless all arrays hold equally many samples."""
    lengths = {name: len(array) for name, array in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"`{argument}` must hold equally many samples for every input. Received: {lengths}")


def check_inputs(tensor: Tensor, inputs: np.ndarray) -> None:
    """Raises ValueError unless `inputs` are int8 samples of the shape of `tensor`."""
    if inputs.dtype != np.int8 or inputs.shape[1:] != tuple(tensor.shape[1:]):
        expected = ("samples", *tensor.shape[1:])
        raise ValueError(f"`inputs` must be int8 of shape {expected}. Received: {inputs.dtype} of shape {inputs.shape}")


def chunked(samples: int, tensors: tuple[Tensor, ...], budget: int = 2**24) -> list[slice]:
    """Slices of samples such that the largest activation of a chunk has at most `budget` elements."""
    largest = max(math.prod(tensor.shape) for tensor in tensors if tensor.data is None)
    size = max(1, budget // largest)
    return [slice(start, start + size) for start in range(0, max(samples, 1), size)]


def kernel_rows(program: Program, operator: Operator) -> np.ndarray:
    """Kernel of an operator as `(weights, output channels)`, int64."""
    axis = 3 if operator.kind == "DEPTHWISE_CONV_2D" else 0
    kernel = np.moveaxis(program.tensors[operator.inputs[1]].data.astype(np.int64), axis, -1)
    return kernel.reshape(-1, kernel.shape[-1])


ONE_SAMPLE = 1
IO = ("int8", "float32")
SLICE_SIZE = 2  # which input of a SLICE


def check_batch(batch: object) -> None:
    """Raises ValueError unless `batch` is an integer of at least 1, or None."""
    whole = isinstance(batch, int | np.integer) and not isinstance(batch, bool)
    if batch is not None and not (whole and batch >= 1):
        raise ValueError(f"`batch` must be an integer of at least 1, or None for any. Received: batch={batch!r}")


def check_io(io: object) -> None:
    """Raises ValueError unless files may have such inputs and outputs."""
    if io not in IO:
        raise ValueError(f"`io` must be one of {', '.join(IO)}. Received: io={io!r}")


def check_resizable(program: Program) -> None:
    """Raises ValueError where an operator holds a batch size that no file of any batch size can state."""
    stated = [operator for operator in program.operators if operator.kind == "TRANSPOSE_CONV"]
    if program.batch is None and stated:
        raise ValueError(
            "A file of any batch size must have no TRANSPOSE_CONV, in which the size is a constant. Received: "
            f"batch=None, and one that writes {program.tensors[stated[0].output].name!r}. Give the size, batch=8."
        )


def batched(program: Program) -> Program:
    """The program with the tensors of its file."""
    result = _with_batch_axes(program, program.samples_a_call)
    # XNNPACK takes no SLICE that leaves a size open.
    return result if program.batch is None else _with_sliced_batch(result, ANY_BATCH, program.batch)


def of_one_sample(program: Program, *, resizable: bool) -> Program:
    """The program of a file's tensors: `batched` undone. resizable: whether the file says that it takes any batch.

    Raises: ValueError if the activations have different batch axes.
    """
    sizes = {program.tensors[index].shape[:1] for index in program.inputs if 0 <= index < len(program.tensors)}
    if resizable or sizes <= {(ONE_SAMPLE,), ()}:
        read = replace(program, batch=None if resizable else ONE_SAMPLE)
        return _with_sliced_batch(read, ONE_SAMPLE, ANY_BATCH)
    activations = [tensor for tensor in program.tensors if tensor.data is None]
    if any(tensor.shape[:1] not in sizes for tensor in activations) or len(sizes) > 1:
        found = sorted({tensor.shape[:1] for tensor in activations})
        raise ValueError(f"All activations must have the batch axis of the inputs. Received: {found}")
    batch = next(iter(sizes))[0]
    return replace(_with_sliced_batch(_with_batch_axes(program, ONE_SAMPLE), batch, ANY_BATCH), batch=batch)


def resizable(program: Program) -> set[int]:
    """Indices of the tensors of which a file of any batch says so: what users see, and what SLICE writes.

    LiteRT checks what SLICE writes against the shape in the file unless that leaves a size open.
    """
    if program.batch is not None:
        return set()
    sliced = (operator.output for operator in program.operators if operator.kind == "SLICE")
    return {*program.inputs, *program.outputs, *sliced}


def _with_batch_axes(program: Program, size: int) -> Program:
    """Activations, and the shapes that TRANSPOSE_CONV takes as constants, with a batch axis of `size`."""
    stated = {operator.inputs[0] for operator in program.operators if _states_batch(operator)}
    tensors = (_resized(tensor, size, states=index in stated) for index, tensor in enumerate(program.tensors))
    return replace(program, tensors=tuple(tensors))


def _with_sliced_batch(program: Program, size: int, instead: int) -> Program:
    """Other first numbers in the constants that say how many samples a SLICE takes."""
    slices = [operator.inputs for operator in program.operators if operator.kind == "SLICE"]
    stated = {inputs[SLICE_SIZE] for inputs in slices if len(inputs) > SLICE_SIZE}
    tensors = list(program.tensors)
    for index in stated & {*range(len(tensors))}:
        numbers = tensors[index].data
        if numbers is not None and numbers.size and numbers.flat[0] == size:
            changed = np.array([instead, *numbers.flat[1:]], numbers.dtype).reshape(numbers.shape)
            changed.setflags(write=False)
            tensors[index] = replace(tensors[index], data=changed)
    return replace(program, tensors=tuple(tensors))


def _states_batch(operator: Operator) -> bool:
    return operator.kind == "TRANSPOSE_CONV" and bool(operator.inputs)


def _resized(tensor: Tensor, size: int, *, states: bool) -> Tensor:
    if tensor.data is None:
        return replace(tensor, shape=(size, *tensor.shape[1:]))
    if states and tensor.data.shape == (4,):
        return replace(tensor, data=np.array([size, *tensor.data[1:]], tensor.data.dtype))
    return tensor
