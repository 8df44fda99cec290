"""Whatever target a file was written for: its neurons by their equation, all else in the operators of a default file.

    neurons         `events.neurons`: proven on all pairs of currents against the operators that spell them
    row sums        DEPTHWISE_CONV_2D over stacked rows: ADD, SUB or MUL (`rows`)
    rows of pixels  elementwise operators and 1x1 convolutions in the shape of what they read, without RESHAPE
    wide pixels     CONV_2D over n pixels side by side: over one (`wide_pixels`)
    all timesteps   SLICE of a CONV_2D whose rows are in turns: one for each timestep (`joined_timesteps`)
    sums of windows ADD(windows of x, windows of y): windows of ADD(x, y) (`sums`)
    spikes          labelled 1, whatever the file labels them

Every integer that leaves the file, or that a layer reads, is the file's: each rule says why. What no rule knows stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...program.operators import Operator, Tensor
from ...program.program import Program
from ...program.step_form import states
from ..arithmetic.ranges import Interval, intervals
from ..events.neurons import SpikingLayer, by_spikes, spiking_layers
from .joined_timesteps import timestep_apart
from .reading import Reading
from .rows import elementwise_again, in_shape_of_operand, pixel_by_pixel, unclipped
from .sums import windows_of_sum
from .wide_pixels import narrow_again

Rule = Callable[[Reading, Operator], int | None]


@dataclass(frozen=True)
class NormalForm:
    """program: without the operators of `neurons`, whose currents and spikes are tensors of it."""

    program: Program
    neurons: tuple[SpikingLayer, ...]

    @property
    def fired(self) -> dict[int, Interval]:
        """Which integers the spikes of the neurons can be."""
        return fired(self.neurons)


def normal_form(program: Program) -> NormalForm:
    """The program again, with the same inputs and outputs."""
    stateless = not states(program) and "neurons" in program.metadata
    neurons = tuple(spiking_layers(program)) if stateless else ()
    reading = Reading(program, neurons, intervals(program, fired(neurons)))
    for operator in program.operators:
        if operator.output in reading.spikes:
            reading.mapped[operator.output] = reading.add(_spikes(reading, operator.output))
        elif operator.output not in reading.inside:
            reading.mapped[operator.output] = _again(reading, operator)
    layers = tuple(_layer(reading, layer) for layer in neurons)
    inputs = tuple(reading.mapped[index] for index in program.inputs)
    outputs = tuple(reading.output(index) for index in program.outputs)
    ends = {**dict(zip(program.inputs, inputs, strict=True)), **dict(zip(program.outputs, outputs, strict=True))}
    names = {ends[index]: name for index, name in program.names.items()}
    operators = _needed(reading.operators, {*outputs, *(index for layer in layers for index in layer.currents)})
    written = replace(program, tensors=tuple(reading.tensors), operators=operators, inputs=inputs, outputs=outputs)
    return NormalForm(replace(written, names=names), layers)


def fired(layers: tuple[SpikingLayer, ...]) -> dict[int, Interval]:
    """Spikes as the equation bounds them, whatever sums of numbers the operators make of a current that stays."""
    return {index: (-1 if layer.neuron.signed else 0, 1) for index, layer in by_spikes(layers).items()}


def _again(reading: Reading, operator: Operator) -> int:
    """What stands for the output of an operator: by the first rule that knows one, else the operator as it is."""
    found = (rule(reading, operator) for rule in RULES.get(operator.kind, ()))
    known = next((index for index in found if index is not None), None)
    if known is not None:
        return known
    inputs = tuple(reading.read(index) for index in operator.inputs)
    return reading.emit(operator.kind, inputs, reading.tensor(operator.output), operator)


def _spikes(reading: Reading, index: int) -> Tensor:
    """A neuron's spikes lie as its currents do."""
    shape = reading.written(reading.spikes[index].currents[0]).shape
    return replace(reading.tensor(index), shape=shape, scale=np.float32(1.0))


def _layer(reading: Reading, layer: SpikingLayer) -> SpikingLayer:
    shape = reading.written(layer.currents[0]).shape
    currents = (
        reading.mapped[index] if reading.written(index).shape == shape else reading.read(index, shape)
        for index in layer.currents
    )
    spikes = (None if index is None else reading.mapped[index] for index in layer.spikes)
    return replace(layer, operators=(), currents=tuple(currents), spikes=tuple(spikes))


def _needed(operators: list[Operator], wanted: set[int]) -> tuple[Operator, ...]:
    """The operators behind some tensors, in order."""
    found, needed = [], set(wanted)
    for operator in reversed(operators):
        if operator.output in needed:
            found.append(operator)
            needed.update(operator.inputs)
    return tuple(reversed(found))


def _same_values(reading: Reading, operator: Operator) -> int:
    """RESHAPE: whoever needs the shape reads the tensor in it."""
    reading.written(operator.inputs[0])
    return reading.mapped[operator.inputs[0]]


def _pooled(reading: Reading, operator: Operator) -> int:
    """MAX_POOL_2D of spikes as spikes, whatever their label."""
    source, output = operator.inputs[0], reading.tensor(operator.output)
    found = reading.written(source)
    if found.shape != reading.tensor(source).shape:
        return reading.emit(operator.kind, (reading.read(source),), output, operator)
    labelled = output if float(output.scale) == float(found.scale) else replace(output, scale=found.scale)
    return reading.emit(operator.kind, (reading.mapped[source],), labelled, operator)


RULES: Mapping[str, tuple[Rule, ...]] = {
    "RESHAPE": (_same_values,),
    "MAX_POOL_2D": (_pooled,),
    "CONV_2D": (narrow_again, pixel_by_pixel),
    "DEPTHWISE_CONV_2D": (elementwise_again,),
    "ADD": (windows_of_sum, in_shape_of_operand),
    "SUB": (in_shape_of_operand,),
    "MUL": (unclipped, in_shape_of_operand),
    "SLICE": (timestep_apart,),
}
