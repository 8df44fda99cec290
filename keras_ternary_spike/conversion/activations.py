"""What becomes a neuron: the activations of a network that levels of spikes can stand for, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from ..layers.trace import Call, Trace


@dataclass(frozen=True)
class Activation:
    """min(max(x, 0), highest), or signed min(max(x, -highest), highest). highest: None where nothing clips."""

    highest: float | None = None
    signed: bool = False

    def layer(self) -> keras.layers.Layer:
        return keras.layers.Activation("hard_tanh") if self.signed else keras.layers.ReLU(self.highest)


@dataclass(frozen=True)
class Place:
    """An activation of a network. name: of the neurons that take its place."""

    name: str
    activation: Activation


FUNCTIONS = {
    keras.activations.relu: Activation(),
    keras.activations.relu6: Activation(6.0),
    keras.activations.hard_tanh: Activation(1.0, signed=True),
}
AT_THE_END = (keras.activations.softmax, keras.activations.sigmoid)
MAXIMA = (
    *(keras.layers.MaxPooling1D, keras.layers.MaxPooling2D),
    *(keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D),
)
OWN_LAYERS = (keras.layers.ReLU, keras.layers.Activation)  # an activation and nothing else


def function_of(layer: Any) -> Any:
    """The function that a layer ends with; `keras.activations.linear` where there is none."""
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    return getattr(layer, "activation", keras.activations.linear)


def activation_of(layer: Any) -> Activation | None:
    """What a layer ends with, if neurons can stand for it."""
    if type(layer) is keras.layers.ReLU:
        return Activation(None if layer.max_value is None else float(layer.max_value))
    return FUNCTIONS.get(function_of(layer))


def places(calls: Trace, *, behind_maxima: bool) -> dict[int, Place]:
    """The activations by the index of the call behind which the neurons stand, in order.

    behind_maxima: whether neurons go behind a pooling of maxima that alone reads them. The maximum of currents is
        rectified to the maximum of rectified currents, but of spikes over several timesteps it is not the largest rate.
    """
    found: dict[int, Place] = {}
    taken: set[str] = set()
    for index, call in enumerate(calls.calls):
        if (activation := activation_of(call.layer)) is not None:
            behind = _behind_maximum(calls, index) if behind_maxima else index
            found[behind] = Place(_name(call, taken), activation)
    return dict(sorted(found.items()))


def _behind_maximum(calls: Trace, index: int) -> int:
    readers = calls.readers(index)
    if len(readers) != 1 or index in calls.outputs or not isinstance(calls.calls[readers[0]].layer, MAXIMA):
        return index
    return _behind_maximum(calls, readers[0])


def _name(call: Call, taken: set[str]) -> str:
    """The layer's where it is an activation alone, "conv_neuron" where "conv" ends with one."""
    name = call.layer.name if isinstance(call.layer, OWN_LAYERS) else f"{call.layer.name}_neuron"
    return free_name(name, taken)


def free_name(name: str, taken: set[str]) -> str:
    """`name`, with a number behind it where it is taken; it is taken from then on."""
    candidates = (name if count == 0 else f"{name}_{count}" for count in range(len(taken) + 1))
    free = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(free)
    return free
