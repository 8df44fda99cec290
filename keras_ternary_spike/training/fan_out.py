"""What spikes cost downstream: how many additions a layer's spikes ask for, from the shapes of the layers behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import keras

from ..layers.lif import LIF
from ..layers.trace import Call, Trace, trace

Shape = tuple[int | None, ...]
ONE = Fraction(1)
WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


def dense_additions(model: keras.Model) -> dict[str, int]:
    """Additions of one timestep if every neuron fired, by the name of the spiking layer whose spikes they add.

    A spike counts once for every weight that it meets in the layers with kernels behind it, also through pooling,
    sums and concatenations, up to the next spiking layer. Padding counts as pixels do. A layer whose spikes meet no
    kernel has 0.

    Args:
        model: a Sequential or functional model whose feature axes have fixed sizes.

    Raises:
        ValueError: if the model is of another kind, a size is not known, or a layer has a kernel of another kind.
    """
    traced = trace(model)
    shapes = shapes_of(traced)
    costs: dict[str, int] = {}
    for index, call in enumerate(traced.calls):
        if isinstance(call.layer, LIF) and call.state_of is None:
            readers = dict(weighted_readers(traced, shapes, index))
            cost = sum(
                round(share * _multiply_accumulates(traced, shapes, reader)) for reader, share in readers.items()
            )
            costs[call.layer.name] = costs.get(call.layer.name, 0) + cost
    return costs


def weighted_readers(
    traced: Trace, shapes: list[Shape], index: int, share: Fraction = ONE
) -> Iterator[tuple[int, Fraction]]:
    """The calls with kernels that the values of call `index` reach before the next neuron.

    With each the share of its inputs that they are: a concatenation brings those of others beside them.
    """
    for reader in traced.readers(index):
        layer = traced.calls[reader].layer
        if isinstance(layer, WEIGHTED):
            yield reader, share
        elif any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ())):
            supported = ", ".join(kind.__name__ for kind in WEIGHTED)
            raise ValueError(
                f"Additions are counted in {supported}. Received: layer {layer.name!r} ({type(layer).__name__}) behind "
                "spikes. Use one of them in its place."
            )
        elif not isinstance(layer, LIF):
            joins = isinstance(layer, keras.layers.Concatenate)
            part = share * Fraction(shapes[index][-1], shapes[reader][-1]) if joins else share
            yield from weighted_readers(traced, shapes, reader, part)


def _multiply_accumulates(traced: Trace, shapes: list[Shape], reader: int) -> int:
    call, shape = traced.calls[reader], shapes[reader]
    positions = shape[2 if call.per_timestep else 1 : -1]
    if None in positions:
        raise ValueError(f"Every size must be known to count additions. Received: {shape} at {call.layer.name!r}.")
    return math.prod(call.layer.kernel.shape) * math.prod(positions)


def shapes_of(traced: Trace) -> list[Shape]:
    """The shape of every call's value, with batch and time."""
    shapes: list[Shape] = []
    for call in traced.calls:
        if isinstance(call.layer, keras.layers.InputLayer):
            shapes.append(tuple(call.layer.batch_shape))
        else:
            shapes.append(_output_shape(call, [shapes[source] for source in call.sources]))
    return shapes


def _output_shape(call: Call, inputs: list[Shape]) -> Shape:
    time = (inputs[0][1],) if call.per_timestep else ()
    inner = [(shape[0], *shape[2:]) if call.per_timestep else shape for shape in inputs]
    shape = call.shape or call.layer.compute_output_shape(inner if len(inner) > 1 else inner[0])
    if getattr(call.layer, "return_state", False):
        shape = shape[0 if call.state_of is None else 1]
    return (shape[0], *time, *shape[1:])
