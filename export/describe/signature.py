"""What users call the inputs and outputs of a Keras model, in Keras's order, and how they nest them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras

# Keras counts the inputs it names itself, and again when a file is loaded: the same model, another name.
COUNTED = re.compile(r"(input_layer|keras_tensor)(_\d+)?")


def input_names(model: keras.Model) -> tuple[str, ...]:
    """A name for each of `model.inputs`: its key where the model takes a dict, else its own."""
    return _names(input_structure(model), (stable_name(x.name) for x in model.inputs))


def output_names(model: keras.Model) -> tuple[str, ...]:
    """A name for each of `model.outputs`: its key where the model gives a dict, else that of the layer it is from.

    Without the number of a name that Keras made up: it counts what the process has built before.
    """
    functional = keras.Model(model.inputs, model.outputs)
    kinds = {operation.name: type(operation).__name__ for operation in functional.operations}  # x + y is no layer
    return _names(output_structure(model), (uncounted(name, kinds[name]) for name in functional.output_names))


def uncounted(name: str, kind: str) -> str:
    """A name as it is; "time_average" for "time_average_3", which Keras makes of the class TimeAverage."""
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
    return words if re.fullmatch(rf"{re.escape(words)}(_\d+)?", name) else name


def stable_name(name: str) -> str:
    """The name of an input, "input" where Keras made it up."""
    return "input" if COUNTED.fullmatch(name) else name


def input_structure(model: keras.Model) -> Any:
    """The nest in which a model takes its inputs: one tensor, a list, a dict, ..."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def output_structure(model: keras.Model) -> Any:
    """The nest in which a model gives its outputs."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def packed(structure: Any, values: Sequence[Any]) -> Any:
    """`values`, in Keras's order, nested as `structure` is."""
    return keras.tree.pack_sequence_as(structure, list(values))


def _names(structure: Any, names: Iterable[str]) -> tuple[str, ...]:
    names = list(names)
    places = packed(structure, range(len(names)))
    if isinstance(places, dict) and all(isinstance(place, int) for place in places.values()):
        names = [str(key) for key in sorted(places, key=places.get)]
    return unique(names)


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """`names` in order; one that came before gets a number behind it."""
    taken: list[str] = []
    names = list(names)
    for name in names:
        candidates = (name if count == 0 else f"{name}_{count}" for count in range(len(names) + 1))
        # A number must not make a name that somebody else has given.
        free = (choice for choice in candidates if choice not in taken and (choice == name or choice not in names))
        taken.append(next(free, f"{name}_{len(names)}_{len(taken)}"))
    return tuple(taken)
